"""The connection to an Ollama daemon: its client, and what goes wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from traceback import walk_tb
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from parlant_local.backends.addresses import refuse_remote
from parlant_local.backends.failures import from_status, from_transport
from parlant_local.backends.reconnecting import ollama_transport
from parlant_local.errors import BadRequestError, ParlantLocalError, TransientError

if TYPE_CHECKING:
    import ollama

__all__ = ["DaemonConnection", "closing"]


class DaemonConnection:
    """How one model's daemon is reached, and every failure as one of ours."""

    def __init__(
        self, target: str, *, base_url: str, timeout: float, n_ctx: int | None, remote: bool, allow_remote: bool
    ) -> None:
        self.n_ctx = n_ctx
        """As the owner states it, or as it was chosen once the daemon had told of the model."""
        self._target = target
        self._base_url = base_url
        self._timeout = timeout
        self._remote = remote
        self._allow_remote = allow_remote
        self._client: ollama.AsyncClient | None = None

    def client(self) -> ollama.AsyncClient:
        if self._remote and not self._allow_remote:
            raise refuse_remote(self._target, urlsplit(self._base_url).hostname or self._base_url)
        if self._client is None:
            import httpx
            import ollama

            self._client = ollama.AsyncClient(
                self._base_url,
                follow_redirects=False,
                trust_env=self._remote,
                transport=ollama_transport(self._base_url, trust_env=self._remote),
                timeout=httpx.Timeout(self._timeout, connect=min(self._timeout, 10.0)),
            )
        return self._client

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()  # type: ignore[no-untyped-call]  # the client has no annotation here

    @asynccontextmanager
    async def errors(self) -> AsyncIterator[None]:
        """Exceptions of the client and of the connection below it, as ours."""
        import ollama

        try:
            yield
        except ollama.ResponseError as error:
            raise from_status(self._target, max(0, error.status_code), str(error.error), n_ctx=self.n_ctx) from None
        except ollama.RequestError as error:
            raise BadRequestError(f"{self._target} can't send this request: {error}") from None
        except ParlantLocalError:
            raise
        except Exception as error:
            mapped = from_transport(self._target, error, address=self._base_url)
            if mapped is None and _raised_by_client(error):
                mapped = TransientError(f"{self._target} sent a response that does not match Ollama's API.")
            if mapped is None:
                raise
            raise mapped from None


def _raised_by_client(error: Exception) -> bool:
    """The client trips over errors that are not text, in its own code: those come from the daemon (or a proxy)."""
    modules = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__)]
    told = modules[-1:] == ["ollama._client"] or "ollama._types" in modules
    return told and isinstance(error, TypeError | AttributeError)


@asynccontextmanager
async def closing(stream: Any) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await stream.aclose()
