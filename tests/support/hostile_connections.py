"""Connections that no honest client makes: heads, framings and manners, as bytes on a socket.

``connections()`` gives one of each kind, ``mutated(count, seed)`` right requests with bytes changed, the same ones for a seed.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["Address", "HostileConnection", "connections", "mutated"]

Address = tuple[str, int]
_BODY = b'{"model": "local/llama/parlant-local-tiny", "prompt": "Once", "max_tokens": 2}'
_STORY = b'{"prompt": "Once", "max_tokens": 400, "stream": true, "temperature": 3, "logprobs": 5}'
_JSON = b"content-type: application/json\r\n"
_HOST = b"host: localhost\r\n"
_GET = b"GET /v1/models HTTP/1.1\r\n"
_POST = b"POST /v1/completions HTTP/1.1\r\n" + _HOST + _JSON


def _framed(body: bytes, head: bytes = _POST) -> bytes:
    return head + b"content-length: %d\r\n\r\n" % len(body) + body


def _chunked(body: bytes, size: int = 7) -> bytes:
    pieces = (body[at : at + size] for at in range(0, len(body), size))
    return (
        _POST
        + b"transfer-encoding: chunked\r\n\r\n"
        + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces)
        + b"0\r\n\r\n"
    )


@dataclass(frozen=True)
class HostileConnection:
    name: str
    run: Callable[[Address], str]
    """Does it, and says what came of it: a status, or how the connection ended."""
    slow: bool = False
    """Whether it takes as long as the server's time-outs."""


@contextlib.contextmanager
def _connected(address: Address, *, receive: int | None = None) -> Iterator[socket.socket]:
    with socket.socket() as sock:
        sock.settimeout(30)
        if receive is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect(address)
        yield sock


def _told(sock: socket.socket, most: int = 4_000_000) -> str:
    """The status that comes, and how it goes on; reads until the server has closed, or has said enough."""
    found = bytearray()
    sock.settimeout(30)
    try:
        while len(found) < most:
            if found.startswith(b"HTTP/1.1 100"):  # what it is asked to go on with; the answer follows
                del found[: found.find(b"\r\n\r\n") + 4]
            if found.startswith(b"HTTP/1.1 ") and _whole(bytes(found)):
                break
            piece = sock.recv(65536)
            if not piece:
                break
            found += piece
    except ConnectionError:
        if not found:
            return "reset"
    except TimeoutError:
        return "silent for 30 s"
    return found[9:12].decode("latin-1") if found.startswith(b"HTTP/1.1 ") else "closed"


def _whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    if b"text/event-stream" in head:
        return True  # the others may never end
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line[15:])
    return body.endswith(b"0\r\n\r\n")


def _sent(data: bytes) -> Callable[[Address], str]:
    def run(address: Address) -> str:
        with _connected(address) as sock:
            with contextlib.suppress(ConnectionError):  # it may have heard enough before the end
                sock.sendall(data)
            return _told(sock)

    return run


def _trickled(data: bytes, *, after: bytes = b"", pause: float = 0.05) -> Callable[[Address], str]:
    def run(address: Address) -> str:
        with _connected(address) as sock:
            sock.sendall(after)
            sock.settimeout(pause)
            for place in range(20_000):
                with contextlib.suppress(TimeoutError):
                    if piece := sock.recv(65536):
                        return piece[9:12].decode("latin-1")
                    return "closed"
                try:
                    sock.sendall(data[place % len(data) :][:1])
                except ConnectionError:
                    return "reset"
        return "patience without end"

    return run


def _silent(address: Address) -> str:
    with _connected(address) as sock:
        return _told(sock)


def _gone_after(data: bytes, pause: float, *, reset: bool) -> Callable[[Address], str]:
    def run(address: Address) -> str:
        with _connected(address) as sock:
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.sendall(data)
            time.sleep(pause)
        return "left"

    return run


def _half_closed(address: Address) -> str:
    with _connected(address) as sock:
        sock.sendall(_framed(_BODY))
        sock.shutdown(socket.SHUT_WR)
        return _told(sock)


def _never_read(data: bytes) -> Callable[[Address], str]:
    def run(address: Address) -> str:
        with _connected(address, receive=4096) as sock:
            sock.settimeout(2)
            with contextlib.suppress(OSError):
                sock.sendall(data)
            for _ in range(300):
                time.sleep(0.2)
                try:
                    sock.send(b"x")
                except ConnectionError:
                    return "cut off"
                except TimeoutError:
                    continue
        return "left" if len(data) < 1000 else "patience without end"

    return run


def _sipped(address: Address) -> str:
    with _connected(address, receive=4096) as sock:
        sock.sendall(_framed(_STORY))
        for _ in range(200):
            if not sock.recv(1):
                return "closed"
            time.sleep(0.01)
    return "left"


def _crowd(count: int) -> Callable[[Address], str]:
    def run(address: Address) -> str:
        with contextlib.ExitStack() as held:
            many = [held.enter_context(_connected(address)) for _ in range(count)]
            time.sleep(0.5)
            last = many[-1]
            last.setblocking(False)
            try:
                said = last.recv(4096)
            except BlockingIOError:
                return f"{count} held"
            except ConnectionError:
                return "the last one: reset"
            return f"the last one: {said[9:12].decode()}" if said else "the last one: closed"

    return run


def _churn(address: Address) -> str:
    for number in range(1000):
        with _connected(address) as sock:
            if number % 2:
                sock.sendall(b"GET /")
    return "left 1,000 times"


def _ahead(data: bytes, count: int) -> Callable[[Address], str]:
    def run(address: Address) -> str:
        with _connected(address) as sock:
            sock.sendall(data * count)
            found = 0
            tail = b""
            while found < count and (piece := sock.recv(65536)):
                found += (tail + piece).count(b"HTTP/1.1 ")
                tail = piece[-8:]
            return f"{found} of {count} answers"

    return run


def connections() -> list[HostileConnection]:
    """One of each kind."""
    return [HostileConnection(name, _sent(data)) for name, data in _bytes()] + [
        HostileConnection("silence", _silent, slow=True),
        HostileConnection("a head that trickles", _trickled(_GET + _HOST + b"x: " + b"y" * 9000), slow=True),
        HostileConnection(
            "a body that trickles", _trickled(b"x" * 9000, after=_POST + b"content-length: 9000\r\n\r\n"), slow=True
        ),
        HostileConnection(
            "chunks that trickle",
            _trickled(b"1\r\nx\r\n" * 900, after=_POST + b"transfer-encoding: chunked\r\n\r\n"),
            slow=True,
        ),
        HostileConnection(
            "a body that nobody wants", _trickled(b"x" * 9000, after=_POST + b"content-length: 99999999\r\n\r\n")
        ),
        HostileConnection("a second head that trickles", _trickled(_GET * 9, after=_GET + _HOST + b"\r\n")),
        *(
            HostileConnection(f"{how} {when}", _gone_after(data, pause, reset=reset))
            for reset, how in ((False, "leaves"), (True, "resets"))
            for when, data, pause in (
                ("at once", b"", 0.0),
                ("in the head", _POST[:20], 0.05),
                ("in the body", _framed(_BODY)[:-9], 0.05),
                ("before the answer", _framed(_BODY), 0.0),
                ("in the stream", _framed(_STORY), 0.3),
                ("between requests", _GET + _HOST + b"\r\n", 0.2),
            )
        ),
        HostileConnection("half closed", _half_closed),
        HostileConnection(
            "reads nothing of a stream", _never_read(_framed(_STORY.replace(b"400", b"1500"))), slow=True
        ),
        HostileConnection(
            "reads nothing of 200 answers",
            _never_read(b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n" * 200),
            slow=True,
        ),
        HostileConnection("sips a stream", _sipped),
        HostileConnection("200 ahead", _ahead(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n", 200)),
        HostileConnection("50 completions ahead", _ahead(_framed(_BODY), 50)),
        HostileConnection("1,000 that come and go", _churn),
        HostileConnection("1,100 idle ones", _crowd(1100)),
    ]


def _bytes() -> Iterator[tuple[str, bytes]]:
    end = b"\r\n"
    yield "TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256))
    yield "HTTP/2's preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield "HTTP/0.9", b"GET /health\r\n\r\n"
    yield "HTTP/1.0 without a host", b"GET /health HTTP/1.0\r\n\r\n"
    yield "HTTP/9.9", b"GET /health HTTP/9.9\r\nhost: localhost\r\n\r\n"
    yield "binary noise", bytes(random.Random(3).randbytes(4000)) + b"\r\n\r\n"
    yield "blank lines first", b"\r\n" * 2000 + _GET + _HOST + end
    yield "line feeds alone", (_GET + _HOST + end).replace(b"\r\n", b"\n")
    yield "carriage returns alone", (_GET + _HOST + end).replace(b"\r\n", b"\r")
    for name, method in (
        ("BREW", b"BREW"),
        ("lower case", b"get"),
        ("10,000 letters", b"G" * 10_000),
        ("signs", b"G(T"),
        ("none", b""),
    ):
        yield f"method: {name}", method + b" /health HTTP/1.1\r\n" + _HOST + end
    for target in (
        b"http://evil.example/health", b"http://localhost/health", b"//evil.example/health", b"localhost:80", b"*", b"/" * 9000,
        b"/%00%0d%0ax: y", b"/%", b"/%zz", b"/\\..\\..", b"/..;/models", b"/health?" + b"a=b&" * 3000, b"/health#x", b"\xff\xfe",
        b"/he alth", b"/" + b"x" * 200_000, b"/models%2fsse", b"/v1/../models", b"/./health", b"javascript:x",
    ):  # fmt: skip
        shown = target if len(target) < 40 else target[:12] + b"\xe2\x80\xa6"
        yield f"target: {shown.decode('utf-8', 'replace')}", b"GET " + target + b" HTTP/1.1\r\n" + _HOST + end
    yield "CONNECT", b"CONNECT localhost:22 HTTP/1.1\r\nhost: localhost:22\r\n\r\nSSH-2.0-x\r\n"
    yield "OPTIONS *", b"OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n"
    yield "TRACE", b"TRACE / HTTP/1.1\r\nhost: localhost\r\nx-secret: 1\r\n\r\n"
    for host in (
        b"", b"evil.example", b"127.evil.example", b"localhost@evil.example", b"evil.example@localhost", b"[", b"[::1", b"[::1]:x",
        b"localhost:99999999", b"localhost, evil.example", b"2130706433", b"0x7f.1", b"127.1", b"localhost\t", b"\xe2\x98\x83",
        b"a" * 9000, b"xn--n3h.localhost", b"localhost.", b"LOCALHOST:80", b"../..", b"localhost/evil", b"\x1b[31mlocalhost",
    ):  # fmt: skip
        shown = host if len(host) < 40 else b"9,000 letters"
        yield f"host: {shown.decode('utf-8', 'replace')!r}", _GET + b"host: " + host + end + end
    yield "two hosts", _GET + _HOST + b"host: evil.example\r\n\r\n"
    yield "no host", _GET + end
    for name, value in (
        ("10,000 headers", b"x: y\r\n" * 10_000), ("a header of 200 kB", b"x: " + b"y" * 200_000 + end),
        ("a name of 20 kB", b"x" * 20_000 + b": y\r\n"), ("no colon", b"nothing\r\n"), ("an empty name", b": y\r\n"),
        ("a space before the colon", b"x : y\r\n"), ("a folded line", b"x: y\r\n  z\r\n"), ("a NUL", b"x: a\x00b\r\n"),
        ("an escape", b"x-request-id: \x1b[31m\r\nuser-agent: \x9b31m\r\n"), ("cookies of 15 kB", b"cookie: " + b"a=b; " * 3000 + end),
        ("ranges", b"range: bytes=" + b"0-0," * 3000 + end), ("languages", b"accept-language: " + b"en;q=0.1," * 1500 + end),
        ("hops", b"x-forwarded-for: " + b"1.1.1.1, " * 1500 + end + b"forwarded: for=_x\r\n"), ("an odd key", b"authorization: Bearer \xff\xfe\r\n"),
        ("a basic login that is none", b"authorization: Basic !!!!\r\n"), ("an origin that is none", b"origin: http://[\r\n"),
        ("close and keep", b"connection: close, keep-alive, upgrade\r\n"), ("a websocket", b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\nsec-websocket-version: 13\r\n"),
        ("h2c", b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n"),
    ):  # fmt: skip
        yield f"headers: {name}", _GET + _HOST + value + end
    for name, value in (
        ("-1", b"-1"), ("+5", b"+5"), ("0x10", b"0x10"), ("1e3", b"1e3"), ("20 digits", b"9" * 20), ("5,000 digits", b"9" * 5000),
        ("two", b"5, 6"), ("twice the same", b"5, 5"), ("blank", b""), ("Arabic digits", "٥".encode()),
    ):  # fmt: skip
        yield f"length: {name}", _POST + b"content-length: " + value + b"\r\n\r\nxxxxx"
    yield "two lengths", _POST + b"content-length: 5\r\ncontent-length: 6\r\n\r\nxxxxxx"
    yield (
        "a length and chunks",
        _POST + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + _GET + _HOST + end,
    )
    yield "a body to a GET", _framed(_BODY, _GET + _HOST)
    yield "a body of 9 MiB", _framed(b"x" * (9 << 20))
    yield "9 MiB in chunks", _chunked(b"x" * (9 << 20), 65536)
    yield "no length", _POST + end + _BODY
    for coding in (
        b"gzip",
        b"gzip, chunked",
        b"chunked, chunked",
        b"Chunked",
        b"chunked;q=1",
        b"identity",
        b"\x0bchunked",
        b"xchunked",
    ):
        yield f"coding: {coding.decode()!r}", _POST + b"transfer-encoding: " + coding + b"\r\n\r\n0\r\n\r\n"
    yield "two codings", _POST + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    chunks = _POST + b"transfer-encoding: chunked\r\n\r\n"
    for name, body in (
        ("no size", b"\r\nxx\r\n"), ("words", b"xyz\r\nxx\r\n"), ("negative", b"-5\r\nabcde\r\n0\r\n\r\n"), ("0x", b"0x5\r\nabcde\r\n0\r\n\r\n"),
        ("a size of 30,000 digits", b"f" * 30_000), ("a size of 16 digits", b"f" * 16 + b"\r\nxx"), ("extensions of 9 kB", b"2;" + b"a=b;" * 2300 + b"\r\n{}\r\n0\r\n\r\n"),
        ("extensions of 100 kB", b"2;" + b"a=b;" * 25_000 + b"\r\n{}\r\n0\r\n\r\n"), ("a foot that does not fit", b"2\r\n{}rubbish\r\n0\r\n\r\n"),
        ("line feeds alone", b"2\n{}\n0\n\n"), ("trailers", b"2\r\n{}\r\n0\r\nhost: evil\r\ncontent-length: 99\r\n\r\n"),
        ("10,000 trailers", b"2\r\n{}\r\n0\r\n" + b"x: y\r\n" * 10_000 + b"\r\n"), ("crumbs", b"1\r\nx\r\n" * 200_000),
    ):  # fmt: skip
        yield f"chunks: {name}", chunks + body
    yield "a right body in small chunks", _chunked(_BODY, 3)
    yield "expects 100-continue, too large", _POST + b"expect: 100-continue\r\ncontent-length: 99999999\r\n\r\n"
    yield (
        "expects 100-continue, then rubbish",
        _POST + b"expect: 100-continue\r\ncontent-length: 5\r\n\r\n\x00\xff\x00\xff\x00",
    )
    yield "expects something else", _POST + b"expect: 200-ok\r\ncontent-length: 2\r\n\r\n{}"
    yield "rubbish ahead", _GET + _HOST + end + b"\x00\xff rubbish\r\n\r\n"
    yield "a smuggled request", _framed(b"{}" + _GET + _HOST + end, _POST.replace(b"completions", b"embeddings"))


def mutated(count: int, seed: int = 0) -> Iterator[HostileConnection]:
    """Siblings: right requests of several framings with bytes taken out, put in, doubled or exchanged."""
    source = random.Random(seed)
    right = [_GET + _HOST + b"\r\n", _framed(_BODY), _chunked(_BODY), _framed(b"{}", _POST + b"expect: 100-continue\r\n"),
             _framed(_BODY) * 2, b"DELETE /models?model=x HTTP/1.1\r\n" + _HOST + b"\r\n"]  # fmt: skip
    pieces = [b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\x00", b"\xff", b" ", b"\t", b":", b",", b";", b"%", b"\x1b[2J", b"0", b"-", b"HTTP/1.1",
              b"chunked", b"content-length: 3\r\n", b"transfer-encoding: chunked\r\n", b"host: evil\r\n", b"connection: close\r\n", b"9" * 40]  # fmt: skip
    for number in range(count):
        data = bytearray(source.choice(right))
        for _ in range(source.choice([1, 1, 2, 5])):
            place = source.randrange(len(data))
            match source.randrange(4):
                case 0:
                    del data[place : place + source.choice([1, 2, 9])]
                case 1:
                    data[place:place] = source.choice(pieces) * source.choice([1, 1, 2, 3000])
                case 2:
                    data[place : place + 1] = bytes([source.randrange(256)])
                case _:
                    data[place:place] = data[max(0, place - source.choice([4, 40])) : place]
            data = data or bytearray(b"\r\n")
        # Closed by the client, or the rest of what it announced would be waited for.
        yield HostileConnection(f"bytes {number}", _left_open(bytes(data)))


def _left_open(data: bytes) -> Callable[[Address], str]:
    def run(address: Address) -> str:
        with _connected(address) as sock:
            with contextlib.suppress(ConnectionError):
                sock.sendall(data)
            sock.settimeout(1.0)
            try:
                piece = sock.recv(65536)
            except TimeoutError:
                return "waits"
            except ConnectionError:
                return "reset"
            return piece[9:12].decode("latin-1") if piece.startswith(b"HTTP/1.1 ") else "closed"

    return run
