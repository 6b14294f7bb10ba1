"""Swagger UI and ReDoc, from bundled files, so that no network is needed."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, HTMLResponse, Response

from parlant_local.errors import RequestRefusedError

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
_VENDOR = Path(__file__).parent.parent / "vendor"
_FILES = {
    "swagger-ui.css": ("swagger-ui/swagger-ui.css", "text/css"),
    "swagger-ui-bundle.js": ("swagger-ui/swagger-ui-bundle.js", "text/javascript"),
    "redoc.standalone.js": ("redoc/redoc.standalone.js", "text/javascript"),
    "start-swagger.js": ("start-swagger.js", "text/javascript"),
}
# Both use inline styles; neither may load anything from another host.
_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src blob:; "
    "font-src 'self' data:; object-src 'none'; frame-ancestors 'none'; base-uri 'none'"
)
_SWAGGER = """<!doctype html><html lang="en"><meta charset="utf-8"><title>parlant-local API</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="page/icon.svg">
<link rel="stylesheet" href="vendor/swagger-ui.css"><body><div id="swagger"></div>
<script src="vendor/swagger-ui-bundle.js"></script><script src="vendor/start-swagger.js"></script></body></html>"""
_REDOC = """<!doctype html><html lang="en"><meta charset="utf-8"><title>parlant-local API</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="page/icon.svg">
<body><redoc spec-url="openapi.json"></redoc><script src="vendor/redoc.standalone.js"></script></body></html>"""


@router.get("/docs")
async def swagger() -> Response:
    return HTMLResponse(_SWAGGER, headers={"content-security-policy": _POLICY})


@router.get("/redoc")
async def redoc() -> Response:
    return HTMLResponse(_REDOC, headers={"content-security-policy": _POLICY})


@router.get("/vendor/{name}")
async def vendor(name: str) -> Response:
    if (found := _FILES.get(name)) is None:
        raise RequestRefusedError(404, f"Unknown file {name!r}.", code="not_found")
    path, kind = found
    return FileResponse(_VENDOR / path, media_type=kind, headers={"cache-control": "max-age=3600"})
