"""The ASGI app."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from parlant_local import __version__
from parlant_local.catalog import LocalModelManager
from parlant_local.errors import ParlantLocalError
from parlant_local.images import ImageDirectory
from parlant_local.messages import shown
from parlant_local.server.auth import Keyring, check_binding, check_key_origin
from parlant_local.server.bodies import UnreadableBody
from parlant_local.server.context import Context
from parlant_local.server.doors.failures import body_of
from parlant_local.server.guarding import Guard, Observer
from parlant_local.server.history import note_problem
from parlant_local.server.ignored import HEADER
from parlant_local.server.logs import ServerLogger
from parlant_local.server.problems import Problem, problem_of
from parlant_local.server.routes import routers
from parlant_local.server.routes.common import FAILURES
from parlant_local.settings import Settings

__all__ = ["create_app"]

_ABOUT = """An OpenAI-compatible API for local models, and their administration.

Errors have OpenAI's format, below `/v1/messages` Anthropic's; every response has an `x-request-id`."""


def create_app(
    settings: Settings | None = None,
    *,
    logger: ServerLogger | None = None,
    manager: LocalModelManager | None = None,
    images: ImageDirectory | None = None,
    keys: Keyring | None = None,
) -> FastAPI:
    """The app of these settings; models are loaded when it starts, or when a request needs them. ``keys``: instead of the settings'.

    Raises :class:`SettingsError` for keys that are missing or unreadable.
    """
    settings = settings or Settings()
    logger = logger or ServerLogger(settings.logging, settings.log_level)
    check_key_origin(settings)
    keys = Keyring.load(settings.auth) if keys is None else keys
    check_binding(settings.server, keys)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        models = manager or LocalModelManager(settings=settings, logger=logger)
        context = Context(settings, keys, logger, models, images)
        app.state.context = context
        await context.start()
        try:
            yield
        finally:
            await context.close()

    app = FastAPI(
        title="parlant-local",
        version=__version__,
        description=_ABOUT,
        lifespan=life,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        responses=FAILURES,
        redirect_slashes=False,
        dependencies=[Depends(HTTPBearer(auto_error=False, description="An API key, where the server has keys."))],
    )
    for router in routers(settings.server):
        app.include_router(router)
    app.add_exception_handler(ParlantLocalError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    # The last one added runs first: log, CORS, guard.
    app.add_middleware(_LazyMiddleware, make=Guard)
    if settings.cors.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors.origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=[
                "authorization",
                "content-type",
                "x-request-id",
                "x-api-key",
                "anthropic-version",
                "anthropic-beta",
            ],
            expose_headers=["x-request-id", "request-id", "retry-after", HEADER],
        )
    app.add_middleware(_LazyMiddleware, make=Observer)
    return app


class _LazyMiddleware:
    """A middleware that needs the context, which exists only once the app has started."""

    def __init__(self, app: ASGIApp, make: type[Guard] | type[Observer]) -> None:
        self._app, self._make = app, make
        self._make_route: Guard | Observer | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if self._make_route is None:
            self._make_route = self._make(self._app, scope["app"].state.context)
        await self._make_route(scope, receive, send)


async def _on_error(request: Request, error: Exception) -> Response:
    return _answer(request, problem_of(error))


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = error.errors()[0]
    place = shown(".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path")))
    more = f" (and {len(error.errors()) - 1} more)" if len(error.errors()) > 1 else ""
    if first["loc"] == ("body",):
        kind = request.headers.get("content-type", "")
        # What browsers send without a preflight is not parsed as JSON, so that other websites can't post here.
        wish = "be a JSON object" if "json" in kind else "be JSON, with the header `content-type: application/json`"
        return _answer(request, Problem(422, f"The body must {wish}.", "invalid_value"))
    # Never the value: it may be user content.
    message = f"{place}: {first['msg']}{more}." if place else f"{first['msg']}{more}."
    return _answer(request, Problem(422, message, "invalid_value", place or None))


async def _on_http(request: Request, error: Exception) -> Response:
    if isinstance(error, UnreadableBody):
        return _answer(request, error.problem)
    assert isinstance(error, HTTPException)
    codes = {404: "not_found", 405: "method_not_allowed", 413: "request_too_large"}
    message = str(error.detail)
    if error.status_code == 404:
        message = (
            f"Unknown path {shown(request.url.path)}. OpenAI's API is under /v1; GET /openapi.json lists all paths."
        )
    elif error.status_code == 405:
        message = f"{shown(request.url.path)} does not support {shown(request.method)}."
    problem = Problem(error.status_code, message, codes.get(error.status_code, "bad_request"))
    return _answer(request, problem, **dict(error.headers or {}))


def _answer(request: Request, problem: Problem, **headers: str) -> Response:
    note_problem(problem)
    return JSONResponse(body_of(problem, request.url.path), problem.status, problem.headers | headers)
