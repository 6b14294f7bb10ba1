"""The HTTP transport of endpoint and daemon: a request whose connection was dropped before the first response byte is resent.

Servers close keep-alive connections while a request is on its way to them. Neither HTTP library distinguishes such a
drop from one in the middle of the response headers, so bytes are counted at the socket. The retry goes over a connection
of its own, since others in the pool may be dead as well; there is no second retry.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from parlant_local.backends.retry_budget import acquire_retry

__all__ = ["ollama_transport", "openai_transport"]

_CUT = "The connection was dropped before the first byte of a response."


def openai_transport(url: str, *, trust_env: bool) -> Any:
    """For the ``openai`` client, which speaks by httpx2."""
    import httpcore2
    import httpx2
    from openai import DEFAULT_CONNECTION_LIMITS

    return Reconnecting(httpx2, httpcore2.ReadError, DEFAULT_CONNECTION_LIMITS, url, trust_env=trust_env)


def ollama_transport(url: str, *, trust_env: bool) -> Any:
    """For the ``ollama`` client, which speaks by httpx."""
    import httpcore
    import httpx

    return Reconnecting(httpx, httpcore.ReadError, httpx.Limits(), url, trust_env=trust_env)


class Reconnecting:
    """A transport of either library, by composition: both take whatever has these methods."""

    def __init__(self, library: Any, read_error: type[Exception], limits: Any, url: str, *, trust_env: bool) -> None:
        # With an explicit transport the clients no longer read proxies from the environment, so it is done here.
        proxy = environment_proxy(url) if trust_env else None
        context = library.create_ssl_context(trust_env=trust_env)

        def make(limits: Any) -> Any:
            transport = library.AsyncHTTPTransport(verify=context, trust_env=trust_env, limits=limits, proxy=proxy)
            transport._pool._network_backend = _WatchedNetwork(transport._pool._network_backend, read_error)
            return transport

        self._pooled = make(limits)
        self._second = make(library.Limits(max_keepalive_connections=0))
        self._closed = False

    async def handle_async_request(self, request: Any) -> Any:
        try:
            return await self._pooled.handle_async_request(request)
        except Exception as error:
            if str(error) != _CUT or self._closed or not acquire_retry():
                raise
        return await self._second.handle_async_request(request)

    async def aclose(self) -> None:
        self._closed = True
        await self._pooled.aclose()
        await self._second.aclose()

    async def __aenter__(self) -> Reconnecting:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def environment_proxy(url: str) -> str | None:
    """The proxy that the environment names for ``url``; ``None`` where there is none, or ``NO_PROXY`` excepts it."""
    place = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(place.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(place.netloc):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


class _WatchedNetwork:
    """Opens connections that know whether anything came back."""

    def __init__(self, network: Any, read_error: type[Exception]) -> None:
        self._network = network
        self._read_error = read_error

    async def connect_tcp(self, *arguments: Any, **named: Any) -> Any:
        return _WatchedStream(await self._network.connect_tcp(*arguments, **named), self._read_error)

    async def connect_unix_socket(self, *arguments: Any, **named: Any) -> Any:
        return _WatchedStream(await self._network.connect_unix_socket(*arguments, **named), self._read_error)

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)


class _WatchedStream:
    def __init__(self, stream: Any, read_error: type[Exception]) -> None:
        self._stream = stream
        self._read_error = read_error
        self._answered = False
        """Whether a byte came since the last one was sent."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            data: bytes = await self._stream.read(max_bytes, timeout)
        except self._read_error as error:
            if self._answered:
                raise
            raise self._read_error(_CUT) from error
        if not data and not self._answered:
            raise self._read_error(_CUT)
        self._answered = self._answered or bool(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._answered = False
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(self, *arguments: Any, **named: Any) -> Any:
        return _WatchedStream(await self._stream.start_tls(*arguments, **named), self._read_error)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
