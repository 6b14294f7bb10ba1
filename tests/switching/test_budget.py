"""The token budget, by itself."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from parlant_local.errors import BudgetExceededError
from parlant_local.settings import BudgetSettings
from parlant_local.switching import TokenBudget
from parlant_local.switching.budget import Reservation


def test_calls_in_flight_count_too() -> None:
    budget = TokenBudget(BudgetSettings(total_tokens=100))
    first = budget.reserve(60)
    with pytest.raises(BudgetExceededError, match="60 in flight"):
        budget.reserve(60)
    budget.settle(first, 10, "openai/x")
    budget.reserve(60)
    assert budget.spent().total == 10


def test_what_was_spent_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state" / "remote.json"
    limits = BudgetSettings(total_tokens=100)
    budget = TokenBudget(limits, path)
    budget.settle(budget.reserve(80), 75, "openai/x")
    again = TokenBudget(limits, path)
    with pytest.raises(BudgetExceededError):
        again.reserve(30)
    assert again.spent().by_target == {"openai/x": 75}
    assert not stat.S_IMODE(path.stat().st_mode) & 0o077


def test_a_new_day_starts_at_zero_but_the_total_stays(tmp_path: Path) -> None:
    day = ["2026-11-20"]
    budget = TokenBudget(BudgetSettings(daily_tokens=100, total_tokens=150), tmp_path / "l.json", today=lambda: day[0])
    budget.settle(budget.reserve(90), 90, "x")
    with pytest.raises(BudgetExceededError, match="daily"):
        budget.reserve(20)
    day[0] = "2026-11-21"
    budget.settle(budget.reserve(20), 20, "x")
    with pytest.raises(BudgetExceededError, match="total"):
        budget.reserve(50)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"day": "x"}', '{"day":"d","today":-5,"total":0,"calls":0,"by_target":{}}']
)
def test_a_ledger_that_can_not_be_read_covers_nothing(content: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    path.write_text(content)
    with pytest.raises(BudgetExceededError, match="ledger"):
        TokenBudget(BudgetSettings(daily_tokens=100), path).reserve(1)
    TokenBudget(BudgetSettings(), path).reserve(1)  # no limit, nothing to check


def test_several_processes_share_one_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"

    def spend(_: int) -> None:
        budget = TokenBudget(BudgetSettings(), path)  # as another process would
        for _ in range(5):
            budget.settle(budget.reserve(3), 3, "x")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(spend, range(4)))
    assert json.loads(path.read_text())["total"] == 60
    assert [item.name for item in tmp_path.iterdir() if item.name.startswith(".ledger-")] == []


def test_settling_twice_books_once() -> None:
    budget = TokenBudget(BudgetSettings(total_tokens=100))
    reservation = budget.reserve(50)
    budget.settle(reservation, 40, "x")
    budget.settle(reservation, 40, "x")
    assert (budget.spent().total, budget.reserved) == (40, 0)


class BudgetMachine(RuleBasedStateMachine):
    """Any order of reserving and settling, where nobody spends more than was reserved."""

    reservations = Bundle("reservations")
    LIMIT = 200

    def __init__(self) -> None:
        super().__init__()
        self.budget = TokenBudget(BudgetSettings(total_tokens=self.LIMIT))
        self.open: list[Reservation] = []

    @rule(target=reservations, tokens=st.integers(0, 120))
    def reserve(self, tokens: int) -> Reservation | None:
        try:
            reservation = self.budget.reserve(tokens)
        except BudgetExceededError:
            assert self.budget.spent().total + self.budget.reserved + tokens > self.LIMIT
            return None
        self.open.append(reservation)
        return reservation

    @rule(reservation=consumes(reservations), share=st.floats(0, 1))
    def settle(self, reservation: Reservation | None, share: float) -> None:
        if reservation is not None:
            self.budget.settle(reservation, int(reservation.tokens * share), "x")
            self.open.remove(reservation)

    @invariant()
    def the_limit_holds(self) -> None:
        assert self.budget.spent().total + self.budget.reserved <= self.LIMIT

    @invariant()
    def nothing_reserved_is_lost(self) -> None:
        assert self.budget.reserved == sum(item.tokens for item in self.open)


TestBudgetMachine = BudgetMachine.TestCase
TestBudgetMachine.settings = hypothesis_settings(max_examples=100, stateful_step_count=30, deadline=None)
