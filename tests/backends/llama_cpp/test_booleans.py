"""Booleans decided by what the model gives to true and to false as a whole."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from parlant_local.backends.llama_cpp import LlamaCppBackend
from parlant_local.engine.booleans import decided_boolean

PIECES = [b"true", b"t", b"false", b"f", b"null", b'"', b"true}", b"x", b""]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "why": {"type": "string", "maxLength": 30},
        "yes": {"type": "boolean"},
        "maybe": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
    },
    "required": ["why", "yes", "maybe"],
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}


def decided(logits: dict[int, float], bias: float = 0.0) -> int | None:
    values, mask = np.full(len(PIECES), -50, dtype=np.float32), np.zeros(len(PIECES), dtype=np.bool_)
    for token, value in logits.items():
        values[token], mask[token] = value, True
    return decided_boolean(values, mask, PIECES.__getitem__, bias)


def test_the_whole_probability_of_a_word_counts() -> None:
    assert decided({0: 1.0, 2: 1.2}) == 2
    assert decided({0: 1.0, 6: 0.4, 2: 1.2}) == 0, "two ways to say true outweigh one false"
    assert decided({0: 1.0, 6: 1.1, 2: 0.5}) == 6, "the likeliest token of the word"


def test_parts_of_a_word_only_count_where_a_word_has_nothing_else() -> None:
    assert decided({0: 1.0, 1: 9.0, 2: 1.2, 3: 0.0}) == 2, "t may begin anything"
    assert decided({1: 1.0, 3: 0.0}) == 1
    assert decided({0: -3.0, 1: 1.0, 3: 0.5}) == 1, "false has no whole word, so its parts are held against all of true"


def test_a_bias_is_a_threshold() -> None:
    assert decided({0: 1.0, 2: 1.2}, bias=0.3) == 0
    assert decided({0: 1.0, 2: 1.2}, bias=0.1) == 2
    assert decided({0: 9.0, 2: 1.2}, bias=-8) == 2


def test_null_is_a_third_answer() -> None:
    assert decided({0: 1.0, 2: 1.2, 4: 5.0}) == 4
    assert decided({0: 1.0, 2: 1.2, 4: 5.0}, bias=5) == 0


@pytest.mark.parametrize("allowed", [(0,), (0, 1, 6), (2, 3), (0, 2, 5), (0, 2, 7), (0, 2, 8), (4, 0)])
def test_elsewhere_it_is_drawn(allowed: tuple[int, ...]) -> None:
    """Where only one word is left, or anything else is allowed."""
    assert decided(dict.fromkeys(allowed, 1.0)) is None


@pytest.mark.parametrize(("bias", "expected"), [(50.0, True), (-50.0, None)])
async def test_in_an_answer_of_a_model(tiny: LlamaCppBackend, bias: float, expected: bool | None) -> None:
    """Whatever the seed and the temperature; a text that says "true" is no boolean."""
    for seed in range(3):
        reply = await tiny.chat(
            "Is it?", response_format=FORMAT, boolean_bias=bias, temperature=5.0, seed=seed, max_tokens=60
        )
        value = json.loads(reply.content)
        assert value["yes"] is bool(expected)
        assert (value["maybe"] is True) is bool(expected)


async def test_without_it_answers_are_as_they_were(tiny: LlamaCppBackend) -> None:
    plain = await tiny.chat("Is it?", response_format=FORMAT, temperature=0, max_tokens=60)
    decided = await tiny.chat("Is it?", response_format=FORMAT, temperature=0, max_tokens=60, boolean_bias=0)
    assert json.loads(plain.content)["why"] == json.loads(decided.content)["why"]
