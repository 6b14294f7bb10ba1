"""What Pydantic prints, over its whole type system: compiled, and every answer judged by the schema and by the type."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from hypothesis import HealthCheck, given, seed, settings
from pydantic import BaseModel, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema

from parlant_local.engine.constraint.validation import Validator
from parlant_local.engine.requests import JsonSchema, Limits
from tests.engine.conftest import TINY
from tests.support.dicing import Dice
from tests.support.evidence import table, write_section
from tests.support.pydantic_models import Dog, Nested, Pet, pydantic_models

_LIMITS = Limits(max_string=40, max_items=4, max_properties=4, max_depth=3)


@pytest.fixture(scope="module")
def dice() -> Iterator[Dice]:
    dice = Dice(TINY)
    yield dice
    dice.close()


def _judge(model: type[BaseModel], dice: Dice, seen: Counter[str]) -> None:
    try:
        schema = model.model_json_schema()
    except PydanticInvalidForJsonSchema:
        seen["has no schema"] += 1
        return
    constraint = JsonSchema(schema, _LIMITS)
    compiled = dice.compiler.compile(constraint)  # nothing that a type can mean is a contradiction
    seen["compiled"] += 1
    judge, peer = Validator(schema), jsonschema.Draft202012Validator(schema)
    for random in range(2):
        answer = dice.answer(constraint, max_tokens=compiled.closing_budget + 60 * random, seed=random)
        if answer.finish_reason != "stop":
            seen["cut"] += 1
            continue
        value = json.loads(answer.text)
        violation = judge.violation(value)
        assert (violation is None) == peer.is_valid(value), (violation, answer.text, schema)
        if violation is not None:
            assert compiled.unbound, (violation, answer.text, schema)
            seen["asked for again"] += 1
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # the types' own, `ipaddress` among them
                model.model_validate_json(answer.text)
        except ValidationError:
            seen["not taken by the type, which asks more than its schema says"] += 1
        else:
            seen["taken by the type"] += 1


def _judge_many(dice: Dice, examples: int, random: int) -> Counter[str]:
    seen: Counter[str] = Counter()

    @seed(random)
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(pydantic_models())
    def judge(model: type[BaseModel]) -> None:
        _judge(model, dice, seen)

    judge()
    return seen


def test_models_of_all_types_are_compiled_and_answered(dice: Dice) -> None:
    seen = _judge_many(dice, 40, random=1)
    assert seen["compiled"] > 25
    assert seen["taken by the type"] > seen["compiled"]
    assert seen["cut"] < 3


@pytest.mark.evidence
@pytest.mark.timeout(3600)
def test_five_hundred_models(dice: Dice) -> None:
    seen = _judge_many(dice, 500, random=2)
    assert seen["compiled"] >= 490
    rows = [["models compiled", seen["compiled"]], ["refused", 0]]
    rows += [[f"answers {what}", seen[what]] for what in sorted(seen) if what != "compiled"]
    write_section(
        Path(__file__).parents[3] / "docs/evidence/json-schema-suite.md",
        "Pydantic's type system",
        "Models drawn by hypothesis from `tests/support/pydantic_models.py`, each compiled and answered twice by random "
        "choices within its schema. Every answer was judged by the validator and by `jsonschema`, which always agreed, and by "
        "the type itself, which may ask more than its schema says (that a text is a decimal number, a key a whole one).\n\n"
        + table(["", "count"], rows),
        command="pytest -m evidence tests/engine/constraint/test_pydantic_schemas.py",
    )


@pytest.mark.parametrize("kind", [Pet, Nested, list[Pet], Dog | None])
def test_a_tag_with_a_default_decides_all_the_same(kind: object, dice: Dice) -> None:
    model: type[BaseModel] = type("Owner", (BaseModel,), {"__annotations__": {"pet": kind}, "__module__": __name__})
    constraint = JsonSchema(model.model_json_schema())
    assert not dice.compiler.compile(constraint).unbound
    for random in range(6):
        answer = dice.answer(constraint, max_tokens=dice.watched(constraint) + 20 * random, seed=random)
        model.model_validate_json(answer.text)


@pytest.mark.parametrize(
    "bounds",
    [
        {"exclusiveMinimum": 0, "exclusiveMaximum": 0.5},
        {"exclusiveMinimum": 1, "maximum": 1.5},
        {"minimum": -0.3, "exclusiveMaximum": 0},
        {"exclusiveMinimum": 0, "maximum": 0.5, "multipleOf": 0.1},
        {"exclusiveMinimum": 0, "exclusiveMaximum": 1e-9},
        {"exclusiveMinimum": 0, "exclusiveMaximum": 1e-18},
        {"exclusiveMinimum": 5, "exclusiveMaximum": 5.00000000001},
        {"exclusiveMinimum": 1e6, "exclusiveMaximum": 1000000.5},
    ],
)
def test_a_whole_number_that_is_excluded_is_never_written(bounds: dict[str, float], dice: Dice) -> None:
    schema = {"type": "object", "properties": {"f": {"type": "number", **bounds}}, "required": ["f"]}
    constraint = JsonSchema(schema)
    least = dice.compiler.compile(constraint).closing_budget
    for random in range(8):
        answer = dice.answer(constraint, max_tokens=least + 20 * (random % 3), seed=random)
        assert answer.finish_reason == "stop"
        assert Validator(schema).violation(json.loads(answer.text)) is None, answer.text
