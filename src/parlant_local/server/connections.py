"""One client's connection: its timeouts, and the responses for exceeding them.

Built on uvicorn's h11 protocol, which has only a timeout between requests.
"""

from __future__ import annotations

import asyncio
import enum
import json
import socket
import time
from typing import Any, ClassVar

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from parlant_local.loopback import is_loopback
from parlant_local.server.admission import ConnectionLimit
from parlant_local.server.problems import Problem

__all__ = ["Connection", "connections_of"]

# Read per turn of the event loop: a thousand one-byte chunks take as much time as a megabyte in one.
_READ_BYTES = 16 * 1024
_SEND_BUFFER = 64 * 1024  # the system's default grows to megabytes for a client that reads nothing
_UNREAD_BYTES = 64 * 1024  # buffered for a client to read
_LINGER_SECONDS = 5.0  # keep reading a rejected body, so that the client reads the error
_HEALTH = ("/health", "/v1/health", "/api/health")


class _Phase(enum.Enum):
    HEAD = "head"
    BODY = "body"
    WORK = "work"
    LINGER = "linger"
    IDLE = "idle"
    CLOSING = "closing"


class _CheckedH11(h11.Connection):
    """Keeps the protocol error, and rejects bodies in tiny chunks: each chunk costs as much as thousands of bytes."""

    _FREE_CHUNKS = 10_000
    _MIN_BYTES = 64  # per chunk, beyond the free ones

    refusal: h11.RemoteProtocolError | None = None
    _chunks = 0
    _bytes = 0

    def next_event(self) -> Any:
        try:
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            self.refusal = error
            raise
        if isinstance(event, h11.Data):
            self._chunks += 1
            self._bytes += len(event.data)
            if self._chunks > self._FREE_CHUNKS and self._bytes < self._MIN_BYTES * self._chunks:
                self.refusal = h11.RemoteProtocolError("the body's chunks are too small", error_status_hint=400)
                raise self.refusal
        elif isinstance(event, h11.Request):
            self._chunks = self._bytes = 0
        return event


class Connection(H11Protocol):
    """``connection_limit`` is set by the subclass that :func:`connections_of` creates."""

    connection_limit: ClassVar[ConnectionLimit]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.conn: h11.Connection = _CheckedH11(h11.SERVER, self.connection_limit.limits.header_kb * 1024)
        self._phase, self._since = _Phase.HEAD, time.monotonic()
        self._stalled: float | None = None
        self._unread = 0

    # -- transport callbacks ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        _tune(transport, self.connection_limit.limits.write_seconds)
        verdict = self.connection_limit.admit(self, len(self.connections), self._is_local)
        if verdict == "rejected":
            self._refuse(self.connection_limit.full)
        elif verdict == "overflow":
            self.app = self._only_health

    def connection_lost(self, exc: Exception | None) -> None:
        self.connection_limit.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._phase is _Phase.IDLE:
            self._enter(_Phase.HEAD)
        super().data_received(data)
        self._note()

    def on_response_complete(self) -> None:
        self._enter(_Phase.IDLE)  # a pipelined request starts its own timeout
        super().on_response_complete()
        self._note()

    def pause_writing(self) -> None:
        self._stalled, self._unread = time.monotonic(), self.transport.get_write_buffer_size()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stalled, self._since = None, time.monotonic() if self._phase is _Phase.CLOSING else self._since
        super().resume_writing()

    def shutdown(self) -> None:
        if not self.transport.is_closing():
            super().shutdown()

    # -- time ---------------------------------------------------------------------------------------------------------

    @property
    def waiting_since(self) -> float | None:
        """Since when it has been idle; ``None`` during a request."""
        return self._since if self._phase in (_Phase.HEAD, _Phase.IDLE) else None

    def expire(self, now: float, write_seconds: float) -> None:
        """Closes it where its client exceeds a timeout."""
        limits = self.connection_limit.limits
        if self.transport.is_closing():
            self._enter(_Phase.CLOSING)  # the response is still being sent
        spent = now - self._since
        if self._stalled is not None:
            if now - self._stalled > write_seconds:
                self._check_reading(now)
        elif self._phase is _Phase.HEAD and spent > limits.header_seconds:
            self._time_out(
                f"The request's headers were not complete after {limits.header_seconds:g} s (server.header_seconds)."
            )
        elif self._phase is _Phase.BODY and spent > limits.body_seconds:
            self._time_out(
                f"The request's body was not complete after {limits.body_seconds:g} s (server.body_seconds)."
            )
        elif (self._phase is _Phase.LINGER and spent > _LINGER_SECONDS) or (
            self._phase is _Phase.CLOSING and spent > write_seconds
        ):
            self.transport.abort()

    def _check_reading(self, now: float) -> None:
        """A large response may take long on a slow connection; a client that reads bytewise counts as stalled."""
        unread = self.transport.get_write_buffer_size()
        if self._unread - unread < _UNREAD_BYTES:
            self.transport.abort()
        self._stalled, self._unread = now, unread

    def close_idle(self) -> None:
        self.transport.close()

    def _note(self) -> None:
        theirs = self.conn.their_state
        if self.transport.is_closing():
            self._enter(_Phase.CLOSING)
        elif theirs is h11.SEND_BODY:
            self._enter(_Phase.LINGER if self.cycle.response_complete else _Phase.BODY)
        elif theirs is not h11.IDLE:
            self._enter(_Phase.WORK)

    def _enter(self, phase: _Phase) -> None:
        if phase is not self._phase:
            self._phase, self._since = phase, time.monotonic()

    # -- rejecting ----------------------------------------------------------------------------------------------------

    def _time_out(self, message: str) -> None:
        if self.conn.trailing_data[0] or self.conn.their_state is not h11.IDLE:
            self._refuse(Problem(408, message, "request_timeout"))
        else:
            self.transport.close()  # no request, so no response

    def send_400_response(self, msg: str) -> None:
        refusal = self.conn.refusal if isinstance(self.conn, _CheckedH11) else None
        status = refusal.error_status_hint if refusal is not None else 400
        if status == 431:
            msg = f"The request's headers exceed {self.connection_limit.limits.header_kb} KiB (server.header_kb)."
        elif refusal is not None and str(refusal):
            msg = f"Malformed HTTP/1.1 request: {str(refusal).partition(': ')[0]}."
        self._refuse(Problem(status, msg, "bad_http"))

    def _refuse(self, problem: Problem) -> None:
        """Sends an error response, if no response has started, and closes."""
        if self.cycle is not None:
            self.cycle.disconnected = True  # its handler has no client any more
            self.cycle.message_event.set()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()
            return
        body = json.dumps(problem.body).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            *((name.encode(), value.encode()) for name, value in problem.headers.items()),
        ]
        self.transport.write(
            self.conn.send(
                h11.Response(status_code=problem.status, headers=headers, reason=STATUS_PHRASES[problem.status])
            )
            + self.conn.send(h11.Data(data=body))
            + self.conn.send(h11.EndOfMessage())
        )
        self.transport.close()

    async def _only_health(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What a full server still serves: health checks from this machine."""
        self.cycle.keep_alive = False
        if self._is_local and scope["path"] in _HEALTH:
            await self.config.loaded_app(scope, receive, send)
        else:
            self._refuse(self.connection_limit.full)

    @property
    def _is_local(self) -> bool:
        return self.client is not None and is_loopback(self.client[0])

    def _should_upgrade(self) -> bool:
        return False  # HTTP allows ignoring an upgrade request


def connections_of(connection_limit: ConnectionLimit) -> type[Connection]:
    """The protocol class of one server."""
    return type("Connection", (Connection,), {"connection_limit": connection_limit})


def _tune(transport: asyncio.Transport, patience: float) -> None:
    transport.set_write_buffer_limits(high=_UNREAD_BYTES)
    setattr(transport, "max_size", _READ_BYTES)  # noqa: B010  # an attribute of asyncio's transports that type stubs lack
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    # Without it each response on a keep-alive connection waits for the previous one's ACK (Nagle).
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    # Detects clients that vanished while their response is being computed.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", 60),
        ("TCP_KEEPINTVL", 15),
        ("TCP_KEEPCNT", 4),
        ("TCP_USER_TIMEOUT", int(patience * 1000)),
    ):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
