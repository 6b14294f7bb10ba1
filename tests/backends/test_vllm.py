"""A vLLM server as an endpoint: its schemas, names, figures and failures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from parlant_local.backends.dialect import FORMAT, SCHEMA, blamed_field
from parlant_local.backends.openai import OpenAIBackend
from parlant_local.errors import (
    AuthenticationError,
    ContextOverflowError,
    ParlantLocalError,
    StreamInterruptedError,
    TargetDownError,
    TransientError,
)
from parlant_local.messages import ResponseFormat
from tests.fakes.http import Fault
from tests.fakes.vllm import FakeVLLM

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 40}, "sure": {"type": "boolean"}},
    "required": ["city", "sure"],
    "additionalProperties": False,
}
TAGS = {
    "type": "object",
    "properties": {"tags": {"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": True}},
    "required": ["tags"],
}
"""Nothing that xgrammar can bind."""


@asynccontextmanager
async def serving(model: str = "m", **options: Any) -> AsyncIterator[tuple[FakeVLLM, OpenAIBackend]]:
    key = options.pop("client_key", options.get("key"))
    async with FakeVLLM(**options) as server:
        assert isinstance(server, FakeVLLM)
        async with OpenAIBackend(model, base_url=server.base_url, name="vllm", timeout=2.0, api_key=key) as backend:
            yield server, backend


def form(schema: dict[str, Any], name: str = "Schema") -> ResponseFormat:
    return ResponseFormat("json_schema", schema, name)


def formats(server: FakeVLLM) -> list[str | None]:
    return [(request.body.get("response_format") or {}).get("type") for request in server.requests if request.body]


async def test_schemas_bind_by_the_field_that_every_release_has() -> None:
    async with serving() as (server, backend):
        reply = await backend.chat("Where?", response_format=form(CITY), prefix_group="City", session="s")
        assert reply.content
        assert backend.dialect == "json_schema"
        assert formats(server) == ["json_schema"]
        assert server.ignored == [], "guided_json is gone, and would be ignored without a word"


async def test_thoughts_come_apart_under_vllms_name() -> None:
    async with serving() as (server, backend):
        server.reasoning = "Hm."
        assert (await backend.chat("Where?")).reasoning == "Hm."
        assert "".join([chunk.delta.reasoning async for chunk in backend.chat_stream("Where?")]) == "Hm."


async def test_a_schema_that_the_decoder_cannot_bind_is_spelled_out_and_the_others_stay_bound() -> None:
    async with serving(decoder="xgrammar") as (server, backend):
        for _ in range(3):
            assert "tags" in (await backend.chat("Which?", response_format=form(TAGS))).content
        assert formats(server) == ["json_schema", "json_object", "json_object", "json_object"], (
            "one refusal, not one a call"
        )
        assert backend.dialect is None, "nothing is known yet of other schemas"
        await backend.chat("Where?", response_format=form(CITY))
        assert backend.dialect == "json_schema"
        await backend.chat("Which?", response_format=form(TAGS))
        await backend.chat("Which?", response_format=form({**TAGS, "title": "Others"}))
        assert formats(server)[4:] == ["json_schema", "json_object", "json_schema", "json_object"]
        assert backend.dialect == "json_schema"


async def test_a_stream_of_such_a_schema_settles_nothing() -> None:
    async with serving(decoder="xgrammar") as (_, backend):
        text = "".join([chunk.delta.content async for chunk in backend.chat_stream("?", response_format=form(TAGS))])
        assert "tags" in text
        assert backend.dialect is None
        _ = [chunk async for chunk in backend.chat_stream("?", response_format=form(CITY))]
        assert backend.dialect == "json_schema"


async def test_a_crowd_with_one_such_schema_binds_the_rest() -> None:
    async with serving(decoder="xgrammar") as (_, backend):
        schemas = [TAGS, CITY, CITY, TAGS, CITY]
        await asyncio.gather(*(backend.chat("?", response_format=form(schema)) for schema in schemas))
        assert backend.dialect == "json_schema"


async def test_a_schema_nested_too_deep_is_refused_before_it_is_walked() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"items": deep}
    async with serving(decoder="xgrammar") as (_, backend):
        await backend.chat("?", response_format=form(TAGS))
        with pytest.raises(ParlantLocalError):
            await backend.chat("?", response_format=form(deep))


async def test_the_served_name_is_the_one_that_counts() -> None:
    async with serving("qwen3-32b", names=("qwen3-32b", "support")) as (_, backend):
        info = await backend.check()
        assert info.n_ctx == 8192, "max_model_len"
        assert (await backend.chat("Where?")).content
    async with serving("Qwen/Qwen3-32B", names=("qwen3-32b", "support")) as (_, backend):
        with pytest.raises(TargetDownError, match="qwen3-32b, support"):
            await backend.check()
        with pytest.raises(TargetDownError, match="does not exist"):
            await backend.chat("Where?")


@pytest.mark.parametrize(("details", "cached"), [(True, 1), (False, 0)])
async def test_cached_tokens_are_told_where_the_server_is_asked_to(details: bool, cached: int) -> None:
    async with serving(prompt_details=details) as (_, backend):
        assert (await backend.chat("Where?")).usage.cached_tokens == cached


async def test_its_failures_are_ours() -> None:
    async with serving(max_model_len=100) as (server, backend):
        with pytest.raises(ContextOverflowError) as caught:
            await backend.chat("word " * 400)
        assert caught.value.available == 100
        server.engine_died = True
        with pytest.raises(TransientError, match="EngineCore"):
            await backend.chat("Where?")
    async with serving(key="correct-key", client_key="wrong-key") as (_, backend):
        with pytest.raises(AuthenticationError):
            await backend.chat("Where?")


async def test_an_engine_that_dies_in_a_stream() -> None:
    async with serving() as (server, backend):
        server.faults.append(Fault("error_event", after=2))
        with pytest.raises(StreamInterruptedError):
            _ = [chunk async for chunk in backend.chat_stream("Where?")]


@pytest.mark.parametrize(
    ("status", "text", "field"),
    [
        (400, "The provided JSON schema contains features not supported by xgrammar.", SCHEMA),
        (400, "Failed to transform json schema into a grammar: unsupported keyword", SCHEMA),
        (400, "Grammar error: unsatisfiable schema", SCHEMA),
        (400, "Invalid schema for response_format 'City': 'additionalProperties' is required to be false.", SCHEMA),
        (400, "JSON schema conversion failed: unrecognized schema", SCHEMA),
        (400, "Failed to parse grammar", SCHEMA),
        (400, "'response_format.type' must be 'text'", FORMAT),
        (
            422,
            "Failed to deserialize the JSON body into the target type: response_format: missing field `value`",
            FORMAT,
        ),
        (400, "structured output is not enabled", FORMAT),
        (400, "temperature must be non-negative", None),
        (503, "The provided JSON schema contains features not supported by xgrammar.", None),
    ],
)
def test_what_an_error_blames(status: int, text: str, field: str | None) -> None:
    """The form, which the endpoint doesn't know, or this one schema: vLLM, OpenAI, llama-server, TGI."""
    assert blamed_field(status, text) == field
