"""Starting, ending, and what is told meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest

from tests.support.eventually import eventually, wait_until
from tests.support.in_process import InProcess

from .conftest import TINY, Server

STORY = {
    "model": TINY,
    "messages": [{"role": "user", "content": "Tell me a story."}],
    "temperature": 5,
    "max_tokens": 1800,
    "stream": True,
    "logit_bias": {str(token): -100 for token in range(8)},
}


# Time to end in order on a busy machine, and answers that are not over before that.
UNHURRIED = """
import time
import parlant_local.server.serving as serving
from parlant_local.engine.context import Context
serving._GRACE_SECONDS = 60.0
decode = Context.decode
def slowly(self, batch):
    time.sleep(0.005)
    return decode(self, batch)
Context.decode = slowly
"""


async def _read(http: httpx2.AsyncClient, begun: asyncio.Event, **change: Any) -> tuple[list[dict[str, Any]], bool]:
    """The events of one stream, and whether it was whole."""
    found: list[dict[str, Any]] = []
    async with http.stream("POST", "/v1/chat/completions", json=STORY | change) as answer:
        assert answer.status_code == 200
        async for line in answer.aiter_lines():
            if line == "data: [DONE]":
                return found, True
            if line.startswith("data: "):
                found.append(json.loads(line[6:]))
                begun.set()
    return found, False


@pytest.mark.parametrize("seconds", ["0", "60"])
async def test_sigterm_in_mid_stream_never_cuts_an_answer(start: Callable[..., Server], seconds: str) -> None:
    fault, length = (UNHURRIED, 1800) if seconds == "0" else ("", 300)  # the whole of it is waited for
    server = start("--model", TINY, environment={"PARLANT_LOCAL_SERVER__SHUTDOWN_SECONDS": seconds}, fault=fault)
    async with httpx2.AsyncClient(base_url=server.url, timeout=90) as http:
        events = [asyncio.Event() for _ in range(3)]
        streams = [asyncio.ensure_future(_read(http, event, max_tokens=length)) for event in events]
        async with asyncio.timeout(60):
            await asyncio.gather(*(event.wait() for event in events))
        server.signal()

        async def draining() -> bool:
            return (await http.get("/health")).status_code == 503

        refused = None
        if seconds != "0":
            with contextlib.suppress(httpx2.TransportError):  # all answers may be whole by then
                await eventually(draining)
                refused = await http.post("/v1/completions", json={"prompt": "x"})
        for found, whole in await asyncio.gather(*streams):
            last = found[-1]
            if whole:
                assert last["choices"][0]["finish_reason"] in ("stop", "length")
            else:
                assert last["error"]["code"] == "shutting_down"
                assert seconds == "0", "there was time to finish"
    if refused is not None:
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
    assert server.process.wait(60) == 0


async def test_the_openai_client_raises_when_the_server_ends(start: Callable[..., Server]) -> None:
    server = start("--model", TINY, environment={"PARLANT_LOCAL_SERVER__SHUTDOWN_SECONDS": "0"}, fault=UNHURRIED)
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0) as client:
        stream = await client.chat.completions.create(**STORY)
        await anext(stream)
        server.signal()
        with pytest.raises(openai.APIError, match="shutting down"):
            [_ async for _ in stream]
    assert server.process.wait(60) == 0


def test_interrupting_twice_ends_at_once(start: Callable[..., Server]) -> None:
    server = start("--model", TINY)
    with (
        httpx2.Client(base_url=server.url, timeout=60) as http,
        http.stream("POST", "/v1/chat/completions", json=STORY) as answer,
    ):
        next(answer.iter_lines())
        server.signal(signal.SIGINT)
        time.sleep(0.2)
        server.signal(signal.SIGINT)
        assert server.process.wait(60) in (0, 1)  # 1 where a busy machine could not let go of everything in time
    server.stop()
    assert "Traceback" not in server.raw


# Native code that comes back when it likes, in place of what reads a large model.
STUCK = """
import ctypes, parlant_local.engine.model as model
model.LoadedModel.__init__ = lambda *_, **__: ctypes.CDLL(None).sleep(90)
"""


def test_the_end_does_not_wait_for_native_code(start: Callable[..., Server]) -> None:
    server = start("--model", TINY, fault=STUCK, environment={"PARLANT_LOCAL_SERVER__SHUTDOWN_SECONDS": "1"})
    assert httpx2.get(f"{server.url}/health").json() == {"status": "loading"}
    server.signal()
    assert server.process.wait(60) in (0, 1)


def test_a_second_signal_does_not_wait_for_native_code(start: Callable[..., Server]) -> None:
    server = start("--model", TINY, fault=STUCK, environment={"PARLANT_LOCAL_SERVER__SHUTDOWN_SECONDS": "80"})
    assert httpx2.get(f"{server.url}/health").json() == {"status": "loading"}
    server.signal()
    time.sleep(0.5)
    assert server.process.poll() in (None, 0), "the first one gives it time"
    server.signal()
    assert server.process.wait(60) in (0, 1)


def test_who_only_listens_keeps_nobody_waiting(start: Callable[..., Server]) -> None:
    server = start(environment={"PARLANT_LOCAL_SERVER__SHUTDOWN_SECONDS": "600"})
    with httpx2.Client(base_url=server.url, timeout=60) as http, http.stream("GET", "/models/sse") as answer:
        next(answer.iter_lines())
        server.signal()
        assert server.process.wait(60) == 0


def test_the_first_request_imports_nothing_that_takes_long(start: Callable[..., Server]) -> None:
    """An import of native code holds the interpreter's lock: everybody else would wait."""
    watch = """
import builtins, sys
late = builtins.__import__
def noting(name, *rest, **named):
    found = name.split(".")[0]
    if found in ("llama_cpp", "llguidance", "numpy") and found not in sys.modules and hasattr(sys, "_serving"):
        print("LATE", found, file=sys.stderr, flush=True)
    return late(name, *rest, **named)
builtins.__import__ = noting
import socket
listen = socket.socket.listen
def listening(self, *arguments):
    sys._serving = True
    return listen(self, *arguments)
socket.socket.listen = listening
"""
    server = start(fault=watch, fresh=True)
    body = {"messages": [{"role": "user", "content": "Hello"}], "response_format": {"type": "json_object"}}
    assert httpx2.post(server.url + "/v1/chat/completions", json=body, timeout=60).status_code == 200
    assert "LATE" not in server.raw


def test_looking_never_wakes_a_model(here: Callable[..., InProcess]) -> None:
    server = here()
    with httpx2.Client(base_url=server.url, timeout=60) as http:
        for path in ("/health", "/v1/health", "/api/health", "/v1/models", "/models", "/api/models", "/api/models/detailed",
                     "/api/status", "/metrics", "/openapi.json", f"/v1/models/{TINY}"):  # fmt: skip
            assert http.get(path).status_code == 200, path
        assert http.get("/api/status").json()["models"] == {}


def test_health_waits_for_the_models_that_were_asked_for(start: Callable[..., Server]) -> None:
    server = start("--model", TINY)
    first = httpx2.get(f"{server.url}/health")

    def answered() -> bool:
        answer = httpx2.get(f"{server.url}/health", timeout=30)
        assert (answer.status_code, answer.json()) in ((503, {"status": "loading"}), (200, {"status": "ok"}))
        return answer.status_code == 200

    wait_until(answered)
    assert first.status_code in (200, 503)
    assert TINY in httpx2.get(f"{server.url}/api/status").json()["models"]


async def test_eight_streams_begin_at_once(start: Callable[..., Server]) -> None:
    """Nobody waits for another one's whole answer to see the first word of his own."""
    server = start("--model", TINY)
    async with httpx2.AsyncClient(base_url=server.url, timeout=90) as http:
        events = [asyncio.Event() for _ in range(8)]
        streams = [asyncio.ensure_future(_read(http, event)) for event in events]
        async with asyncio.timeout(60):
            await asyncio.gather(*(event.wait() for event in events))
        assert not any(stream.done() for stream in streams), "some had to end before the others began"
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)


def test_a_long_wait_is_filled_with_comments(start: Callable[..., Server]) -> None:
    server = start(environment={"PARLANT_LOCAL_SERVER__KEEP_ALIVE_SECONDS": "0.05"})
    with httpx2.Client(base_url=server.url, timeout=60) as http:
        # Loading the model takes longer than that.
        with http.stream("POST", "/v1/chat/completions", json=STORY | {"max_tokens": 4}) as answer:
            lines = list(answer.iter_lines())
        assert ": waiting" in lines
        assert lines[-2:] == ["data: [DONE]", ""] or "data: [DONE]" in lines
        with http.stream("GET", "/models/sse") as answer:
            seen = [next(lines) for lines in [answer.iter_lines()] for _ in range(6)]
        assert any(line.startswith(": waiting") for line in seen)


def test_metrics_count_what_happens(server: Server) -> None:
    def figure(name: str) -> float:
        for line in httpx2.get(f"{server.url}/metrics").text.splitlines():
            if line.startswith(name):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    name = f'parlant_local_generation_tokens_total{{model="{TINY}"}}'
    before = figure(name)
    body = {"model": TINY, "prompt": "One two", "max_tokens": 5, "temperature": 0}
    used = httpx2.post(f"{server.url}/v1/completions", json=body).json()["usage"]["completion_tokens"]
    assert figure(name) - before == used
    assert figure(f'parlant_local_requests_finished_total{{model="{TINY}"}}') >= 1
    assert figure(f'parlant_local_kv_cache_cells{{model="{TINY}"}}') > 0
    assert figure('parlant_local_http_requests_total{route="/v1/completions",status="200"}') >= 1
