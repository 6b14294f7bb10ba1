"""A small HTTP client for big files: reads into the caller's buffer, drops credentials on cross-origin redirects.

Made on the standard library's connections because a download spends its time copying: ``readinto`` leaves the interpreter
lock and copies nothing twice (`benchmarks/catalog_download.py` has the figures against httpx2).
"""

from __future__ import annotations

import base64
import http.client
import io
import socket
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from functools import cache
from threading import Lock
from urllib.parse import unquote, urljoin, urlsplit

from parlant_local._version import __version__
from parlant_local.errors import TransferError
from parlant_local.loopback import is_loopback

__all__ = ["HttpResponse", "HttpSession", "same_origin", "shown"]

_CHECK = "Check the connection, or a proxy (HTTPS_PROXY)."
_CONNECT_SECONDS = 15.0
_MAX_REDIRECTS = 6
_REDIRECTS = (301, 302, 303, 307, 308)
_SECRET_HEADERS = ("authorization", "cookie", "proxy-authorization")
_USER_AGENT = f"parlant-local/{__version__}"


def shown(url: str) -> str:
    """``url`` without query and user: both may be credentials."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def same_origin(one: str, other: str) -> bool:
    return _origin(one) == _origin(other)


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)


@dataclass(slots=True)
class HttpResponse:
    """A response whose body is still unread. Read it to the end or close it before the next request."""

    status: int
    headers: Message
    url: str
    """The final URL."""
    redirected: bool
    _raw: http.client.HTTPResponse

    @property
    def length(self) -> int | None:
        """Bytes still to be read, where the server reported the length."""
        return self._raw.length

    @property
    def etag(self) -> str | None:
        """The strong validator, unquoted."""
        value = self.headers.get("ETag")
        return None if value is None or value.startswith("W/") else value.strip('"')

    def readinto(self, view: memoryview) -> int:
        """Whatever has arrived, at most the view's size; 0 at the end. Raises :class:`TransferError` when cut off."""
        raw = self._raw
        try:
            if raw.chunked or raw.length is None:
                piece = raw.read1(len(view))
                view[: len(piece)] = piece
                return len(piece)
            wanted = min(len(view), raw.length)
            if wanted == 0:
                return 0
            source = raw.fp
            assert isinstance(source, io.BufferedReader)
            count = source.readinto1(view[:wanted])
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            # ValueError and AttributeError: the session was aborted, which closes files under the reader.
            raise TransferError(f"The connection to {shown(self.url)} was lost: {_reason(error)}.") from error
        if count == 0:
            raise TransferError(f"{shown(self.url)} closed the connection {raw.length:,} bytes early.")
        raw.length -= count
        if raw.length == 0:
            raw.close()
        return count

    def read(self, limit: int) -> bytes:
        """The whole body; :class:`TransferError` if it is larger than ``limit``."""
        buffer = bytearray(limit + 1)
        view, filled = memoryview(buffer), 0
        while filled <= limit and (count := self.readinto(view[filled:])):
            filled += count
        if filled > limit:
            self.close()
            raise TransferError(f"{shown(self.url)} sent more than {limit:,} bytes.")
        return bytes(view[:filled])

    def close(self) -> None:
        self._raw.close()


class HttpSession:
    """One connection at a time to each host, kept open between requests. For one thread; ``abort`` is for any."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._connections: dict[tuple[str, str, int], http.client.HTTPConnection] = {}
        self._lock = Lock()
        self._aborted = False

    def get(self, url: str, headers: Mapping[str, str] | None = None, *, method: str = "GET") -> HttpResponse:
        """Follows redirects. Credentials are only sent to their origin; https never falls back to http."""
        current, sent = url, dict(headers or {})
        for _ in range(_MAX_REDIRECTS):
            raw = self._request(method, current, sent)
            location = raw.headers.get("Location")
            if raw.status not in _REDIRECTS or not location:
                return HttpResponse(raw.status, raw.headers, current, current != url, raw)
            _drain(raw)
            target = urljoin(current, location)
            parts = urlsplit(target)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise TransferError(f"{shown(current)} redirects to {target[:80]!r}, which is not an http(s) URL.")
            if urlsplit(current).scheme == "https" and parts.scheme == "http":
                raise TransferError(f"{shown(current)} redirects from https to http, which is not followed.")
            if not same_origin(current, target):
                sent = {name: value for name, value in sent.items() if name.lower() not in _SECRET_HEADERS}
            current = target
        raise TransferError(f"{shown(url)} redirects more than {_MAX_REDIRECTS} times.")

    def _request(self, method: str, url: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        fresh = False
        while True:
            connection, path, reused = self._connect(url, fresh)
            sent = {"User-Agent": _USER_AGENT, "Accept-Encoding": "identity", **headers}
            if (authority := urlsplit(url).netloc.rpartition("@")[0]) and "Authorization" not in sent:
                sent["Authorization"] = "Basic " + base64.b64encode(unquote(authority).encode()).decode()
            try:
                connection.request(method, path, headers=sent)
                return connection.getresponse()
            except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
                self._drop(url)
                # The server may have closed a keep-alive connection: retry once on a new one.
                if reused and not fresh and isinstance(error, ConnectionError | http.client.HTTPException):
                    fresh = True
                    continue
                raise TransferError(f"{shown(url)} can't be reached: {_reason(error)}.", hint=_CHECK) from error

    def _connect(self, url: str, fresh: bool) -> tuple[http.client.HTTPConnection, str, bool]:
        origin = scheme, host, port = _origin(url)
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        proxy = _proxy_for(scheme, host)
        with self._lock:
            if self._aborted:
                raise TransferError("The download was stopped.")
            connection = None if fresh else self._connections.get(origin)
            reused = connection is not None and connection.sock is not None
            if connection is None:
                connection = _new_connection(scheme, host, port, proxy)
                self._connections[origin] = connection
        if connection.sock is None:
            try:
                connection.connect()
                _set_timeout(connection, self._timeout)
            except (OSError, http.client.HTTPException) as error:
                self._drop(url)
                raise TransferError(f"{shown(url)} can't be reached: {_reason(error)}.", hint=_CHECK) from error
        if proxy and scheme == "http":
            path = f"http://{parts.netloc.rpartition('@')[2]}{path}"
        return connection, path, reused

    def _drop(self, url: str) -> None:
        with self._lock:
            connection = self._connections.pop(_origin(url), None)
        if connection is not None:
            connection.close()

    def reset(self) -> None:
        """Close every connection; the next request opens new ones."""
        with self._lock:
            connections, self._connections = list(self._connections.values()), {}
        for connection in connections:
            connection.close()

    def abort(self) -> None:
        """Interrupts pending reads, from any thread; the session can't be used afterwards."""
        with self._lock:
            self._aborted = True
            connections = list(self._connections.values())
        for connection in connections:
            if (sock := connection.sock) is not None:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # already closed by the other side


def _set_timeout(connection: http.client.HTTPConnection, seconds: float) -> None:
    if isinstance(sock := connection.sock, socket.socket):
        sock.settimeout(seconds)


def _drain(raw: http.client.HTTPResponse) -> None:
    """Read a redirect's small body, so that the connection can be used again."""
    if raw.length is not None and raw.length <= 1 << 16:
        raw.read()
    raw.close()


@cache
def _tls() -> ssl.SSLContext:
    # The same trust store as the hub's own client: the system's, or SSL_CERT_FILE.
    import httpx2

    return httpx2.create_ssl_context()


def _new_connection(scheme: str, host: str, port: int, proxy: str | None) -> http.client.HTTPConnection:
    if proxy is None:
        if scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=_CONNECT_SECONDS, context=_tls())
        return http.client.HTTPConnection(host, port, timeout=_CONNECT_SECONDS)
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    at = parts.hostname or "", parts.port or 8080
    if scheme != "https":
        return http.client.HTTPConnection(*at, timeout=_CONNECT_SECONDS)
    connection = http.client.HTTPSConnection(*at, timeout=_CONNECT_SECONDS, context=_tls())
    headers = {}
    if parts.username:
        account = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Proxy-Authorization"] = "Basic " + base64.b64encode(account.encode()).decode()
    connection.set_tunnel(host, port, headers)
    return connection


def _proxy_for(scheme: str, host: str) -> str | None:
    if is_loopback(host) or urllib.request.proxy_bypass(host):
        return None
    return urllib.request.getproxies().get(scheme)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.rstrip(".").lower()
    return str(error) or type(error).__name__
