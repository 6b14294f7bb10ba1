"""What answers are declared to be: nothing that was promised goes, and what is written is what is declared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from parlant_local.messages import ChatChunk, ChatReply, Delta, Timings, TokenLogprob, ToolCall, ToolCallDelta, Usage
from parlant_local.server.app import create_app
from parlant_local.server.replies import ChatAnswer, CompletionAnswer, usage_json
from parlant_local.server.shapes.answers import ChatCompletion, ChatCompletionChunk, TextCompletion, TextCompletionChunk
from parlant_local.settings import Settings

# Fields of answers that version 0.1 described. Later versions may add some; whoever takes one away breaks a client.
PROMISED: dict[str, list[str]] = json.loads((Path(__file__).parent / "promised.json").read_text("utf-8"))
DESCRIBED: dict[str, Any] = create_app(Settings()).openapi()

_LOGPROBS = (TokenLogprob("a", -0.5, (97,), (("a", -0.5), ("b", -1.0))),)
_CALL = ToolCall("call_1", "look", "{}")


def _names(schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
    if "$ref" in schema:
        schema = DESCRIBED["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for item in schema.get("anyOf", ()):
        yield from _names(item, prefix)
    if isinstance(items := schema.get("items"), dict):
        yield from _names(items, f"{prefix}[]")
    for name, inner in schema.get("properties", {}).items():
        yield f"{prefix}.{name}"
        yield from _names(inner, f"{prefix}.{name}")


@pytest.mark.parametrize("answer", PROMISED)
def test_what_was_promised_is_described(answer: str) -> None:
    verb, path, status = answer.split()
    described = DESCRIBED["paths"][path][verb.lower()]["responses"][status]["content"]["application/json"]["schema"]
    assert set(PROMISED[answer]) <= set(_names(described))


def test_ranges_are_described_in_words_that_clients_know() -> None:
    """pydantic writes ``ge`` and ``le`` where a number is converted after its range was declared."""
    written = json.dumps(DESCRIBED)
    assert not [word for word in ("ge", "le", "gt", "lt") if f'"{word}":' in written]


def _exactly(declared: Any, value: Any) -> None:
    """Valid, and without a field that nobody declared."""
    kept = json.loads(json.dumps(value, default=list))
    closed = TypeAdapter(declared, config=None).json_schema(mode="serialization")
    TypeAdapter(declared).validate_python(kept, strict=True)
    assert not set(_undeclared(kept, closed, closed.get("$defs", {})))


def _undeclared(value: Any, schema: dict[str, Any], parts: dict[str, Any]) -> Iterator[str]:
    schema = parts[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    known = [schema, *schema.get("anyOf", ())]
    known = [parts[item["$ref"].rpartition("/")[2]] if "$ref" in item else item for item in known]
    if isinstance(value, list):
        for item in value:
            for inner in (found["items"] for found in known if isinstance(found.get("items"), dict)):
                yield from _undeclared(item, inner, parts)
    declared = {name: inner for found in known for name, inner in found.get("properties", {}).items()}
    if isinstance(value, dict) and declared:
        yield from value.keys() - declared.keys()
        for name, inner in declared.items():
            if name in value:
                yield from _undeclared(value[name], inner, parts)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    "reply",
    [
        ChatReply("hello"),
        ChatReply("hello", reasoning="hm", logprobs=_LOGPROBS, timings=Timings(queued=0.5)),
        ChatReply("", tool_calls=(_CALL,), finish_reason="tool_calls"),
        ChatReply("one", alternatives=(ChatReply("two"),)),
    ],
)
def test_chats_are_written_as_declared(reply: ChatReply, legacy: bool) -> None:
    _exactly(ChatCompletion, ChatAnswer("m", legacy=legacy).whole(reply))


@pytest.mark.parametrize("with_usage", [False, True])
@pytest.mark.parametrize(
    "chunk",
    [
        ChatChunk(delta=Delta("hello")),
        ChatChunk(delta=Delta(reasoning="hm"), logprobs=_LOGPROBS),
        ChatChunk(delta=Delta(tool_calls=(ToolCallDelta(0, "call_1", "look", "{"), ToolCallDelta(0, None, None, "}")))),
        ChatChunk(finish_reason="stop", usage=Usage(1, 2), timings=Timings()),
    ],
)
def test_events_are_written_as_declared(chunk: ChatChunk, with_usage: bool) -> None:
    for legacy in (False, True):
        answer = ChatAnswer("m", legacy=legacy)
        _exactly(ChatCompletionChunk, answer.chunk(chunk, with_usage=with_usage))
        _exactly(ChatCompletionChunk, answer.usage(Usage(1, 2)))


@pytest.mark.parametrize("logprobs", [None, _LOGPROBS])
def test_completions_are_written_as_declared(logprobs: tuple[TokenLogprob, ...] | None) -> None:
    answer = CompletionAnswer("m")
    _exactly(TextCompletion, answer.whole([("echo", ChatReply("text", logprobs=logprobs))], Usage(1, 2, 3, 4)))
    for with_usage in (False, True):
        _exactly(TextCompletionChunk, answer.piece(0, "text", None, logprobs, with_usage=with_usage))
    _exactly(TextCompletionChunk, answer.usage(Usage(1, 2)))


def test_usage_is_the_messages_own() -> None:
    assert usage_json(Usage(3, 2, 1, 1)) == Usage(3, 2, 1, 1).to_openai()
