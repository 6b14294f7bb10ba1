"""The current URL of a file: hubs and registries redirect to signed URLs that expire."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock

from parlant_local.catalog.transfer.http import HttpResponse, same_origin

__all__ = ["Location"]


class Location:
    """Shared by the connections of one file, so that the redirect is resolved once, and again when it has expired."""

    def __init__(self, url: str, headers: Callable[[], Mapping[str, str]]) -> None:
        self._origin = url
        self._headers = headers
        self._lock = Lock()
        self._current: str | None = None

    def get(self) -> tuple[str, Mapping[str, str]]:
        """Address and headers for the next request; secrets only for the origin itself."""
        with self._lock:
            if self._current is not None:
                return self._current, {}
        return self._origin, self._headers()

    def learn(self, response: HttpResponse) -> None:
        """Remember the URL of a successful response, if it was redirected to another origin."""
        if response.redirected and not same_origin(response.url, self._origin):
            with self._lock:
                self._current = response.url

    def forget(self, url: str) -> bool:
        """Drop a redirect that no longer works; False if ``url`` was not a redirect, so that its response counts."""
        with self._lock:
            if self._current == url:
                self._current = None
                return True
        return not same_origin(url, self._origin)
