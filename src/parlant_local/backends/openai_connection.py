"""The connection to an endpoint: the client that speaks OpenAI's API, the events of its streams, and what goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from parlant_local.backends.addresses import refuse_remote
from parlant_local.backends.dialect import blamed_field
from parlant_local.backends.failures import from_status, from_transport
from parlant_local.backends.openai_reading import abort_reason, choices_of, error_of
from parlant_local.backends.openai_wire import Quirks
from parlant_local.backends.reconnecting import openai_transport
from parlant_local.backends.sse import EventReader
from parlant_local.errors import (
    AuthenticationError,
    BackendError,
    BadRequestError,
    ContextOverflowError,
    ParlantLocalError,
    TargetDownError,
    TransientError,
)
from parlant_local.messages import json_value, whole_value
from parlant_local.observability import Logger

if TYPE_CHECKING:
    import httpx2
    import openai

__all__ = ["Connection"]

T = TypeVar("T")

_DRAIN_SECONDS = 0.25
_MAX_REFUSALS = 6
"""Refused options that one call may learn from."""


class Connection:
    """How one model's endpoint is reached: requests out, JSON and events in, and every failure as one of ours."""

    def __init__(
        self,
        target: str,
        *,
        name: str,
        base_url: str,
        api_key: str | None,
        timeout: float,
        n_ctx: int | None,
        remote: bool,
        allow_remote: bool,
        logger: Logger,
    ) -> None:
        self.quirks = Quirks()
        self.n_ctx = n_ctx
        """As the owner states it, or the endpoint."""
        self.answered = False
        self._target = target
        self._name = name
        self._base_url = base_url
        self.api_key = api_key
        self._timeout = timeout
        self._remote = remote
        self._allow_remote = allow_remote
        self._logger = logger
        self._client: openai.AsyncOpenAI | None = None

    def client(self) -> openai.AsyncOpenAI:
        if self._remote and not self._allow_remote:
            raise refuse_remote(self._target, urlsplit(self._base_url).hostname or self._base_url)
        if self._client is None:
            if self._remote and self._name == "openai" and not self.api_key:
                raise AuthenticationError(f"{self._target} needs an API key.", hint="Set OPENAI_API_KEY.")
            self._client = _make_client(self._base_url, self.api_key, self._timeout, self._name, remote=self._remote)
        return self._client

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def send(self, call: Callable[[dict[str, Any]], Any], body: dict[str, Any]) -> httpx2.Response:
        """Sends ``body``; an option that the endpoint does not know is left out from then on."""
        import openai

        body = whole_value(body)
        for _ in range(_MAX_REFUSALS):
            async with self.errors():
                try:
                    response: httpx2.Response = (await call(self.quirks.fit(body))).http_response
                except openai.APIStatusError as error:
                    if not self.quirks.learn(error.status_code, error.param, str(error.message)):
                        raise
                    self._logger.debug(f"{self._target} rejects an option; it is omitted from now on: {self.quirks}")
                    continue
            self.answered = True
            return response
        raise BadRequestError(f"{self._target} rejected {_MAX_REFUSALS} options of one request.")

    async def events(
        self, response: httpx2.Response, reader: EventReader, whole: Callable[[], bool]
    ) -> AsyncGenerator[Any, None]:
        """A stream's events. One that is cut after the answer was complete has only lost its end marker."""
        try:
            async with self.errors():
                async for event in _events_of(response, reader):
                    yield event
        except BackendError as error:
            if not whole():
                raise
            self._logger.debug(f"{self._target} ended its stream without an end marker: {error.message}")

    async def whole(self, response: httpx2.Response) -> Any:
        """The JSON of a body, which may be an error whatever its status says."""
        async with self.errors():
            data = json_value(await response.aread())
            self.check(data)
            return data

    def check(self, data: Any) -> None:
        """Raises what a body or an event of status 200 says went wrong."""
        for part in (data, *choices_of(data)):
            if (error := error_of(part)) is not None:
                status, text = error
                raise from_status(self._target, status, self._masked(text), n_ctx=self.n_ctx)
        if (reason := abort_reason(data)) is not None:
            raise TransientError(f"{self._target} aborted its answer ({reason}).")

    def _masked(self, text: str) -> str:
        """``text`` without this endpoint's key, whatever its shape."""
        return text.replace(self.api_key, "***") if self.api_key and len(self.api_key) >= 6 else text

    def read(self, reader: Callable[[Any, str], T], data: Any) -> T:
        try:
            return reader(data, self._target)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            raise TransientError(f"{self._target} sent a response that does not match OpenAI's API.") from None

    @asynccontextmanager
    async def errors(self) -> AsyncIterator[None]:
        """Exceptions of the client and of the connection below it, as ours."""
        import openai

        try:
            yield
        except openai.APIStatusError as error:
            text = self._masked(error.response.text)
            mapped = from_status(
                self._target,
                error.status_code,
                f"{error.code or ''} {text}",
                headers=error.response.headers,
                n_ctx=self.n_ctx,
            )
            field = blamed_field(error.status_code, text)
            if field is not None and not isinstance(mapped, ContextOverflowError):
                raise BadRequestError(str(mapped), status=error.status_code, field=field) from None
            raise mapped from None
        except openai.APIConnectionError as error:
            cause = from_transport(self._target, error.__cause__ or error, address=self._base_url)
            raise (cause or TargetDownError(f"{self._target} cut the connection.")) from None
        except openai.APIResponseValidationError:
            raise TransientError(f"{self._target} sent a response that does not match OpenAI's API.") from None
        except openai.APIError as error:  # an error event inside a stream
            raise from_status(self._target, 0, f"{error.code or ''} {error.message}", n_ctx=self.n_ctx) from None
        except ParlantLocalError:
            raise
        except Exception as error:
            mapped_transport = from_transport(self._target, error, address=self._base_url)
            if mapped_transport is None:
                raise
            raise mapped_transport from None


def _make_client(base_url: str, api_key: str | None, timeout: float, name: str, *, remote: bool) -> openai.AsyncOpenAI:
    import httpx2
    import openai

    client = openai.AsyncOpenAI(
        # Never None: that would take the environment's OpenAI credentials to whatever endpoint this is.
        api_key=api_key or "none",
        admin_api_key="",
        base_url=base_url,
        max_retries=0,
        http_client=openai.DefaultAsyncHttpxClient(
            timeout=httpx2.Timeout(timeout, connect=min(timeout, 10.0)),
            follow_redirects=False,
            trust_env=remote,
            transport=openai_transport(base_url, trust_env=remote),
        ),
    )
    if name != "openai":
        client.organization = client.project = None
    return client


async def _events_of(response: httpx2.Response, reader: EventReader) -> AsyncIterator[Any]:
    """The values of a stream; one alone where the endpoint answered whole although it was asked to stream."""
    kind = response.headers.get("content-type", "")
    if "json" in kind and "ndjson" not in kind:
        body = await response.aread()
        for value in reader.whole(body) or [*reader.feed(body), *reader.finish()]:  # some call their events JSON
            yield value
        return
    chunks = response.aiter_bytes()
    async for data in chunks:
        for value in reader.feed(data):
            yield value
        if reader.done:
            await _drained(chunks)
            return
    for value in reader.finish():
        yield value


async def _drained(chunks: AsyncIterator[bytes]) -> None:
    """Reads what little may follow the end, so that the connection serves again; one that does not end is given up.

    The answer is whole, so that nothing which happens to its connection now is its failure.
    """
    import httpx2

    with suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for _ in chunks:
                pass
