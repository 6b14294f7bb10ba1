"""The small parts: addresses, structured answers, vectors."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlant_local.backends.addresses import is_remote
from parlant_local.backends.structured import checked, instruct, parse_structured, strict_schema
from parlant_local.backends.vectors import normalised
from parlant_local.errors import InvalidOutputError, SchemaError
from parlant_local.messages import ChatReply, Message, ResponseFormat

LOCAL = ["http://localhost:1/v1", "http://LOCALHOST.", "http://127.0.0.1", "http://127.9.9.9:80", "http://[::1]:8000",
         "http://0.0.0.0:1", "http://[::ffff:127.0.0.1]/", "http://api.localhost"]  # fmt: skip
REMOTE = ["https://api.openai.com", "http://10.0.0.1", "http://192.168.1.5:11434", "http://127.0.0.1.evil.example",
          "http://localhost.evil.example", "http://2130706433", "http://[fe80::1]", "http://[::ffff:8.8.8.8]", "nonsense",
          "", "http://169.254.169.254", "http://[bad", "http://localhost@evil.example/"]  # fmt: skip


@pytest.mark.parametrize("url", LOCAL)
def test_loopback_is_not_remote(url: str) -> None:
    assert not is_remote(url)


@pytest.mark.parametrize("url", REMOTE)
def test_whatever_is_not_certainly_loopback_is_remote(url: str) -> None:
    assert is_remote(url)


@given(st.text(max_size=60))
def test_no_text_makes_the_address_check_fail(text: str) -> None:
    assert is_remote(text) in (True, False)
    assert is_remote("http://" + text) in (True, False)


WANTED = ResponseFormat.json_schema(
    {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
)


@pytest.mark.parametrize(
    "text",
    ['{"a": 1}', ' {"a": 1}\n', '```json\n{"a": 1}\n```', 'Sure! {"a": 1} Anything else?',
     '<think>maybe {"b": 2}</think>{"a": 1}', '{"a": "draft"} no: {"a": 1}'],
)  # fmt: skip
def test_json_is_found_in_what_surrounds_it(text: str) -> None:
    assert parse_structured(text, WANTED) == '{"a": 1}'


@pytest.mark.parametrize(
    "text", ["", "no", '{"a": "x"}', '{"a": 1, "b": 2}', "[1]", '{"a": NaN}', '{"a": 1', "{" * 5000]
)
def test_what_does_not_fit_is_refused(text: str) -> None:
    with pytest.raises(InvalidOutputError):
        parse_structured(text, WANTED)


def test_raw_line_breaks_in_strings_are_written_properly() -> None:
    wanted = ResponseFormat.json_object()
    assert json.loads(parse_structured('{"a": "one\ntwo"}', wanted)) == {"a": "one\ntwo"}


def test_what_was_delivered_in_pieces_must_be_json_as_it_stands() -> None:
    whole = ChatReply(content='```json\n{"a": 1}\n```')
    assert checked(whole, WANTED, limit=None).content == '{"a": 1}'
    with pytest.raises(InvalidOutputError, match="text around the JSON"):
        checked(whole, WANTED, limit=None, delivered=True)


def test_any_json_object_means_an_object() -> None:
    assert parse_structured('[1] {"x": []}', ResponseFormat.json_object()) == '{"x": []}'
    with pytest.raises(InvalidOutputError):
        parse_structured("[1]", ResponseFormat.json_object())


@given(st.text(max_size=200))
def test_no_answer_makes_the_parser_fail_otherwise(text: str) -> None:
    try:
        value = json.loads(parse_structured(text, ResponseFormat.json_object()))
    except InvalidOutputError:
        return
    assert isinstance(value, dict)


def test_a_schema_that_points_elsewhere_opens_no_socket() -> None:
    outside = ResponseFormat.json_schema({"$ref": "http://192.0.2.1/schema.json"})
    with pytest.raises(SchemaError):
        parse_structured("{}", outside)
    with pytest.raises(SchemaError):
        parse_structured("{}", ResponseFormat.json_schema({"type": "nonsense"}))


def test_strict_schemas_are_closed_and_require_every_key() -> None:
    schema = {
        "title": "T",
        "type": "object",
        "properties": {
            "a": {"type": "string", "default": "x"},
            "b": {"anyOf": [{"$ref": "#/$defs/B"}, {"type": "null"}]},
        },
        "required": ["a"],
        "$defs": {"B": {"type": "object", "properties": {"c": {"type": "integer"}}}},
    }
    assert strict_schema(schema) == {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"anyOf": [{"$ref": "#/$defs/B"}, {"type": "null"}]}},
        "required": ["a", "b"],
        "additionalProperties": False,
        "$defs": {
            "B": {
                "type": "object",
                "properties": {"c": {"type": "integer"}},
                "required": ["c"],
                "additionalProperties": False,
            }
        },
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "additionalProperties": {"type": "boolean"}},
        {"type": "array", "items": {"type": "string"}},
        {"type": "object", "properties": {"x": {}}},
        {"type": "object", "properties": {"x": {"allOf": [{"type": "string"}]}}},
    ],
)
def test_schemas_without_a_strict_form_are_told_apart(schema: dict) -> None:
    assert strict_schema(schema) is None


def test_the_wish_for_json_stands_at_the_end() -> None:
    messages = instruct([Message.system("s"), Message.user("u")], WANTED)
    assert messages[0] == Message.system("s")
    assert messages[1].content is not None
    assert messages[1].content.startswith("u\n\n")
    assert instruct([Message.assistant("x")], WANTED)[1].role == "user"


@pytest.mark.parametrize(
    "vectors", [[], [[1.0], [1.0, 2.0]], [[0.0, 0.0], [1.0, 1.0]], [[float("nan"), 1.0], [1.0, 1.0]], [[], []]]
)
def test_vectors_that_can_not_be_used_are_refused(vectors: list[list[float]]) -> None:
    with pytest.raises(InvalidOutputError):
        normalised("x", vectors, expected=2)
