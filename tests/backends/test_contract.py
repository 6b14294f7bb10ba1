"""What every backend promises, shown for each of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources

import jsonschema
import pytest

from parlant_local.backends.base import Backend
from parlant_local.backends.llama_cpp import LlamaCppBackend
from parlant_local.backends.ollama import OllamaBackend
from parlant_local.backends.openai import OpenAIBackend
from parlant_local.errors import BadRequestError, ParlantLocalError, StreamInterruptedError, TargetDownError

from .fakes.http import Fault, FaultServer
from .fakes.ollama_server import FakeOllama
from .fakes.openai_server import FakeOpenAI

pytestmark = pytest.mark.filterwarnings("ignore:llama_token_get_attr:DeprecationWarning")  # llguidance calls it

SCHEMA = {
    "type": "object",
    "properties": {
        "capital": {"type": "string"},
        "inhabitants": {"type": "integer"},
        "sights": {"type": "array", "items": {"type": "string"}, "minItems": 1},
    },
    "required": ["capital", "inhabitants", "sights"],
    "additionalProperties": False,
}
# No free strings: llama_cpp.server's grammar bounds none, and lets raw line breaks into them, which is no JSON any more.
FACTS_SCHEMA = {
    "type": "object",
    "properties": {"inhabitants": {"type": "integer"}, "coastal": {"type": "boolean"}},
    "required": ["inhabitants", "coastal"],
    "additionalProperties": False,
}
FACTS = {"type": "json_schema", "json_schema": {"name": "facts", "schema": FACTS_SCHEMA}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}}


TINY = resources.files("parlant_local") / "models" / "parlant-local-tiny.gguf"


@dataclass
class Case:
    backend: Backend
    server: FaultServer


@pytest.fixture(scope="module")
def llama_cpp_server() -> Iterator[str]:
    """llama-cpp-python's own server, a real peer, with the model that comes with the package."""
    pytest.importorskip("starlette_context", reason="llama_cpp.server needs it: pip install 'llama-cpp-python[server]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "llama_cpp.server",
        "--model",
        str(TINY),
        "--model_alias",
        "m",
        "--port",
        str(port),
    ]
    options = ["--host", "127.0.0.1", "--n_ctx", "2048", "--interrupt_requests", "False", "--verbose", "False"]
    process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            assert process.poll() is None, "llama_cpp.server did not start"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.1):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(10)


@asynccontextmanager
async def _stand_in(kind: str) -> AsyncIterator[Case]:
    if kind == "openai":
        async with FakeOpenAI() as fake, OpenAIBackend("m", base_url=fake.base_url, name="x", timeout=2) as backend:
            yield Case(backend, fake)
    else:
        async with FakeOllama() as daemon, OllamaBackend("m", host=daemon.url, timeout=2) as ollama:
            yield Case(ollama, daemon)


@pytest.fixture(params=["openai", "ollama"])
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    """Backends whose other side can be made to fail."""
    async with _stand_in(request.param) as made:
        yield made


@pytest.fixture(params=["openai", "ollama", "llama_cpp.server", "engine"])
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
    """Every backend, in-process engine and real peer included."""
    if request.param == "engine":
        async with LlamaCppBackend(model_path=str(TINY), n_ctx=2048) as engine:
            await engine.load()
            yield engine
    elif request.param == "llama_cpp.server":
        url = request.getfixturevalue("llama_cpp_server")
        async with OpenAIBackend("m", base_url=url, name="llama-cpp", timeout=60) as peer:
            yield peer
    else:
        async with _stand_in(request.param) as made:
            yield made.backend


async def test_it_is_a_backend(backend: Backend) -> None:
    assert isinstance(backend, Backend)


async def test_it_answers_with_usage_and_a_finish_reason(backend: Backend) -> None:
    reply = await backend.chat("What is the capital of France?", temperature=0, max_tokens=20)
    assert reply.content.strip()
    assert reply.finish_reason == "stop"
    assert reply.usage.prompt_tokens > 0
    assert reply.usage.completion_tokens > 0
    assert reply.model == backend.model_info().id


async def test_a_structured_answer_fits_its_schema(backend: Backend) -> None:
    reply = await backend.chat("Tell me about Paris.", response_format=FACTS, max_tokens=200, temperature=0)
    jsonschema.validate(json.loads(reply.content), FACTS_SCHEMA)


async def test_a_stream_spells_the_same_answer_and_ends_with_usage(backend: Backend) -> None:
    whole = await backend.chat("What is the capital of France?", temperature=0, seed=1)
    stream = backend.chat_stream("What is the capital of France?", temperature=0, seed=1)
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.delta.content for chunk in chunks) == whole.content
    assert len(chunks) > 2
    assert [chunk.finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].finish_reason == "stop"
    assert chunks[-1].usage is not None
    if not backend.model_info().id.startswith("llama-cpp/"):  # it counts no tokens of streams
        assert chunks[-1].usage.total_tokens > 0


async def test_a_structured_stream_fits_its_schema(backend: Backend) -> None:
    stream = backend.chat_stream("Tell me.", response_format=FACTS, max_tokens=200, temperature=0)
    text = "".join([chunk.delta.content async for chunk in stream])
    jsonschema.validate(json.loads(text), FACTS_SCHEMA)


async def test_it_continues_a_text(backend: Backend) -> None:
    assert (await backend.complete("The capital of France is")).content


async def test_cancelling_a_call_takes_no_time_and_the_next_one_is_answered(backend: Backend) -> None:
    await backend.chat("warm", max_tokens=4)
    task = asyncio.ensure_future(backend.chat("Tell me a very long story.", max_tokens=500))
    await asyncio.sleep(0.02)
    task.cancel()
    started = time.perf_counter()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert time.perf_counter() - started < 0.5
    assert (await backend.chat("What is the capital of France?", max_tokens=20)).content


async def test_vectors_have_unit_length_and_keep_their_order(backend: Backend) -> None:
    if backend.model_info().id.startswith("llama-cpp/"):
        pytest.skip("llama_cpp.server embeds only when started for nothing else")
    reply = await backend.embed(["a", "a much longer text"])
    assert len(reply.vectors) == 2
    assert all(math.isclose(math.hypot(*vector), 1.0, abs_tol=1e-6) for vector in reply.vectors)
    assert reply.vectors[0] != reply.vectors[1]
    assert reply.dimensions == len(reply.vectors[0])
    assert reply.vectors[0] == pytest.approx((await backend.embed(["a"])).vectors[0])


async def test_many_calls_at_once_each_get_their_answer(backend: Backend) -> None:
    replies = await asyncio.gather(
        *(backend.chat(f"call {n}", response_format=FACTS, max_tokens=200, temperature=0) for n in range(12))
    )
    assert len(replies) == 12
    assert all(json.loads(reply.content) for reply in replies)


async def test_cancelling_a_call_closes_its_connection(case: Case) -> None:
    await case.backend.chat("warm")
    case.server.faults.append(Fault("hang"))
    task = asyncio.ensure_future(case.backend.chat("hang"))
    await _until(lambda: case.server.in_flight == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _until(lambda: case.server.in_flight == 1 and case.server.requests[-1].disconnected)


async def test_closing_a_stream_early_closes_its_connection(case: Case) -> None:
    await case.backend.chat("warm")
    case.server.faults.append(Fault("silence_mid_stream"))
    stream = case.backend.chat_stream("hello")
    assert (await anext(stream)).delta.content
    await stream.aclose()  # type: ignore[attr-defined]  # async generators have it
    await _until(lambda: case.server.requests[-1].disconnected)


async def test_a_stream_cut_after_it_began_says_so(case: Case) -> None:
    await case.backend.chat("warm")
    case.server.faults.append(Fault("cut", after=3))
    stream = case.backend.chat_stream("hello")
    assert (await anext(stream)).delta.content
    with pytest.raises(StreamInterruptedError):
        [chunk async for chunk in stream]


async def test_a_stream_cut_before_it_began_is_an_ordinary_failure(case: Case) -> None:
    await case.backend.chat("warm")
    case.server.faults.append(Fault("cut", after=0))
    with pytest.raises(TargetDownError):
        [chunk async for chunk in case.backend.chat_stream("hello")]


async def test_options_it_can_not_honour_are_refused_not_ignored(case: Case) -> None:
    with pytest.raises(BadRequestError):
        await case.backend.chat("hello", grammar='root ::= "yes"')
    with pytest.raises(BadRequestError):
        await case.backend.chat("hello", temperature=99)
    assert not case.server.requests


async def test_closing_twice_is_fine_and_a_closed_backend_connects_anew(case: Case) -> None:
    await case.backend.chat("hello")
    await case.backend.close()
    await case.backend.close()
    assert (await case.backend.chat("hello")).content


async def test_a_server_that_is_gone_is_a_typed_error_with_a_next_step(case: Case) -> None:
    await case.server.stop()
    with pytest.raises(TargetDownError) as caught:
        await case.backend.chat("hello")
    assert isinstance(caught.value, ParlantLocalError)
    assert "running" in caught.value.hint


async def _until(condition: object, seconds: float = 2.0) -> None:
    assert callable(condition)
    async with asyncio.timeout(seconds):
        while not condition():  # the other side has no event to wait for
            await asyncio.sleep(0.005)
