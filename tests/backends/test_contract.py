"""What every backend promises, shown for each of them."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass

import jsonschema
import pytest

from parlant_local.backends.base import Backend
from parlant_local.backends.ollama import OllamaBackend
from parlant_local.backends.openai import OpenAIBackend
from parlant_local.errors import BadRequestError, ParlantLocalError, StreamInterruptedError, TargetDownError

from .fakes.http import Fault, FaultServer
from .fakes.ollama_server import FakeOllama
from .fakes.openai_server import FakeOpenAI

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
FORMAT = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}}


@dataclass
class Case:
    backend: Backend
    server: FaultServer


@pytest.fixture(params=["openai", "ollama"])
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    server: FakeOpenAI | FakeOllama
    if request.param == "openai":
        async with FakeOpenAI() as server, OpenAIBackend("m", base_url=server.base_url, name="x", timeout=2) as backend:
            yield Case(backend, server)
    else:
        async with FakeOllama() as server, OllamaBackend("m", host=server.url, timeout=2) as ollama:
            yield Case(ollama, server)


async def test_it_is_a_backend(case: Case) -> None:
    assert isinstance(case.backend, Backend)


async def test_it_answers_with_usage_and_a_finish_reason(case: Case) -> None:
    reply = await case.backend.chat("What is the capital of France?", temperature=0, max_tokens=20)
    assert "Paris" in reply.content
    assert reply.finish_reason == "stop"
    assert reply.usage.prompt_tokens > 0
    assert reply.usage.completion_tokens > 0
    assert reply.model == case.backend.model_info().id


async def test_a_structured_answer_fits_its_schema(case: Case) -> None:
    reply = await case.backend.chat("Tell me about Paris.", response_format=FORMAT)
    jsonschema.validate(json.loads(reply.content), SCHEMA)


async def test_a_stream_spells_the_same_answer_and_ends_with_usage(case: Case) -> None:
    whole = await case.backend.chat("What is the capital of France?")
    chunks = [chunk async for chunk in case.backend.chat_stream("What is the capital of France?")]
    assert "".join(chunk.delta.content for chunk in chunks) == whole.content
    assert len(chunks) > 2
    assert [chunk.finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens > 0


async def test_a_structured_stream_fits_its_schema(case: Case) -> None:
    chunks = [chunk async for chunk in case.backend.chat_stream("Tell me.", response_format=FORMAT)]
    jsonschema.validate(json.loads("".join(chunk.delta.content for chunk in chunks)), SCHEMA)


async def test_it_continues_a_text(case: Case) -> None:
    assert (await case.backend.complete("The capital of France is")).content


async def test_vectors_have_unit_length_and_keep_their_order(case: Case) -> None:
    reply = await case.backend.embed(["a", "a much longer text"])
    assert len(reply.vectors) == 2
    assert all(math.isclose(math.hypot(*vector), 1.0, abs_tol=1e-6) for vector in reply.vectors)
    assert reply.vectors[0] != reply.vectors[1]
    assert reply.dimensions == len(reply.vectors[0])
    assert reply.vectors[0] == pytest.approx((await case.backend.embed(["a"])).vectors[0])


async def test_many_calls_at_once_each_get_their_answer(case: Case) -> None:
    replies = await asyncio.gather(*(case.backend.chat(f"call {n}", response_format=FORMAT) for n in range(12)))
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
        while not condition():  # noqa: ASYNC110  # the other side has no event to wait for
            await asyncio.sleep(0.005)
