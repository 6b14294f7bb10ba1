"""Middleware in front of every route: request id, access checks (host, origin, key), limits, and the log."""

from __future__ import annotations

import re
import secrets
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from parlant_local import telemetry
from parlant_local.engine.watching import watching
from parlant_local.errors import RequestRefusedError
from parlant_local.loopback import host_in, is_loopback
from parlant_local.server.auth import mark_of, presented_key
from parlant_local.server.clients import Clients
from parlant_local.server.doors.failures import body_of, is_anthropic
from parlant_local.server.draining import SHUTTING_DOWN
from parlant_local.server.history import RequestRecord, current_request, note_problem
from parlant_local.server.logs import request_id
from parlant_local.server.problems import Problem, problem_of
from parlant_local.server.waiting import ClientGone

if TYPE_CHECKING:
    from parlant_local.server.context import Context

__all__ = ["Guard", "Observer", "is_administration", "is_public"]

_ID = re.compile(r"[A-Za-z0-9._\-]{1,128}\Z")
# Opened directly in a browser, which can only authenticate by Basic.
_FOR_BROWSERS = ("/docs", "/redoc", "/openapi.json", "/vendor/", "/metrics")
_ADMINISTRATION = frozenset(
    {
        "/models",
        "/lora-adapters",
        "/slots",
        "/api/status",
        "/metrics",
        "/api/requests",
        "/api/search",
        "/api/recommend",
        "/api/agents",
    }
)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def is_public(path: str) -> bool:
    """Whether a path needs no key: a picture's address, which nobody guesses, is its key."""
    return path in ("/", "/health", "/livez", "/readyz", "/favicon.ico") or path.startswith(("/page/", "/images/"))


def is_administration(path: str) -> bool:
    """Whether a path needs an admin key: it changes or reveals the server's state."""
    return path in _ADMINISTRATION or path.startswith(("/models/", "/slots/"))


class Observer:
    """Assigns request ids, logs each request, and turns unhandled exceptions into responses."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app, self._context = app, context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        identity = given if _ID.match(given) else f"req-{secrets.token_hex(12)}"
        token = request_id.set(identity)
        record = self._record(scope, identity)
        began = time.monotonic()
        status = 0
        ended = False

        async def observed(message: Message) -> None:
            nonlocal status, ended
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = identity
                if is_anthropic(scope["path"]):
                    headers["request-id"] = identity
                headers.setdefault("x-content-type-options", "nosniff")
            elif message["type"] == "http.response.body":
                ended = not message.get("more_body", False)
            await send(message)

        metrics = self._context.metrics
        metrics.running.inc()
        try:
            with self._context.drain.request():
                try:
                    await self._app(scope, receive, observed)
                except ClientGone:
                    status = 499  # as in nginx; it is only logged
                    metrics.disconnects.inc()
                except Exception as error:
                    self._context.logger.event(
                        "error", "A request failed.", error=f"{type(error).__name__}: {error}", path=scope["path"]
                    )
                    if status:  # the response has started
                        raise
                    await _send_problem(problem_of(error), scope, receive, observed)
        finally:
            seconds = time.monotonic() - began
            if record is not None:
                record.end(status, scope.get("state", {}).get("client"))
            metrics.running.dec()
            route = _route_of(scope)
            metrics.requests.labels(route, str(status)).inc()
            metrics.seconds.labels(route).observe(seconds)
            quiet = scope["path"] in ("/health", "/metrics", "/api/status") and status < 400
            self._context.logger.event(
                "debug" if quiet else "info",
                f"{scope['method']} {scope['path']}",
                status=status,
                seconds=round(seconds, 4),
                client=scope.get("state", {}).get("client"),
                cut=None if ended else True,
            )
            request_id.reset(token)

    def _record(self, scope: Scope, identity: str) -> RequestRecord | None:
        if scope["method"] in _SAFE:
            return None
        record = RequestRecord(identity, scope["method"], scope["path"])
        self._context.history.begin(record)
        current_request.set(record)
        watching.set(record.watch)
        return record


class Guard:
    """Checks access, size and rate of requests."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app, self._context = app, context
        settings = context.settings
        self._origins = frozenset(settings.cors.origins)
        self._hosts = frozenset(host.lower() for host in settings.server.allowed_hosts)
        self._clients = Clients(settings.server.trusted_proxies)
        self._only_loopback = is_loopback(settings.server.host) and not self._hosts
        self._most_bytes = int(settings.limits.body_mb * 1024 * 1024)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        with ExitStack() as held:
            try:
                client = self._admit(scope, headers)
                scope.setdefault("state", {})["client"] = client
                if scope["method"] not in _SAFE:
                    held.enter_context(self._context.limiter.request(client))
            except RequestRefusedError as refused:
                await _send_problem(
                    problem_of(refused), scope, receive, send, challenge=scope["path"].startswith(_FOR_BROWSERS)
                )
                return
            with telemetry.caller(headers):
                await self._app(scope, self._limited(receive), send)

    def _admit(self, scope: Scope, headers: Headers) -> str:
        """The client that the request counts for."""
        path = scope["path"]
        if self._context.drain.begun and path != "/health":
            raise _refused(SHUTTING_DOWN)
        self._check_host(headers)
        if scope["method"] not in _SAFE:
            self._check_origin(headers)
            length = headers.get("content-length", "0")
            if length.isdigit() and int(length) > self._most_bytes:
                raise RequestRefusedError(413, self._too_large, code="request_too_large")
        if not self._context.keys:
            return self._clients.name(scope, headers)
        if is_public(path):
            return "public"
        key = presented_key(headers, basic=path.startswith(_FOR_BROWSERS) and scope["method"] in _SAFE)
        if key is None:
            raise RequestRefusedError(
                401,
                "An API key is required: send `Authorization: Bearer KEY`, or `x-api-key: KEY`.",
                code="missing_api_key",
            )
        owner = self._context.keys.owner_of(key)
        if owner is None:
            raise RequestRefusedError(401, "The API key is not valid.", code="invalid_api_key")
        if not owner.admin and is_administration(path):
            raise RequestRefusedError(
                403,
                "This key may not administer the server; use an admin key (auth.admin_key_file).",
                code="admin_key_needed",
            )
        scope.setdefault("state", {})["owner"] = mark_of(key)
        return owner.name

    def _check_host(self, headers: Headers) -> None:
        """Prevents DNS rebinding, by which websites reach servers on their visitor's machine."""
        name = host_in(headers.get("host", ""))
        if name is None:
            known = not self._only_loopback and not self._hosts
        else:
            known = is_loopback(name) if self._only_loopback else not self._hosts or name.strip("[]") in self._hosts
        if not known:
            raise RequestRefusedError(
                403,
                f"Host {headers.get('host', '')!r} is not allowed; add it to server.allowed_hosts.",
                code="bad_host",
            )

    def _check_origin(self, headers: Headers) -> None:
        """Prevents cross-site requests: browsers send the origin of the requesting website."""
        origin = headers.get("origin")
        if origin is None or "*" in self._origins or origin in self._origins:
            return
        if origin.partition("://")[2].lower() != headers.get("host", "").lower():
            raise RequestRefusedError(
                403, f"Requests from the website {origin} are not allowed; add it to cors.origins.", code="bad_origin"
            )

    def _limited(self, receive: Receive) -> Receive:
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._most_bytes:
                raise HTTPException(413, self._too_large)
            return message

        return counted

    @property
    def _too_large(self) -> str:
        return f"The request is larger than {self._context.settings.limits.body_mb:g} MiB (limits.body_mb)."


async def _send_problem(
    problem: Problem, scope: Scope, receive: Receive, send: Send, *, challenge: bool = False
) -> None:
    note_problem(problem)
    headers = problem.headers
    if problem.status == 401:
        scheme = "Basic" if challenge else "Bearer"
        headers["www-authenticate"] = f'{scheme} realm="parlant-local"'
    await JSONResponse(body_of(problem, scope["path"]), problem.status, headers)(scope, receive, send)


def _refused(problem: Problem) -> RequestRefusedError:
    return RequestRefusedError(problem.status, problem.message, code=problem.code, retry_after=problem.retry_after)


def _route_of(scope: Scope) -> str:
    """The route's pattern, so that unknown paths are counted as one."""
    route = scope.get("route")
    return str(getattr(route, "path", "unknown"))
