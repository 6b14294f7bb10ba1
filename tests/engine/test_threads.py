"""Which number of threads small steps get, by times that a machine might show."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest

from parlant_local.engine.native import llama
from parlant_local.engine.threads import SMALL_STEP, ThreadChoice


def serve(choice: ThreadChoice, seconds: Callable[[int], float], steps: int, tokens: int = 1) -> list[int]:
    """What each step was computed with, on a machine that takes ``seconds`` with so many threads, give or take."""
    noise = random.Random(1)
    taken = []
    for _ in range(steps):
        threads = choice.threads(tokens)
        taken.append(threads)
        choice.record(tokens, seconds(threads) * noise.uniform(0.97, 1.03))
    return taken


@pytest.mark.parametrize(
    ("most", "best", "seconds"),
    [
        (2, 1, {1: 5.0, 2: 9.5}),
        (2, 2, {1: 9.0, 2: 5.0}),
        (8, 2, {1: 6.0, 2: 4.0, 4: 5.0, 8: 9.0}),
        (6, 6, {1: 12.0, 3: 5.0, 6: 3.0}),
        (6, 1, {1: 3.0, 3: 5.0, 6: 7.0}),
        (1, 1, {1: 3.0}),
    ],
)
def test_the_fastest_is_found_and_kept(most: int, best: int, seconds: dict[int, float]) -> None:
    choice = ThreadChoice(most, flash_attention=False)
    serve(choice, seconds.__getitem__, 100)
    later = serve(choice, seconds.__getitem__, 2000)
    assert later.count(best) >= 0.97 * len(later)


def test_equal_speed_prefers_fewer_threads() -> None:
    choice = ThreadChoice(4, flash_attention=False)
    serve(choice, lambda threads: 5.0 + 0.01 * threads, 200)
    assert serve(choice, lambda threads: 5.0 + 0.01 * threads, 500).count(1) > 450


def test_trials_cost_little_where_all_threads_are_fastest() -> None:
    choice = ThreadChoice(16, flash_attention=False)
    taken = serve(choice, lambda threads: 16.0 / threads, 2000)
    assert sum(16.0 / threads for threads in taken) < 1.05 * 2000


def test_trials_cost_little_from_the_first_answer_on() -> None:
    choice = ThreadChoice(2, flash_attention=False)
    assert serve(choice, {1: 7.5, 2: 5.0}.__getitem__, 255).count(1) < 12


def test_a_machine_that_gets_busy_is_noticed() -> None:
    choice = ThreadChoice(2, flash_attention=False)
    serve(choice, {1: 8.0, 2: 5.0}.__getitem__, 3000)
    busy = serve(choice, {1: 9.0, 2: 60.0}.__getitem__, 300)
    assert busy.count(2) < 40
    quiet = serve(choice, {1: 8.0, 2: 5.0}.__getitem__, 3000)
    assert quiet[-500:].count(2) > 450


def test_step_sizes_are_tuned_separately_and_large_steps_use_every_thread() -> None:
    choice = ThreadChoice(2, flash_attention=False)
    serve(choice, {1: 5.0, 2: 9.0}.__getitem__, 200, tokens=1)
    serve(choice, {1: 9.0, 2: 5.0}.__getitem__, 200, tokens=8)
    assert choice.threads(1) == 1
    assert choice.threads(8) == 2
    assert serve(choice, {1: 1.0, 2: 9.0}.__getitem__, 100, tokens=SMALL_STEP) == [2] * 100


def test_single_tokens_use_every_thread_where_logits_depend_on_the_count() -> None:
    choice = ThreadChoice(2, flash_attention=True)
    assert serve(choice, {1: 1.0, 2: 9.0}.__getitem__, 300, tokens=1) == [2] * 300
    assert serve(choice, {1: 1.0, 2: 9.0}.__getitem__, 300, tokens=2).count(1) > 250


@pytest.mark.parametrize(
    ("given", "policy", "spins"),
    [
        ({}, "PASSIVE", "300"),
        ({"OMP_WAIT_POLICY": "passive"}, "passive", "300"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE", None),
        ({"GOMP_SPINCOUNT": "0"}, "PASSIVE", "0"),
    ],
)
def test_threads_spin_briefly_before_they_sleep_unless_configured_otherwise(
    given: dict[str, str], policy: str, spins: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", dict(given))
    llama._use_passive_waiting()
    assert os.environ.get("OMP_WAIT_POLICY") == policy
    assert os.environ.get("GOMP_SPINCOUNT") == spins
