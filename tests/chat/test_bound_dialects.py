"""A required call is bound to its template's own syntax: whatever the model draws, it parses and validates."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from parlant_local.engine import LlamaEngine
from parlant_local.engine.parsing import BoundSyntaxCalls, CallParser, collect
from parlant_local.engine.parsing.bound import object_schema
from parlant_local.engine.requests import CallOf, GenerationRequest, Limits, Sampling
from parlant_local.engine.templates import ChatTemplate
from parlant_local.messages import Tool
from parlant_local.settings import EngineSettings

from .conftest import TINY

STYLES = sorted(path.stem for path in Path(__file__).with_name("templates").glob("*.jinja"))

TOOLS = (
    Tool(
        "book_table",
        "Books a table.",
        {
            "type": "object",
            "properties": {
                "name": {"type": "string", "maxLength": 24},
                "zip": {"type": "string", "pattern": "^[0-9]{5}$"},
                "guests": {"type": "integer", "minimum": 1, "maximum": 12},
                "outside": {"type": "boolean"},
                "meal": {"enum": ["lunch", "dinner"]},
                "note": {"anyOf": [{"type": "string", "maxLength": 12}, {"type": "null"}]},
                "dishes": {"type": "array", "items": {"type": "string", "maxLength": 8}, "maxItems": 2},
                "place": {
                    "type": "object",
                    "properties": {"street": {"type": "string", "maxLength": 8}, "number": {"type": "integer"}},
                    "required": ["street"],
                },
                "day": {"type": "string", "format": "date"},
            },
            "required": ["name", "zip", "guests", "place"],
        },
    ),
    Tool("ping"),
)
SCHEMAS = {tool.name: object_schema(tool.parameters) for tool in TOOLS}


@pytest.fixture
async def engine() -> AsyncIterator[LlamaEngine]:
    engine = LlamaEngine(TINY, settings=EngineSettings(n_ctx=1024, n_seq_max=2))
    await engine.load()
    yield engine
    await engine.close()


def speech_of(style: str) -> Any:
    source = Path(__file__).with_name("templates") / f"{style}.jinja"
    return ChatTemplate(source.read_text("utf-8"), bos="<s>", eos="</s>").speech(TOOLS)


async def drawn(engine: LlamaEngine, style: str, names: list[str], seed: int) -> str:
    constraint = CallOf(speech_of(style).syntax, tuple((name, SCHEMAS[name]) for name in names), Limits())
    generation = await engine.generate(
        GenerationRequest(
            prompt="A table for two, please.\n",
            max_tokens=600,
            sampling=Sampling(temperature=1.0, top_k=0, top_p=1.0, seed=seed),
            constraint=constraint,
            control_text=True,
        )
    )
    assert generation.finish_reason == "stop"
    return generation.text


async def test_whatever_is_drawn_is_a_valid_call(engine: LlamaEngine) -> None:
    for style in STYLES:
        for seed, names in enumerate((["book_table"], ["ping"], ["book_table", "ping"])):
            check(style, await drawn(engine, style, names, seed))


def check(style: str, text: str) -> None:
    speech = speech_of(style)
    reader = BoundSyntaxCalls(speech.syntax, SCHEMAS)
    deltas = [delta for letter in text for delta in reader.feed(letter)]
    found = collect([*deltas, *reader.finish()])
    assert not reader.warnings, (style, text)
    assert not found.content, (style, text)
    (call,) = found.tool_calls
    jsonschema.validate(call.parsed(), SCHEMAS[call.name])
    if call.name == "ping":
        assert call.parsed() == {}, style  # a tool without parameters takes none
    unbound = CallParser(speech.calls, list(SCHEMAS))
    again = collect([*unbound.feed(speech.profile.begun + text), *unbound.finish()])
    assert [(item.name, item.parsed()) for item in again.tool_calls] == [(call.name, call.parsed())], (style, text)


async def test_arguments_in_tags_come_one_by_one(engine: LlamaEngine) -> None:
    speech = speech_of("tags")
    text = await drawn(engine, "tags", ["book_table"], 3)
    reader = BoundSyntaxCalls(speech.syntax, SCHEMAS)
    pieces = [delta.tool_calls[0].arguments for letter in text for delta in reader.feed(letter)]
    assert len(pieces) > 3
    assert json.loads("".join([*pieces, *(item.tool_calls[0].arguments for item in reader.finish())]))


def test_bound_arguments_that_were_cut_are_delivered_with_a_warning() -> None:
    reader = BoundSyntaxCalls(speech_of("tags").syntax, SCHEMAS)
    cut = "\n<usetool>\n<fn=book_table>\n<par=name>\nAda\n</par>\n<par=zip>\n012"
    found = collect([*reader.feed(cut), *reader.finish(truncated=True)])
    assert found.tool_calls[0].arguments == '{"name": "Ada"'
    assert "cut off" in reader.warnings[0]
