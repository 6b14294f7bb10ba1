"""What every backend promises, shown for each of them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import math
import socket
import subprocess
import sys
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
from parlant_local.backends.wrapper import WrapperBackend
from parlant_local.errors import (
    BadRequestError,
    NoTargetError,
    ParlantLocalError,
    StreamInterruptedError,
    TargetDownError,
    UnsupportedCallError,
)
from parlant_local.switching import Requirements, RoutedBackend, Target
from tests.fakes.http import Fault, FaultServer
from tests.fakes.ollama import FakeOllama
from tests.fakes.openai import FakeOpenAI
from tests.support.eventually import PATIENCE, eventually, wait_until

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

        def answers() -> bool:
            assert process.poll() is None, "llama_cpp.server did not start"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return True
            return False

        wait_until(answers)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(10)


@asynccontextmanager
async def _stand_in(kind: str) -> AsyncIterator[Case]:
    if kind == "openai":
        async with (
            FakeOpenAI() as fake,
            OpenAIBackend("m", base_url=fake.base_url, name="x", timeout=PATIENCE) as backend,
        ):
            yield Case(backend, fake)
    else:
        async with FakeOllama() as daemon, OllamaBackend("m", host=daemon.url, timeout=PATIENCE) as ollama:
            yield Case(ollama, daemon)


@pytest.fixture(params=["openai", "ollama"])
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    """Backends whose other side can be made to fail."""
    async with _stand_in(request.param) as made:
        yield made


@pytest.fixture(params=["openai", "ollama", "llama_cpp.server", "engine", "wrapped", "routed", "requiring"])
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
    """Every backend, in-process engine and real peer included, and what stands in front of backends."""
    if request.param == "engine":
        async with LlamaCppBackend(model_path=str(TINY), n_ctx=2048) as engine:
            await engine.load()
            yield engine
    elif request.param == "llama_cpp.server":
        url = request.getfixturevalue("llama_cpp_server")
        async with OpenAIBackend("m", base_url=url, name="llama-cpp", timeout=60) as peer:
            yield peer
    elif request.param in ("wrapped", "routed", "requiring"):
        async with _stand_in("openai") as made, _in_front(request.param, made.backend) as front:
            yield front
    else:
        async with _stand_in(request.param) as made:
            yield made.backend


def _in_front(kind: str, backend: Backend) -> Backend:
    if kind == "wrapped":
        return WrapperBackend(backend)
    routed = RoutedBackend([Target(backend.model_info().id, lambda: backend)])
    return routed if kind == "routed" else routed.requiring(Requirements(min_context=1))


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


async def test_a_text_continued_in_pieces_is_the_same_text(backend: Backend) -> None:
    whole = await backend.complete("The capital of France is", temperature=0, max_tokens=8)
    stream = backend.complete_stream("The capital of France is", temperature=0, max_tokens=8)
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.delta.content for chunk in chunks) == whole.content
    assert [chunk.finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].finish_reason == whole.finish_reason
    assert chunks[-1].usage == whole.usage


async def test_every_stream_can_be_closed_before_during_and_after(backend: Backend) -> None:
    for make in (
        lambda: backend.chat_stream("hello", max_tokens=8),
        lambda: backend.complete_stream("x", max_tokens=8),
    ):
        await make().aclose()
        stream = make()
        await anext(stream)
        await stream.aclose()
        await stream.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
    assert (await backend.chat("hello", max_tokens=8)).usage.completion_tokens


async def test_getting_ready_twice_is_fine_and_describing_it_waits_for_nothing(backend: Backend) -> None:
    await backend.load()
    await backend.load()
    info = backend.model_info()
    assert info.id
    assert "chat" in info.capabilities


async def test_it_counts_and_splits_texts_or_says_that_it_can_not(backend: Backend) -> None:
    text = "The quick brown fox."
    count = await backend.count_tokens(text)
    assert count > 0
    try:
        ids = await backend.tokenize(text)
    except UnsupportedCallError:
        assert count >= len(text) // 4  # an estimate on the high side
    else:
        assert len(ids) == count


async def test_token_ids_mean_something_or_are_refused(backend: Backend) -> None:
    try:
        ids = await backend.tokenize("The capital of France is")
    except UnsupportedCallError:
        with pytest.raises(UnsupportedCallError, match="token ids"):
            await backend.complete([1, 2, 3])
        with pytest.raises(UnsupportedCallError, match="token ids"):
            await backend.embed([[1, 2, 3]])
    else:
        assert (await backend.complete(ids, temperature=0, max_tokens=4)).usage.completion_tokens
        assert (await backend.embed([ids])).dimensions


async def test_it_ranks_documents_or_fails_as_a_call_it_can_not_make(
    backend: Backend, request: pytest.FixtureRequest
) -> None:
    documents = ["Paris", "a spoon"]
    # The daemon and the peer have no such call.
    ranks = request.node.callspec.params["backend"] not in ("ollama", "llama_cpp.server")
    with contextlib.nullcontext() if ranks else pytest.raises((BadRequestError, TargetDownError, NoTargetError)):
        assert len((await backend.rerank("a city", documents)).scores) == 2


async def test_letting_go_in_a_loop_raises_nothing(backend: Backend) -> None:
    backend.release()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the loop that ended before its connections
@pytest.mark.parametrize("kind", ["openai", "ollama", "engine", "wrapped", "routed"])
def test_closing_now_works_where_its_loop_is_gone(kind: str) -> None:
    async def used() -> Backend:
        if kind == "engine":
            backend: Backend = LlamaCppBackend(model_path=str(TINY), n_ctx=2048)
            await backend.chat("hello", max_tokens=2)
            return backend
        peer = FakeOllama() if kind == "ollama" else FakeOpenAI()
        async with peer:
            if isinstance(peer, FakeOllama):
                backend = OllamaBackend("m", host=peer.url, timeout=2)
            else:
                backend = OpenAIBackend("m", base_url=peer.base_url, name="x", timeout=2)
            backend = _in_front(kind, backend) if kind in ("wrapped", "routed") else backend
            await backend.chat("hello")
        return backend

    backend = asyncio.run(used())
    backend.close_now()
    backend.close_now()
    gc.collect()


async def test_after_a_call_that_is_cancelled_the_next_one_is_answered(backend: Backend) -> None:
    await backend.chat("warm", max_tokens=4)
    task = asyncio.ensure_future(backend.chat("Tell me a very long story.", max_tokens=500))
    await asyncio.sleep(0.02)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
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
    await eventually(lambda: case.server.in_flight == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: case.server.in_flight == 1 and case.server.requests[-1].disconnected)


async def test_closing_a_stream_early_closes_its_connection(case: Case) -> None:
    await case.backend.chat("warm")
    case.server.faults.append(Fault("silence_mid_stream"))
    stream = case.backend.chat_stream("hello")
    assert (await anext(stream)).delta.content
    await stream.aclose()
    await eventually(lambda: case.server.requests[-1].disconnected)


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
