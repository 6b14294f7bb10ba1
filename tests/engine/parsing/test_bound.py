"""A required call is bound to its template's own syntax: whatever the model draws, it parses and validates."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import jsonschema
import pytest

from parlant_local.engine import LlamaEngine
from parlant_local.engine.parsing import BoundSyntaxCalls, CallParser, collect
from parlant_local.engine.parsing.bound import object_schema
from parlant_local.engine.parsing.syntax import KEY
from parlant_local.engine.requests import CallOf, GenerationRequest, Limits, Sampling
from parlant_local.engine.templates import ChatTemplate
from parlant_local.errors import SchemaError
from parlant_local.messages import Tool
from parlant_local.settings import EngineSettings
from tests.support.call_shapes import SHAPES
from tests.support.dicing import Dice
from tests.support.places import CALL_TEMPLATES, TINY

STYLES = sorted(path.stem for path in CALL_TEMPLATES.glob("*.jinja"))

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
    source = CALL_TEMPLATES / f"{style}.jinja"
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


@pytest.fixture(scope="module")
def dice() -> Iterator[Dice]:
    dice = Dice(TINY)
    yield dice
    dice.close()


LIMITS = Limits(max_string=40, max_items=3, max_properties=3, max_depth=2)


@pytest.mark.parametrize("style", STYLES)
def test_calls_of_tools_of_all_shapes_are_closed_in_time(style: str, dice: Dice) -> None:
    syntax = speech_of(style).syntax
    for shape, schema in SHAPES.items():
        constraint = CallOf(syntax, (("use", schema),), LIMITS)
        if style.startswith("elements") and shape == "free":
            with pytest.raises(SchemaError, match="keys of the model's choice"):
                dice.watched(constraint)
            continue
        for seed, room in enumerate((1000, dice.watched(constraint))):
            answer = dice.answer(constraint, max_tokens=room, seed=seed)
            assert answer.finish_reason == "stop", (style, shape, answer.text)
            reader = BoundSyntaxCalls(syntax, {"use": schema})
            (call,) = collect([*reader.feed(answer.text), *reader.finish()]).tool_calls
            assert not reader.warnings
            jsonschema.Draft202012Validator(schema).validate(call.parsed())


LONG = {
    "type": "object",
    "properties": {
        "aside": {"type": "string"},
        "text": {"type": "string", "minLength": 3},
        "lines": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 40},
        "place": {
            "type": "object",
            "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
            "required": ["b"],
        },
        "code": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"},
        "rest": {"type": "string"},
    },
    "required": ["text", "lines", "place", "code"],
}


@pytest.mark.parametrize("style", STYLES)
def test_a_call_is_closed_early_wherever_its_tokens_run_out(style: str, dice: Dice) -> None:
    syntax = speech_of(style).syntax
    schemas = {"write": LONG}
    constraint = CallOf(syntax, tuple(schemas.items()), Limits())
    least = dice.watched(constraint)
    closed_early = 0
    for seed in range(3):
        answer = dice.answer(constraint, max_tokens=least + 27 * seed, seed=seed)
        closed_early += answer.closed_early
        assert answer.finish_reason == "stop", answer.text
        reader = BoundSyntaxCalls(syntax, schemas)
        (call,) = collect([*reader.feed(answer.text), *reader.finish()]).tool_calls
        jsonschema.Draft202012Validator(LONG).validate(call.parsed())
    assert closed_early


@pytest.mark.parametrize("style", ["tags", "tags-in-pairs", "elements", "braces"])
@pytest.mark.parametrize("length", [30, 700])
def test_a_text_that_goes_on_after_half_a_mark_costs_no_more_than_another(style: str, length: int, dice: Dice) -> None:
    syntax = speech_of(style).syntax
    schema = {"type": "object", "properties": {"text": {"type": "string", "maxLength": length}}, "required": ["text"]}
    matcher = dice.compiler.matcher(CallOf(syntax, (("use", schema),), Limits()))
    matcher.accept(matcher.forced())
    close = (syntax.body.quote + syntax.body.close).strip().replace(KEY, "text")
    for said in ("ab", close[:-1], "cd", close[: len(close) // 2], "ef"):
        tokens = [token for letter in said for token in dice.model.tokenize(letter)]
        while not all(map(matcher.allows, tokens[:1])):
            matcher.accept([int(matcher.mask(0).nonzero()[0][0])])
        for token in tokens:
            matcher.mask(0)
            matcher.accept([token])


def test_free_keys_are_written_between_marks(dice: Dice) -> None:
    schema = {"type": "object", "properties": {"id": {"type": "integer"}}, "additionalProperties": {"type": "boolean"}}
    for style in ("tags", "tags-with-types", "tags-in-pairs", "braces", "python"):
        found: set[str] = set()
        for seed in range(6):
            constraint = CallOf(speech_of(style).syntax, (("use", schema),), LIMITS)
            answer = dice.answer(constraint, max_tokens=600, seed=seed)
            reader = BoundSyntaxCalls(speech_of(style).syntax, {"use": schema})
            (call,) = collect([*reader.feed(answer.text), *reader.finish()]).tool_calls
            jsonschema.validate(call.parsed(), schema)
            found |= call.parsed().keys()
        assert found - {"id"}, style


@pytest.mark.parametrize("style", STYLES)
def test_a_bound_call_that_was_cut_before_its_arguments_is_no_content(style: str, dice: Dice) -> None:
    syntax = speech_of(style).syntax
    constraint = CallOf(syntax, (("book_table", SCHEMAS["book_table"]),), Limits())
    for room in range(1, 12):
        answer = dice.answer(constraint, max_tokens=room, seed=room)
        assert answer.finish_reason == "length"
        reader = BoundSyntaxCalls(syntax, SCHEMAS)
        found = collect([*reader.feed(answer.text), *reader.finish(truncated=True)])
        assert not found.content
        assert "cut off" in reader.warnings[0]


def test_bound_arguments_that_were_cut_are_delivered_with_a_warning() -> None:
    reader = BoundSyntaxCalls(speech_of("tags").syntax, SCHEMAS)
    cut = "\n<usetool>\n<fn=book_table>\n<par=name>\nAda\n</par>\n<par=zip>\n012"
    found = collect([*reader.feed(cut), *reader.finish(truncated=True)])
    assert found.tool_calls[0].arguments == '{"name": "Ada"'
    assert "cut off" in reader.warnings[0]
