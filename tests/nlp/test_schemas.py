"""Types that callers want answers in."""

import json
from typing import Any, Dict, Literal, Optional, TypedDict  # noqa: UP035  # typing.Dict is one of the kinds

import pytest
import typing_extensions
from pydantic import BaseModel, field_validator

from parlant_local.errors import InvalidOutputError, SchemaError
from parlant_local.nlp.schemas import answer_type


class Inner(BaseModel):
    kind: Literal["a", "b"]


class Model(BaseModel):
    name: str
    inner: Inner
    note: Optional[str] = None  # noqa: UP045  # as Parlant writes it


class StandardInner(TypedDict):
    value: int


class Standard(TypedDict, total=False):
    name: typing_extensions.Required[str]
    inner: StandardInner
    maybe: StandardInner | None


class Extended(typing_extensions.TypedDict):
    capital: str


@pytest.mark.parametrize(
    ("wanted", "text", "value"),
    [
        (Extended, '{"capital":"Paris"}', {"capital": "Paris"}),
        (Standard, '{"name":"x","inner":{"value":3}}', {"name": "x", "inner": {"value": 3}}),
        (dict, '{"a":[1,null]}', {"a": [1, None]}),
        (Dict[str, int], '{"a":1}', {"a": 1}),  # noqa: UP006
        (dict[str, StandardInner], '{"a":{"value":1}}', {"a": {"value": 1}}),
    ],
)
def test_dictionaries_of_every_kind_get_a_schema_and_come_back_as_dictionaries(
    wanted: Any, text: str, value: Any
) -> None:
    answer = answer_type(wanted)
    assert answer.schema["type"] == "object"
    assert answer.parse(text) == value


def test_a_model_comes_back_as_itself_with_its_keys_in_declaration_order() -> None:
    answer = answer_type(Model)
    assert list(answer.schema["properties"]) == ["name", "inner", "note"]
    parsed = answer.parse('{"name":"n","inner":{"kind":"a"}}')
    assert isinstance(parsed, Model)
    assert parsed.inner.kind == "a"


def test_required_keys_of_a_standard_typed_dict_stay_required() -> None:
    assert answer_type(Standard).schema["required"] == ["name"]


def test_an_answer_that_does_not_fit_names_the_place_and_quotes_nothing() -> None:
    with pytest.raises(InvalidOutputError, match=r"inner\.kind") as caught:
        answer_type(Model).parse(json.dumps({"name": "n", "inner": {"kind": "my secret"}}))
    assert "my secret" not in str(caught.value)


def test_a_models_own_validators_are_part_of_the_check() -> None:
    class Even(BaseModel):
        n: int

        @field_validator("n")
        @classmethod
        def even(cls, n: int) -> int:
            if n % 2:
                raise ValueError("must be even")
            return n

    with pytest.raises(InvalidOutputError, match="must be even"):
        answer_type(Even).parse('{"n":3}')


@pytest.mark.parametrize("wanted", [int, list[str], object()])
def test_what_is_no_json_object_is_refused_before_any_work(wanted: Any) -> None:
    with pytest.raises(SchemaError, match="JSON"):
        answer_type(wanted)
