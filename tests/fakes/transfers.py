"""A threaded HTTP/1.1 server on loopback with faults to order: what all the stand-ins are made of."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

__all__ = ["Fault", "LoopbackServer", "Request"]


@dataclass(slots=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    sent: int = 0
    """Body bytes that went out."""


@dataclass(slots=True)
class Fault:
    """What goes wrong with the next ``times`` answers that carry a file (``when`` narrows it down)."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    """Bytes after which the connection is reset."""
    corrupt: bool = False
    extra_size: int = 0
    """Added to the size that is announced, and zeros to the body."""
    no_ranges: bool = False
    etag: str | None = None
    drip: float | None = None
    """Seconds between single bytes."""
    hang: float | None = None
    """Seconds of silence after half of the body."""
    rate: float | None = None
    """Bytes per second."""
    times: int = 1_000_000
    when: Callable[[Request], bool] = lambda request: True
    skip: int = 0
    """Answers that go well first."""


class LoopbackServer:
    """Routes are ``(method, regular expression)`` to a handler method; see the stand-ins."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.errors: list[Exception] = []
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, format: str, *args: Any) -> None: ...

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length) if length else b""
                request = Request(self.command, self.path, {key.lower(): value for key, value in self.headers.items()})
                with outer.lock:
                    outer.requests.append(request)
                try:
                    outer.handle(Exchange(self, request, body))
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True
                except Exception as error:  # a fault of the stand-in itself: shown when it is closed
                    outer.errors.append(error)
                    raise

            do_GET = do_HEAD = do_POST = do_DELETE = _serve

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: Any, client_address: Any) -> None: ...

        self._server = Server((host, 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://{host}:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        if self.errors:
            raise ExceptionGroup("the stand-in failed", self.errors)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def handle(self, exchange: Exchange) -> None:
        raise NotImplementedError

    def take_fault(self, request: Request) -> Fault:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.when(request):
                    if fault.skip > 0:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    return fault
        return Fault()

    @property
    def bytes_sent(self) -> int:
        with self.lock:
            return sum(request.sent for request in self.requests)


class Exchange:
    """One request being answered."""

    def __init__(self, handler: BaseHTTPRequestHandler, request: Request, body: bytes) -> None:
        self.handler, self.request, self.body = handler, request, body
        self.path, _, self.query = request.path.partition("?")

    def match(self, method: str, pattern: str) -> re.Match[str] | None:
        return re.fullmatch(pattern, self.path) if self.request.method in (method, "HEAD") else None

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.handler.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.handler.send_header(key, value)
        self.handler.end_headers()
        if self.request.method != "HEAD":
            self.handler.wfile.write(body)

    def reset(self) -> None:
        """End the connection the hard way."""
        sock = self.handler.connection
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        self.handler.close_connection = True

    def send_file(self, data: bytes | Path, fault: Fault, etag: str, headers: dict[str, str] | None = None) -> None:
        """A file with range support, unless the fault says otherwise."""
        if fault.status is not None:
            self.answer(fault.status, b"fault", fault.headers)
            return
        size = (data.stat().st_size if isinstance(data, Path) else len(data)) + fault.extra_size
        start, end, status = 0, size, 200
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.request.headers.get("range", ""))
        if wanted and not fault.no_ranges:
            start, status = int(wanted[1]), 206
            end = min(int(wanted[2]) + 1 if wanted[2] else size, size)
            if start >= size:
                self.answer(416, b"", {"Content-Range": f"bytes */{size}"})
                return
        self.handler.send_response(status)
        head = {
            "Content-Length": str(end - start),
            "ETag": f'"{fault.etag or etag}"',
            **(headers or {}),
            **fault.headers,
        }
        if not fault.no_ranges:
            head["Accept-Ranges"] = "bytes"
        if status == 206:
            head["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        for key, value in head.items():
            self.handler.send_header(key, value)
        self.handler.end_headers()
        if self.request.method == "HEAD":
            return
        self.handler.wfile.flush()
        self._send_body(data, start, end, fault)

    def _send_body(self, data: bytes | Path, start: int, end: int, fault: Fault) -> None:
        plain = not (fault.corrupt or fault.drip or fault.hang or fault.rate or fault.extra_size)
        if isinstance(data, Path) and plain and fault.cut_after is None:
            with data.open("rb") as file:
                self.request.sent += self.handler.connection.sendfile(file, start, end - start)
            return
        at, piece = start, 1 if fault.drip else 64 * 1024
        began = time.monotonic()
        while at < end:
            stop = min(at + piece, end)
            if fault.cut_after is not None:
                stop = min(stop, start + fault.cut_after)
                if at >= start + fault.cut_after:
                    self.reset()
                    return
            block = bytearray(_read(data, at, stop - at))
            block += b"\0" * (stop - at - len(block))
            if fault.corrupt:
                block[len(block) // 2] ^= 0xFF
            self.handler.connection.sendall(block)
            self.request.sent += len(block)
            at = stop
            if fault.drip:
                time.sleep(fault.drip)
            if fault.rate:
                time.sleep(max((at - start) / fault.rate - (time.monotonic() - began), 0))
            if fault.hang and at - start >= (end - start) // 2:
                time.sleep(fault.hang)


def _read(data: bytes | Path, at: int, count: int) -> bytes:
    if isinstance(data, bytes):
        return data[at : at + count]
    with data.open("rb") as file:
        return os.pread(file.fileno(), count, at)


def sha256(data: bytes | Path) -> str:
    return hashlib.sha256(data if isinstance(data, bytes) else data.read_bytes()).hexdigest()
