"""Reports of people who do this job, asked of a real server in their own words; docs/evidence/public-reports.md has them all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx2
import jsonschema
import pydantic
import pytest
from pydantic import BaseModel, Field, IPvAnyAddress, TypeAdapter

from .conftest import TINY, Server

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "evidence" / "public-reports.md"
HELLO = [{"role": "user", "content": "Say something."}]


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: Annotated[int, Field(ge=1, le=9)]


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    good: bool


class Owner(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


@pytest.fixture(scope="module")
def http(server: Server) -> Iterator[httpx2.Client]:
    server.wait_loaded()
    with httpx2.Client(base_url=server.url, timeout=120) as client:
        yield client


def answer(http: httpx2.Client, **body: Any) -> dict[str, Any]:
    asked = {"model": TINY, "messages": HELLO, "temperature": 1, "seed": 5, "max_tokens": 300} | body
    found = http.post("/v1/chat/completions", json=asked)
    assert found.status_code == 200, found.text
    choice: dict[str, Any] = found.json()["choices"][0]
    return choice


def valued(http: httpx2.Client, schema: dict[str, Any]) -> Any:
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    return json.loads(answer(http, response_format=form)["message"]["content"])


def test_a_discriminated_union_whose_tags_have_defaults_is_bound(http: httpx2.Client) -> None:
    Owner.model_validate(valued(http, Owner.model_json_schema()))


@pytest.mark.parametrize(
    "schema",
    [
        {"oneOf": [{"type": "integer", "maximum": 99, "minimum": 0}, {"type": "number", "minimum": 0, "maximum": 9}]},
        {"type": "object", "properties": {"a": {"type": "boolean"}, "b": {"type": "boolean"}}, "additionalProperties": False,
         "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
    ],
)  # fmt: skip
def test_branches_that_overlap_are_any_of_them(http: httpx2.Client, schema: dict[str, Any]) -> None:
    loose = json.loads(json.dumps(schema).replace("oneOf", "anyOf"))
    jsonschema.Draft202012Validator(loose).validate(valued(http, schema))


@pytest.mark.parametrize(
    "schema",
    [
        TypeAdapter(Annotated[set[Literal["a", "b", "c"]], Field(max_length=3)]).json_schema(),
        TypeAdapter(IPvAnyAddress).json_schema() | {"maxLength": 20},
        TypeAdapter(pydantic.Base64Str).json_schema() | {"maxLength": 20},
        {"type": "string", "format": "cron", "maxLength": 20},
        {"type": "string", "format": "url", "maxLength": 20},
        {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
        {"$id": "https://example.com/x", "$anchor": "top", "type": "boolean"},
        {"type": "integer", "minimum": 3, "exclusiveMinimum": True, "maximum": 9},
        {"type": ["boolean", "string", "null"], "not": {"type": "string"}},
        {"type": "object", "properties": {"a": {"type": "boolean"}, "b": {"type": "boolean"}}, "additionalProperties": False,
         "dependentRequired": {"a": ["b"]}},
        {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"], "unevaluatedProperties": False},
    ],
    ids=["set", "address", "base64", "cron", "url", "int64", "anchor", "draft 4", "not", "dependentRequired", "unevaluated"],
)  # fmt: skip
def test_annotations_and_what_is_checked_afterwards_are_taken(http: httpx2.Client, schema: dict[str, Any]) -> None:
    value = valued(http, {"type": "object", "properties": {"v": schema}, "required": ["v"]})["v"]
    if schema.get("exclusiveMinimum") is True:
        schema = {"type": "integer", "exclusiveMinimum": 3, "maximum": 9}
    jsonschema.Draft202012Validator(schema).validate(value)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "now"}}])
@pytest.mark.parametrize("parameters", [None, {}, {"type": "object", "properties": {}}])
def test_a_tool_without_parameters_is_called_with_none(http: httpx2.Client, choice: Any, parameters: Any) -> None:
    tool = {"type": "function", "function": {"name": "now", "parameters": parameters}}
    (call,) = answer(http, tools=[tool], tool_choice=choice)["message"]["tool_calls"]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("now", {})


def test_every_report_has_a_test_that_there_is() -> None:
    rows = [line.split("|")[1:-1] for line in TABLE.read_text().splitlines() if re.match(r"\| \d", line)]
    assert [int(row[0]) for row in rows] == list(range(1, 19))
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row[-1])
        assert named or "issue 20" in row[-1], row[0]
        for file, test in named:
            assert f"def {test}(" in (ROOT / file).read_text(), f"{file}::{test}"
