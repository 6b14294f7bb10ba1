"""The page's files, its own and the libraries': a fixed set, read once, compressed once."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

__all__ = ["Asset", "asset", "asset_names"]

_SERVER = Path(__file__).parent
_PAGE, _VENDOR = _SERVER / "page", _SERVER / "vendor"
_LIBRARIES = {
    "vendor/markdown-it.js": _VENDOR / "markdown-it" / "markdown-it.esm.min.mjs",
    "vendor/highlight.js": _VENDOR / "highlight" / "highlight.min.js",
    "vendor/temml.js": _VENDOR / "temml" / "temml.min.js",
    "vendor/temml.css": _VENDOR / "temml" / "Temml-Local.css",
    "vendor/Temml.woff2": _VENDOR / "temml" / "Temml.woff2",
}
_MODULES = b"<!-- modules -->"
_LATER = frozenset({"markdown/highlighter.js", "vendor/highlight.js", "vendor/temml.js"})
"""Fetched when an answer needs them."""
_KINDS = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True)
class Asset:
    body: bytes
    kind: str

    @cached_property
    def packed(self) -> bytes:
        """With gzip; the font is compressed already."""
        return self.body if self.kind == "font/woff2" else gzip.compress(self.body, 9, mtime=0)

    @cached_property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'


@lru_cache(maxsize=1)
def _places() -> Mapping[str, Path]:
    """Names below ``/page/``, each with its file: what is not here is not served."""
    own = {path.relative_to(_PAGE).as_posix(): path for path in _PAGE.rglob("*") if path.suffix in _KINDS}
    return {**own, **_LIBRARIES}


def asset_names() -> list[str]:
    return sorted(_places())


@lru_cache(maxsize=256)
def asset(name: str) -> Asset | None:
    """A file of the page; None for any other name."""
    place = _places().get(name)
    if place is None:
        return None
    body = place.read_bytes()
    if name == "index.html":
        body = body.replace(_MODULES, "\n  ".join(_preloads()).encode())
    return Asset(body, _KINDS[Path(name).suffix])


def _preloads() -> Iterator[str]:
    """All modules that the page begins with are asked for at once: it does not wait for one to learn of the next."""
    for name in asset_names():
        if name.endswith(".js") and name not in _LATER:
            yield f'<link rel="modulepreload" href="page/{name}">'
