"""A small HTTP/1.1 server on a real loopback socket that fails in every way real ones do, on command."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections import Counter, deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

FaultKind = Literal[
    "status",
    "hang",
    "drip",
    "empty",
    "bad_json",
    "cut",
    "error_event",
    "reset",
    "redirect",
    "silence_mid_stream",
    "cut_in_head",
]


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong with one request."""

    kind: FaultKind
    status: int = 500
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    after: int = 2
    """Pieces of a stream that get through first."""
    delay: float = 0.05
    """Seconds between the pieces of a drip."""


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    answered: bool = False
    disconnected: bool = False


@dataclass
class Reply:
    """What a route answers: a JSON body, or the lines of a stream."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    """Instead of ``body``, bytes as they are."""
    lines: AsyncIterator[bytes] | None = None
    content_type: str = "application/json"


class FaultServer:
    """Subclasses answer in :meth:`route`; ``faults`` are used up first in, first out, ``always`` is used every time."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.faults: deque[Fault] = deque()
        self.always: Fault | None = None
        self.slams = 0
        """Connections that are reset as soon as they are accepted."""
        self.dead: set[asyncio.StreamWriter] = set()
        """Open connections that are cut as soon as a request comes on them."""
        self.in_flight = 0
        self.most_in_flight = 0
        self._server: asyncio.Server | None = None
        self._port = 0
        self._connections: set[asyncio.StreamWriter] = set()
        self._released = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def calls(self, path: str) -> int:
        return Counter(request.path for request in self.requests)[path]

    async def start(self) -> None:
        """Listens; after :meth:`stop`, on the same port again."""
        self._released.clear()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port, limit=1 << 24)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """From now on connections are refused, and the open ones are cut."""
        self._released.set()
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._connections):
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def route(self, request: Request) -> Reply:
        raise NotImplementedError

    def error_body(self, status: int) -> Any:
        raise NotImplementedError

    def error_line(self) -> bytes:
        raise NotImplementedError

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.slams > 0:
            self.slams -= 1
            _reset(writer)
            return
        self._connections.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while (request := await _read_request(reader)) is not None:
                self.requests.append(request)
                self.in_flight += 1
                self.most_in_flight = max(self.most_in_flight, self.in_flight)
                watcher = asyncio.ensure_future(self._watch(reader, request))
                try:
                    await self._answer(request, writer)
                finally:
                    self.in_flight -= 1
                    watcher.cancel()
                    await asyncio.gather(watcher, return_exceptions=True)
                if not request.answered:
                    break
        except (ConnectionError, asyncio.CancelledError, asyncio.IncompleteReadError):
            pass
        finally:
            self._connections.discard(writer)
            self._tasks.discard(task)
            writer.close()

    @staticmethod
    async def _watch(reader: asyncio.StreamReader, request: Request) -> None:
        # Nothing is pipelined at us, so that the end of input before our answer means that the client went away.
        while not reader.at_eof() and reader.exception() is None:  # streams have no such event
            await asyncio.sleep(0.005)
        request.disconnected = not request.answered

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if writer in self.dead:
            writer.transport.abort()
            return
        fault = self.always if self.always is not None else (self.faults.popleft() if self.faults else None)
        if fault is not None and await self._fail_early(fault, writer):
            request.answered = fault.kind in ("status", "redirect", "empty", "bad_json")
            return
        reply = await self.route(request)
        if reply.lines is None:
            delay = fault.delay if fault is not None and fault.kind == "drip" else 0.0
            body = json.dumps(reply.body).encode() if reply.raw is None else reply.raw
            await _send(writer, reply.status, body, reply.headers, drip=delay)
            request.answered = True
            return
        await self._stream(request, reply, fault, writer)

    async def _fail_early(self, fault: Fault, writer: asyncio.StreamWriter) -> bool:
        """Whether the fault was the whole answer."""
        if fault.kind == "status":
            body = self.error_body(fault.status) if fault.body is None else fault.body
            raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            await _send(writer, fault.status, raw, fault.headers)
        elif fault.kind == "redirect":
            await _send(writer, 307, b"", {"location": str(fault.body)})
        elif fault.kind == "empty":
            await _send(writer, 200, b"", {})
        elif fault.kind == "bad_json":
            await _send(writer, 200, b'{"choices": [', {})
        elif fault.kind == "hang":
            await self._released.wait()
        elif fault.kind == "reset":
            writer.transport.abort()
        elif fault.kind == "cut_in_head":
            writer.write(b"HTTP/1.1 20")
            await writer.drain()
            writer.close()
        else:
            return False
        return True

    async def _stream(self, request: Request, reply: Reply, fault: Fault | None, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {reply.content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(head.encode())
        await writer.drain()
        assert reply.lines is not None
        sent = 0
        async for line in reply.lines:
            if fault is not None and fault.kind in ("cut", "error_event", "silence_mid_stream") and sent >= fault.after:
                if fault.kind == "silence_mid_stream":
                    await self._released.wait()
                if fault.kind == "error_event":
                    await _chunk(writer, self.error_line())
                    break
                writer.transport.abort()
                return
            if fault is not None and fault.kind == "drip":
                await asyncio.sleep(fault.delay)
            await _chunk(writer, line)
            sent += 1
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        request.answered = True


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
    await writer.drain()


async def _send(
    writer: asyncio.StreamWriter, status: int, body: bytes, headers: Mapping[str, str], *, drip: float = 0.0
) -> None:
    lines = [f"HTTP/1.1 {status} Status", f"content-length: {len(body)}", "content-type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    if drip:
        for start in range(0, len(body), 64):
            writer.write(body[start : start + 64])
            await writer.drain()
            await asyncio.sleep(drip)
    else:
        writer.write(body)
    await writer.drain()


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *rest = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in rest if line)}
    raw = await reader.readexactly(int(headers.get("content-length", "0")))
    is_form = headers.get("content-type", "").startswith("multipart/")
    return Request(method, path.partition("?")[0], headers, raw if is_form else json.loads(raw) if raw else None)
