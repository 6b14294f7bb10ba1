"""Clients that are slow, silent, many or that speak no HTTP: each is told or cut off, and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from parlant_local.server.admission import ConnectionLimit
from parlant_local.server.connections import connections_of
from parlant_local.settings import ServerSettings
from tests.support.eventually import eventually, wait_until

from .conftest import TINY, Server

IMPATIENT = {
    "PARLANT_LOCAL_SERVER__HEADER_SECONDS": "1",
    "PARLANT_LOCAL_SERVER__BODY_SECONDS": "1",
    "PARLANT_LOCAL_SERVER__IDLE_SECONDS": "1",
    "PARLANT_LOCAL_SERVER__WRITE_SECONDS": "1",
}
HEAD = b"POST /tokenize HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
HEALTH = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    hurry = (
        "import parlant_local.server.connections as c; c._LINGER_SECONDS = 1.0"  # no setting: who needs another figure?
    )
    found = Server(tmp_path_factory.mktemp("impatient"), "--model", TINY, environment=IMPATIENT, fault=hurry)
    found.wait_loaded()
    yield found
    assert found.stop() == 0
    assert "Traceback" not in found.raw
    assert '"level": "error"' not in found.raw


@contextlib.contextmanager
def connection(server: Server, receive: int | None = None) -> Iterator[socket.socket]:
    """Raw bytes to a server; ``receive`` is the size of the system's buffer."""
    address = urlsplit(server.url)
    with socket.socket() as sock:
        sock.settimeout(20)
        if receive is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        sock.connect((address.hostname, address.port))
        yield sock


def everything(sock: socket.socket) -> bytes:
    """What comes until the server closes."""
    found = bytearray()
    with contextlib.suppress(ConnectionError):
        while piece := sock.recv(65536):
            found += piece
    return bytes(found)


def healthy(sock: socket.socket) -> bool:
    sock.sendall(HEALTH)
    found = b""
    while not found.endswith(b"}"):
        piece = sock.recv(65536)
        assert piece, found
        found += piece
    return found.startswith(b"HTTP/1.1 200")


def trickle(sock: socket.socket, data: bytes, seconds: float = 0.05) -> bytes:
    """A byte now and then until the server has had enough; what it said."""
    sock.setblocking(False)
    found = bytearray()
    for number in range(20_000):
        try:
            with contextlib.suppress(BlockingIOError):
                if not (piece := sock.recv(65536)):
                    return bytes(found)
                found += piece
            sock.send(data[number % len(data) : number % len(data) + 1])
        except ConnectionError:
            return bytes(found)
        time.sleep(seconds)
    raise AssertionError("The server has patience without end.")


def refusal(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]["message"]


async def test_answers_on_a_kept_open_connection_wait_for_nothing() -> None:
    """By the option itself: an accepted socket sends at once, and holds little for a client that does not read."""
    made = []
    protocol = connections_of(ConnectionLimit(ServerSettings()))

    class Noted(protocol):  # type: ignore[misc, valid-type]  # a class made at run time
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            made.append(transport)

    loop = asyncio.get_running_loop()
    config = Config(lambda *_: None, log_config=None, lifespan="off", ws="none")
    listener = await loop.create_server(
        lambda: Noted(config=config, server_state=ServerState(), app_state={}), "127.0.0.1", 0
    )
    async with listener:
        _, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
        await eventually(lambda: made)
        accepted = made[0].get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 256 * 1024
        writer.close()
        await writer.wait_closed()


def test_silence_is_ended_without_a_word(impatient: Server) -> None:
    with connection(impatient) as sock:
        assert everything(sock) == b""


def test_a_head_that_trickles_is_told_so(impatient: Server) -> None:
    with connection(impatient) as sock:
        status, message = refusal(trickle(sock, b"GET /" + b"x" * 9000))
        assert status == 408
        assert "server.header_seconds" in message


@pytest.mark.parametrize("framing", [b"content-length: 5000\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n1000\r\n"])
def test_a_body_that_trickles_is_told_so(impatient: Server, framing: bytes) -> None:
    with connection(impatient) as sock:
        sock.sendall(HEAD + framing)
        status, message = refusal(trickle(sock, b'{"content": "' + b"x" * 4000))
        assert status == 408
        assert "server.body_seconds" in message


def test_a_connection_is_kept_open_for_a_while(impatient: Server) -> None:
    with connection(impatient) as sock:
        for _ in range(3):
            assert healthy(sock)
        assert everything(sock) == b""


def test_half_a_second_request_is_no_excuse(impatient: Server) -> None:
    with connection(impatient) as sock:
        assert healthy(sock)
        assert refusal(trickle(sock, b"GET /" + b"x" * 9000))[0] == 408


def test_a_body_that_nobody_wants_is_not_read_for_ever(impatient: Server) -> None:
    """Refused by its announced length; the rest is taken for a while, so that the client reads why."""
    with connection(impatient) as sock:
        sock.sendall(HEAD + b"content-length: 99999999\r\n\r\n")
        answer = trickle(sock, b"x")
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"limits.body_mb" in answer


def running(server: Server) -> int:
    models = httpx2.get(f"{server.url}/api/status").json()["models"]
    return int(models[TINY]["engine"]["running"]) if TINY in models else 0


def test_who_never_reads_is_cut_off_and_the_model_stops(impatient: Server) -> None:
    body = json.dumps({
        "model": TINY, "prompt": "Once", "stream": True, "temperature": 5, "max_tokens": 1900, "n": 4, "logprobs": 5,
        "logit_bias": {str(token): -100 for token in range(8)},
    }).encode()  # fmt: skip
    request = HEAD.replace(b"/tokenize", b"/v1/completions") + f"content-length: {len(body)}\r\n\r\n".encode() + body
    with connection(impatient, receive=4096) as sock:
        sock.sendall(request)
        wait_until(
            lambda: any(line.get("cut") and line["message"].endswith("/v1/completions") for line in impatient.log),
            lambda: f"It still writes to nobody: {impatient.log[-3:]}",
        )
        wait_until(lambda: not running(impatient), "The model still answers nobody.")


def send_until_cut_off(sock: socket.socket) -> None:
    """Without reading: who reads is kept, however slowly."""
    sock.setblocking(False)
    for _ in range(1200):
        try:
            with contextlib.suppress(BlockingIOError):
                sock.send(b"G")
        except ConnectionError:
            return
        time.sleep(0.05)
    raise AssertionError("The server has patience without end.")


def test_who_stops_reading_delays_nobody(impatient: Server) -> None:
    """A large answer, asked for again and again on one connection, none of it read."""
    with connection(impatient, receive=4096) as sock:
        sock.settimeout(2)
        with contextlib.suppress(OSError):  # the server stops reading, or has closed
            for _ in range(200):
                sock.sendall(b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert httpx2.get(f"{impatient.url}/health", timeout=5).status_code == 200
        send_until_cut_off(sock)


def test_who_reads_slowly_is_not_cut_off(impatient: Server) -> None:
    body = json.dumps({"content": "slow reader " * 20_000}).encode()
    with connection(impatient, receive=16_384) as sock:
        sock.sendall(HEAD + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        found, sips = bytearray(), 0
        while piece := sock.recv(8192):
            found += piece
            time.sleep(0.05)
            sips += 1
    head, _, answer = bytes(found).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert len(json.loads(answer)["tokens"]) > 20_000
    assert sips * 0.05 > 2 * float(IMPATIENT["PARLANT_LOCAL_SERVER__WRITE_SECONDS"]), "too quick to prove anything"


BAD = {
    "no http": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    "no version": b"GET /health\r\n\r\n",
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /health HTTP/1.1\r\nhost: localhost\r\nhost: evil\r\n\r\n",
    "two lengths": HEAD + b"content-length: 1\r\ncontent-length: 2\r\n\r\nxx",
    "a length that is none": HEAD + b"content-length: -1\r\n\r\n",
    "a length without end": HEAD + b"content-length: " + b"9" * 5000 + b"\r\n\r\n",
    "an odd coding": HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n",
    "a folded name": b"GET /health HTTP/1.1\r\n host: localhost\r\n\r\n",
    "a nul": b"GET /health HTTP/1.1\r\nhost: local\x00host\r\n\r\n",
    "spaces in the path": b"GET /he alth HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "a chunk that is none": HEAD + b"transfer-encoding: chunked\r\n\r\nxyz\r\n",
    "a negative chunk": HEAD + b"transfer-encoding: chunked\r\n\r\n-5\r\nabcde\r\n0\r\n\r\n",
    "a chunk without end": HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"f" * 30_000,
    "a foot that does not fit": HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\nabcde\r\n",
    "endless headers": b"GET /health HTTP/1.1\r\nhost: localhost\r\n" + b"x-a: b\r\n" * 10_000,
    "an endless header": b"GET /health HTTP/1.1\r\nhost: localhost\r\nx-a: " + b"b" * 200_000,
    "an endless line": b"GET /" + b"x" * 200_000,
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_request_is_refused(impatient: Server, name: str) -> None:
    with connection(impatient) as sock:
        with contextlib.suppress(ConnectionError):  # it may close before it has read everything
            sock.sendall(BAD[name])
        answer = everything(sock)
    if answer:  # a reset connection may lose it
        status, message = refusal(answer)
        assert status in (400, 431, 501), answer
        assert message
    else:
        assert len(BAD[name]) > 16_384


def test_bodies_in_crumbs_are_refused(impatient: Server) -> None:
    with connection(impatient) as sock:
        sock.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            sock.sendall(b"1\r\nx\r\n" * 20_000)
        answer = everything(sock)
    assert not answer or refusal(answer)[0] == 400


def test_a_body_in_pieces_is_no_crumb(impatient: Server) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'{"content": "'
        for _ in range(5000):
            yield b"word "
        yield b'"}'

    answer = httpx2.post(
        f"{impatient.url}/tokenize", content=pieces(), headers={"content-type": "application/json"}, timeout=30
    )
    assert answer.status_code == 200


def test_rubbish_after_a_request_breaks_only_its_connection(impatient: Server) -> None:
    with connection(impatient) as sock:
        sock.sendall(HEALTH + b"\x00\xff rubbish\r\n\r\n" + HEALTH)
        answer = everything(sock)
    assert answer.startswith(b"HTTP/1.1 200")
    with connection(impatient) as sock:  # while the answer is on its way
        sock.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        time.sleep(0.1)
        sock.sendall(b"2\r\n{}rubbish\r\n")
        assert refusal(everything(sock))[0] == 400


def test_nothing_is_upgraded(impatient: Server) -> None:
    for upgrade in (b"websocket", b"h2c", b"TLS/1.0"):
        with connection(impatient) as sock:
            sock.sendall(
                b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade, close\r\nupgrade: "
                + upgrade
                + b"\r\n"
                b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
            )
            assert everything(sock).startswith(b"HTTP/1.1 200")


def test_requests_sent_ahead_are_answered_in_turn(impatient: Server) -> None:
    with connection(impatient) as sock:
        sock.sendall(HEALTH * 300)
        answer = everything(sock)
    assert answer.count(b"HTTP/1.1 200") == 300


def test_when_it_is_full_newcomers_are_told_and_this_machine_sees_it_alive(start: Callable[..., Server]) -> None:
    server = start(environment={"PARLANT_LOCAL_SERVER__CONNECTIONS": "20"})
    with contextlib.ExitStack() as held:
        for _ in range(30):
            held.enter_context(connection(server))
        assert httpx2.get(f"{server.url}/health").status_code == 200
        many = [held.enter_context(connection(server)) for _ in range(90)]
        for answer in [everything(sock) for sock in many[50:]]:
            status, message = refusal(answer)
            assert status == 503
            assert "server.connections" in message
            assert b"retry-after" in answer

        # Those who ask for nothing make room within a second or two.
        def let_in() -> bool:
            answer = httpx2.get(f"{server.url}/v1/models", timeout=30)
            assert answer.status_code in (200, 503)
            return answer.status_code == 200

        wait_until(let_in)
    assert server.stop() == 0


def room_for_many() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2048:
        if hard != resource.RLIM_INFINITY and hard < 2048:
            pytest.skip("This system lets a process open too few files.")
        resource.setrlimit(resource.RLIMIT_NOFILE, (2048, hard))


def test_beyond_a_thousand_connections_a_chat_is_answered(start: Callable[..., Server]) -> None:
    """``select`` knows descriptors up to 1,023 only; the process that renders chats is read from by another one."""
    room_for_many()
    server = start(
        environment={"PARLANT_LOCAL_SERVER__CONNECTIONS": "1600", "PARLANT_LOCAL_SERVER__HEADER_SECONDS": "120"},
        fault="import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (1024, r.getrlimit(r.RLIMIT_NOFILE)[1]))",
    )
    with contextlib.ExitStack() as held:
        for _ in range(1100):
            held.enter_context(connection(server))
        body = {"model": TINY, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2}
        answer = httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=60)
        assert answer.status_code == 200, answer.text
    assert server.stop() == 0
    assert "Traceback" not in server.raw


HOG = """
import errno, os, resource as r, socket, sys, threading, time
r.setrlimit(r.RLIMIT_NOFILE, (300, 300))
refused = open(os.environ["REFUSED"], "w")  # while there is a descriptor for it
accept = socket.socket.accept
def counting(self):
    try:
        return accept(self)
    except OSError as error:
        if error.errno == errno.EMFILE:
            refused.write("x")
            refused.flush()
        raise
socket.socket.accept = counting
def hog():
    held = []
    while not os.path.exists(os.environ["LET_GO"]):
        try:
            held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            print("HAS ALL", file=sys.stderr, flush=True)
            time.sleep(0.05)
    for each in held:
        os.close(each)
def wait():
    while not os.path.exists(os.environ["GRAB"]):
        time.sleep(0.05)
    hog()
threading.Thread(target=wait, daemon=True).start()
"""


def test_a_short_supply_of_descriptors_is_told_and_survived(start: Callable[..., Server], tmp_path: Path) -> None:
    """Something else in the process takes all there are: accepting fails meanwhile, and works again afterwards."""
    grab, let_go, refused = tmp_path / "grab", tmp_path / "let-go", tmp_path / "refused"
    server = start(fault=HOG, environment={"GRAB": str(grab), "LET_GO": str(let_go), "REFUSED": str(refused)})
    assert any("server.connections" in line["message"] for line in server.log if line["level"] == "warning")
    grab.touch()
    wait_until(lambda: "HAS ALL" in server.raw)
    with contextlib.ExitStack() as held:
        for _ in range(20):
            held.enter_context(connection(server))
        wait_until(lambda: refused.stat().st_size >= 2)
        before = refused.stat().st_size
        time.sleep(1)
        assert refused.stat().st_size - before < 5_000, "It spins."  # asyncio fails a backlog's worth once a second
    assert len([line for line in server.log if "descriptor" in line["message"]]) == 1
    let_go.touch()

    def answers() -> bool:
        with contextlib.suppress(httpx2.TransportError):
            return httpx2.get(f"{server.url}/health", timeout=30).status_code == 200
        return False

    wait_until(answers)
    assert "Traceback" not in server.raw


def test_the_end_comes_whatever_holds_the_interpreter() -> None:
    code = (
        "import re; from parlant_local.server.forced_exit import exit_after; exit_after(0.5);"
        "re.match('(a+)+$', 'a' * 60 + 'b')"  # holds the interpreter's lock for centuries
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == b""
