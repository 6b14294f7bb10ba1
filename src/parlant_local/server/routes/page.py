"""The web page at ``/``: only files of this package."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, Response

from parlant_local.errors import RequestRefusedError

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
_SERVER = Path(__file__).parent.parent
_PAGE = _SERVER / "page"
_KINDS = {
    **{f"{name}.js": "text/javascript" for name in ("api", "app", "chat", "dom", "markdown", "models", "status")},
    "markdown-it.js": "text/javascript",
    "style.css": "text/css",
    "icon.svg": "image/svg+xml",
}
_VENDORED = {"markdown-it.js": _SERVER / "vendor" / "markdown-it" / "markdown-it.esm.min.mjs"}
_HEADERS = {
    # Model output is shown as text; should a script slip through, the browser does not run it.
    "content-security-policy": "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


@router.get("/")
async def index() -> Response:
    return FileResponse(_PAGE / "index.html", media_type="text/html", headers=_HEADERS)


@router.get("/favicon.ico")
async def icon() -> Response:
    return FileResponse(_PAGE / "icon.svg", media_type="image/svg+xml", headers=_HEADERS)


@router.get("/page/{name}")
async def file(name: str) -> Response:
    if (kind := _KINDS.get(name)) is None:
        raise RequestRefusedError(404, f"Unknown file {name!r}.", code="not_found")
    return FileResponse(_VENDORED.get(name, _PAGE / name), media_type=kind, headers=_HEADERS)
