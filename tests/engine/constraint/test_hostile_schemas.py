"""Hostile schemas, grammars and patterns: each compiles or is refused, and nobody else notices."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings

from parlant_local.engine.constraint.closing import closed_schema
from parlant_local.engine.requests import (
    Choices,
    Constraint,
    GenerationRequest,
    Grammar,
    JsonSchema,
    Regex,
    Sampling,
)
from parlant_local.errors import SchemaError
from parlant_local.settings import ConstraintSettings
from tests.engine.conftest import TINY, MakeEngine
from tests.support.dicing import Dice
from tests.support.evidence import table, write_section
from tests.support.hostile_schemas import HOSTILE_GRAMMARS, HOSTILE_PATTERNS, hostile_schemas
from tests.support.watching import Watch

# Against a hang, on a machine that others use too; what was measured stands in docs/evidence/hostile-schemas.md.
_BYTES = 768 * 1024 * 1024
_STEPS = 15


@pytest.fixture(scope="module")
def dice() -> Iterator[Dice]:
    dice = Dice(TINY)
    assert dice.compiler.tokenizer
    yield dice
    dice.close()


def _answer_some(dice: Dice, constraint: Constraint) -> str:
    """Compiles and takes some steps; what came of it."""
    try:
        matcher = dice.compiler.matcher(constraint)
        for step in range(_STEPS):
            allowed = np.flatnonzero(matcher.mask(0))
            if not allowed.size or matcher.finished:
                break
            token = int(allowed[step * 7919 % allowed.size])
            matcher.allows(token)
            matcher.accept([token])  # what the mask allows is taken, or a limit is named
            matcher.forced()
    except SchemaError:
        return "refused"
    return "compiled"


def _attack(dice: Dice, examples: int, random: int) -> list[tuple[str, str, Watch]]:
    seen: list[tuple[str, str, Watch]] = []

    @seed(random)
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(hostile_schemas())
    def attack(pair: tuple[str, Any]) -> None:
        kind, schema = pair
        with Watch() as watch:
            outcome = _answer_some(dice, JsonSchema(schema))
        seen.append((kind.split(" in ")[0], outcome, watch))
        assert not watch.kept_the_lock, kind
        assert watch.grown < _BYTES, (kind, watch.grown)

    attack()
    return seen


def test_hostile_schemas_compile_or_are_refused_without_affecting_others(dice: Dice) -> None:
    seen = _attack(dice, 100, random=1)
    outcomes = Counter(outcome for _, outcome, _ in seen)
    assert outcomes["compiled"] > 10
    assert outcomes["refused"] > 10


@pytest.mark.evidence
@pytest.mark.timeout(3600)
def test_three_thousand_hostile_schemas(dice: Dice) -> None:
    seen = _attack(dice, 3_000, random=2)
    rows = []
    for kind in sorted({kind for kind, _, _ in seen}):
        mine = [(outcome, watch) for other, outcome, watch in seen if other == kind]
        outcomes = Counter(outcome for outcome, _ in mine)
        rows.append(
            [
                kind,
                outcomes["compiled"],
                outcomes["refused"],
                *(f"{1000 * _percentile([watch.seconds for _, watch in mine], share):.0f}" for share in (0.5, 0.99, 1)),
                f"{1000 * max(watch.silence for _, watch in mine):.0f}",
                f"{max(watch.grown for _, watch in mine) / 2**20:.0f}",
            ]
        )
    head = ["kind", "compiled", "refused", "ms, median", "ms, 99 %", "ms, worst", "silence of other threads, ms", "MiB"]
    write_section(
        Path(__file__).parents[3] / "docs/evidence/hostile-schemas.md",
        "Three thousand schemas",
        f"{len(seen)} schemas of `tests/support/hostile_schemas.py`, each compiled and then fed {_STEPS} tokens, or refused "
        f"with `SchemaError`.\n\n{table(head, rows)}",
        command="pytest -m evidence tests/engine/constraint/test_hostile_schemas.py",
    )


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


@pytest.mark.parametrize(
    "constraint",
    [
        *(Grammar(text) for text in HOSTILE_GRAMMARS),
        *(Regex(pattern) for pattern in HOSTILE_PATTERNS),
        Choices(tuple(map(str, range(100_000)))),
        Choices(("x" * 100_000,)),
        Choices(tuple("y" * 9_000 + str(place) for place in range(100))),
    ],
    ids=lambda constraint: repr(constraint)[:40].encode("ascii", "replace").decode(),
)
def test_hostile_grammars_patterns_and_choices_compile_or_are_refused(constraint: Constraint, dice: Dice) -> None:
    with Watch() as watch:
        _answer_some(dice, constraint)
    assert not watch.kept_the_lock
    assert watch.grown < _BYTES


async def test_a_limit_hit_during_an_answer_only_fails_that_answer(engine_of: MakeEngine) -> None:
    engine = engine_of("llama")
    too_complex = [
        Regex("((.{1,100}){1,100}x){1,100}"),
        Regex("|".join(f".*{chr(97 + place % 26)}.{{{place}}}{place}" for place in range(50, 90))),
        JsonSchema({"type": "string", "pattern": "^((.{1,100}){1,100}x){1,100}$"}),
    ]
    for constraint in too_complex:
        sampling = Sampling(temperature=1.5, top_k=0, top_p=1, seed=1)
        with pytest.raises(SchemaError, match="too complex to continue"):
            await engine.generate(GenerationRequest("x", 200, sampling=sampling, constraint=constraint))
    assert (await engine.generate(GenerationRequest("y", 8, constraint=JsonSchema({"const": 1})))).text == "1"
    await engine.check_integrity()


# -- compiling -------------------------------------------------------------------------------------------------------


class _Gate:
    """Lets one schema's reading wait for as long as a test wants."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.open, self.entered, self.calls = threading.Event(), threading.Event(), 0

        def slow(schema: Any, *rest: Any) -> Any:
            if name in schema.get("title", ""):
                self.calls += 1
                self.entered.set()
                assert self.open.wait(60)
            return closed_schema(schema, *rest)

        monkeypatch.setattr("parlant_local.engine.constraint.compiler.closed_schema", slow)


def test_a_slow_schema_blocks_no_other_and_is_compiled_once(dice: Dice, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = _Gate(monkeypatch, "slow one")
    slow = JsonSchema({"title": "slow one", "type": "integer"})
    waiting = [dice.compiler.begin(slow) for _ in range(5)]
    assert gate.entered.wait(60)
    assert dice.compiler.compile(JsonSchema({"type": "null", "title": "another"})).closes_early
    assert not any(future.done() for future in waiting)
    gate.open.set()
    assert len({id(future.result(60)) for future in waiting}) == 1
    assert gate.calls == 1


def test_a_refused_schema_is_refused_again_without_work(dice: Dice, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = _Gate(monkeypatch, "bad one")
    gate.open.set()
    errors = []
    for _ in range(3):
        with pytest.raises(SchemaError) as refused:
            dice.compiler.compile(JsonSchema({"title": "bad one", "minLength": 7, "maxLength": 2, "type": "string"}))
        errors.append(refused.value)
    assert gate.calls == 1
    assert len({str(error) for error in errors}) == 1
    assert len({id(error) for error in errors}) == 3


async def test_a_slow_schema_stops_neither_the_loop_nor_other_answers(
    engine_of: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of("llama")
    gate = _Gate(monkeypatch, "slow one")
    slow = [
        asyncio.ensure_future(
            engine.generate(GenerationRequest("x", 8, constraint=JsonSchema({"title": f"slow one {n}", "enum": [n]})))
        )
        for n in range(7)
    ]
    await asyncio.to_thread(gate.entered.wait, 60)
    answers = await asyncio.gather(
        *(engine.generate(GenerationRequest("y", 8, constraint=JsonSchema({"enum": [f"{n}"]}))) for n in range(3)),
        engine.generate(GenerationRequest("y", 2)),
    )
    assert [answer.text for answer in answers[:3]] == ['"0"', '"1"', '"2"']
    slow[0].cancel()
    gate.open.set()
    assert [(await answer).text for answer in slow[1:]] == [str(n) for n in range(1, 7)]


def test_what_is_kept_is_bounded_by_count_and_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = Dice(TINY, ConstraintSettings(cached=6, cached_mb=50))
    gate = _Gate(monkeypatch, "kept")
    gate.open.set()

    def compile_again(schemas: list[dict[str, Any]]) -> int:
        for _ in range(2):
            before = gate.calls
            for schema in schemas:
                dice.compiler.compile(JsonSchema(schema))
        return gate.calls - before

    assert compile_again([{"title": "kept", "const": n} for n in range(5)]) == 0
    assert compile_again([{"title": "kept", "const": n} for n in range(10, 18)]) == 8
    # Patterns may need many states: few of them are kept.
    assert compile_again([{"title": "kept", "type": "string", "pattern": f"^{n}"} for n in range(2)]) == 0
    assert compile_again([{"title": "kept", "type": "string", "pattern": f"^{n}"} for n in range(10, 14)]) == 4
    dice.close()
