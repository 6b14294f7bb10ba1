"""The connection to an endpoint that makes pictures: JSON out and in, bounded, and every failure as one of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from parlant_local.backends.addresses import check_url, is_remote, refuse_remote
from parlant_local.backends.failures import from_status, from_transport
from parlant_local.backends.reconnecting import openai_transport
from parlant_local.errors import InvalidOutputError, ParlantLocalError
from parlant_local.messages import json_value, whole_value

if TYPE_CHECKING:
    import httpx2

__all__ = ["Answer", "EndpointConnection", "FormFile"]

FormFile = tuple[str, tuple[str, bytes, str]]
"""Field, and name, content and type of a file in it."""
Answer = tuple[int, Any]
"""Status below 300, and the JSON value."""

_CONNECT_SECONDS = 10.0
_MAX_ERROR = 64 * 1024
_APART = 1 << 20  # bytes of JSON that are read on a thread


class EndpointConnection:
    """``timeout`` bounds each request with its answer, in seconds. Redirects are not followed."""

    def __init__(
        self, target: str, *, base_url: str, owner: str, api_key: str | None, timeout: float, allow_remote: bool
    ) -> None:
        self.target = target
        self.base_url = check_url(base_url, f"the endpoint {owner!r}")
        self.remote = is_remote(self.base_url)
        self._api_key, self._timeout, self._allow_remote = api_key, timeout, allow_remote
        self._client: httpx2.AsyncClient | None = None

    @property
    def root(self) -> str:
        """The server's address, without what OpenAI's API adds to it."""
        return self.base_url.removesuffix("/v1")

    async def get(self, url: str, *, limit: int, timeout: float | None = None) -> Answer:
        return await self._ask("GET", url, limit, timeout)

    async def post(self, url: str, body: Mapping[str, Any], *, limit: int, timeout: float | None = None) -> Answer:
        return await self._ask("POST", url, limit, timeout, json=whole_value(dict(body)))

    async def post_form(self, url: str, fields: Mapping[str, str], files: Sequence[FormFile], *, limit: int) -> Answer:
        return await self._ask("POST", url, limit, None, data=whole_value(dict(fields)), files=list(files))

    async def file(self, url: str, *, limit: int) -> bytes:
        """What stands at ``url`` of this endpoint. An address elsewhere is a :class:`InvalidOutputError`: nothing is fetched there."""
        import httpx2

        own = httpx2.URL(f"{self.base_url}/")
        try:
            whole = own.join(url)
        except httpx2.InvalidURL:
            whole = httpx2.URL()
        if (whole.scheme, whole.host, whole.port) != (own.scheme, own.host, own.port):
            raise InvalidOutputError(
                f"{self.target} answers with the address of a picture elsewhere ({whole.host or 'of no host'}), which isn't fetched.",
                hint="Have the endpoint send pictures themselves (b64_json).",
            )
        return (await self._read("GET", whole, limit, None))[1]

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _ask(self, method: str, url: str, limit: int, timeout: float | None, **content: Any) -> Answer:
        status, data = await self._read(method, url, limit, timeout, **content)
        try:
            return status, await asyncio.to_thread(json_value, data) if len(data) > _APART else json_value(data)
        except ValueError as error:
            raise from_transport(self.target, error) or error from None

    async def _read(
        self, method: str, url: str | httpx2.URL, limit: int, timeout: float | None, **content: Any
    ) -> tuple[int, bytes]:
        client = self._opened()
        try:
            # The client's own limits are of silence only.
            async with asyncio.timeout(timeout or self._timeout), client.stream(method, url, **content) as response:
                failed = response.status_code >= 300
                data = await self._body(response, _MAX_ERROR if failed else limit, cut=failed)
        except ParlantLocalError:
            raise
        except Exception as error:
            if (mapped := from_transport(self.target, error, address=self.root)) is None:
                raise
            raise mapped from None
        if failed:
            text = self._masked(data.decode("utf-8", "replace"))
            raise from_status(self.target, response.status_code, text, headers=response.headers)
        return response.status_code, data

    async def _body(self, response: httpx2.Response, limit: int, *, cut: bool) -> bytes:
        """Raw, as compression was not asked for: what little a bomb sends would become much."""
        if response.headers.get("content-encoding", "identity") != "identity":
            raise InvalidOutputError(f"{self.target} sent a compressed body, which was not asked for.")
        pieces: list[bytes] = []
        size = 0
        async for piece in response.aiter_raw():
            size += len(piece)
            pieces.append(piece)
            if size > limit:
                if cut:
                    break
                raise InvalidOutputError(
                    f"{self.target} sent more than {limit / 1e6:.1f} MB, which no pictures of the allowed size need.",
                    hint="Larger ones are allowed by images.max_megapixels.",
                )
        return b"".join(pieces)[:limit]

    def _opened(self) -> httpx2.AsyncClient:
        if self.remote and not self._allow_remote:
            raise refuse_remote(self.target, urlsplit(self.base_url).hostname or self.base_url)
        if self._client is None:
            import httpx2

            headers = {"accept-encoding": "identity"}
            if self._api_key:
                headers["authorization"] = f"Bearer {self._api_key}"
            self._client = httpx2.AsyncClient(
                headers=headers,
                timeout=httpx2.Timeout(self._timeout, connect=min(self._timeout, _CONNECT_SECONDS)),
                trust_env=self.remote,
                transport=openai_transport(self.base_url, trust_env=self.remote),
            )
        return self._client

    def _masked(self, text: str) -> str:
        return text.replace(self._api_key, "***") if self._api_key and len(self._api_key) >= 6 else text
