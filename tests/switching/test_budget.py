"""The token budget, by itself."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from filelock import FileLock
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from parlant_local.errors import BudgetExceededError
from parlant_local.observability import ConsoleLogger
from parlant_local.settings import BudgetSettings
from parlant_local.switching import TokenBudget
from parlant_local.switching.budget import Reservation, Spent
from tests.support.eventually import eventually


async def test_calls_in_flight_count_too() -> None:
    budget = TokenBudget(BudgetSettings(total_tokens=100))
    first = await budget.reserve(60)
    with pytest.raises(BudgetExceededError, match="60 in flight"):
        await budget.reserve(60)
    budget.settle(first, 10, "openai/x")
    await budget.reserve(60)
    assert budget.spent().total == 10


async def test_what_was_spent_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state" / "remote.json"
    limits = BudgetSettings(total_tokens=100)
    budget = TokenBudget(limits, path)
    budget.settle(await budget.reserve(80), 75, "openai/x")
    budget.flush()
    again = TokenBudget(limits, path)
    with pytest.raises(BudgetExceededError):
        await again.reserve(30)
    assert again.spent().by_target == {"openai/x": 75}
    assert not stat.S_IMODE(path.stat().st_mode) & 0o077


async def test_a_new_day_starts_at_zero_but_the_total_stays(tmp_path: Path) -> None:
    day = ["2026-11-20"]
    budget = TokenBudget(BudgetSettings(daily_tokens=100, total_tokens=150), tmp_path / "l.json", today=lambda: day[0])
    budget.settle(await budget.reserve(90), 90, "x")
    with pytest.raises(BudgetExceededError, match="daily"):
        await budget.reserve(20)
    day[0] = "2026-11-21"
    budget.settle(await budget.reserve(20), 20, "x")
    with pytest.raises(BudgetExceededError, match="total"):
        await budget.reserve(50)


class Clock:
    """A date that tests set, and a budget of 100 tokens a day in a fresh process each time."""

    def __init__(self, path: Path) -> None:
        self.path, self.day = path, ""

    async def spend(self, day: str, tokens: int) -> bool:
        """Whether a call of so many tokens was covered on that day."""
        self.day = day
        budget = TokenBudget(BudgetSettings(daily_tokens=100), self.path, today=lambda: self.day)
        try:
            budget.settle(await budget.reserve(tokens), tokens, "x")
        except BudgetExceededError:
            return False
        finally:
            await eventually(lambda: budget._ledger._queued is None or budget._ledger._queued.done())
        return True


@pytest.mark.parametrize("earlier", ["2026-11-25", "2026-10-26", "2020-01-01"])
async def test_a_clock_that_is_set_back_renews_nothing(earlier: str, tmp_path: Path) -> None:
    clock = Clock(tmp_path / "l.json")
    assert await clock.spend("2026-11-26", 100)
    assert not await clock.spend(earlier, 1)
    assert not await clock.spend("2026-11-26", 1)
    assert await clock.spend("2026-11-27", 100)


async def test_a_clock_that_was_far_ahead_freezes_the_budget_for_a_day_at_most(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "l.json")
    assert await clock.spend("2099-01-01", 100)
    assert not await clock.spend("2026-11-26", 1)  # by itself it might have been set back
    assert await clock.spend("2026-11-27", 100)
    assert not await clock.spend("2026-11-27", 1)
    assert await clock.spend("2026-11-28", 100)


async def test_what_waits_counts_for_the_day_it_was_spent_on(tmp_path: Path) -> None:
    path, day = tmp_path / "l.json", ["2026-11-26"]
    budget = TokenBudget(BudgetSettings(daily_tokens=100), path, today=lambda: day[0])
    with FileLock(f"{path}.lock"):
        budget.settle(await budget.reserve(100), 100, "x")
        day[0] = "2026-11-27"
        budget.settle(await budget.reserve(60), 60, "x")
        assert (budget.spent().today, budget.spent().total) == (60, 160)
    while budget.unwritten:
        budget.flush()
    spent = TokenBudget(BudgetSettings(), path, today=lambda: day[0]).spent()
    assert (spent.today, spent.total, spent.calls) == (60, 160, 2)


async def test_the_loop_goes_on_while_another_process_keeps_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "l.json"
    told: list[str] = []
    logger = ConsoleLogger(stream=cast(Any, SimpleNamespace(write=told.append, flush=lambda: None)))
    budget = TokenBudget(BudgetSettings(daily_tokens=100), path, logger=logger)
    with FileLock(f"{path}.lock"):
        for _ in range(8):  # while a thread of its own tries to get the lock
            budget.settle(await budget.reserve(10), 10, "x")
        assert budget._ledger._queued is not None
        assert not budget._ledger._queued.done(), "somebody waited until the lock was given up"
        with pytest.raises(BudgetExceededError, match="80 spent"):
            await budget.reserve(30)  # what waits counts
        budget.flush()
        assert not path.exists()
        assert len([line for line in told if "another process has held" in line]) == 1
    budget.flush()
    assert json.loads(path.read_text())["today"] == 80
    assert not budget.unwritten


async def test_a_call_that_is_cancelled_while_the_ledger_is_read_reserves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = TokenBudget(BudgetSettings(daily_tokens=100), tmp_path / "l.json")
    reading, go = threading.Event(), threading.Event()

    def slow() -> Spent:
        reading.set()
        go.wait(10)
        return Spent()

    monkeypatch.setattr(budget, "spent", slow)
    task = asyncio.create_task(budget.reserve(60))
    await asyncio.to_thread(reading.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go.set()
    assert budget.reserved == 0


async def test_a_ledger_on_a_disk_that_does_not_answer_covers_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = TokenBudget(BudgetSettings(daily_tokens=100), tmp_path / "l.json")
    go = threading.Event()
    monkeypatch.setattr(budget, "spent", lambda: go.wait(10))
    monkeypatch.setattr("parlant_local.switching.budget._READ_SECONDS", 0.05)
    with pytest.raises(BudgetExceededError, match=r"within 0\.05 s"):
        await budget.reserve(1)
    go.set()


def test_what_waits_is_written_when_the_process_ends(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from parlant_local.settings import BudgetSettings\n"
        "from parlant_local.switching import TokenBudget; from parlant_local.switching.budget import Reservation\n"
        "budget = TokenBudget(BudgetSettings(), Path(sys.argv[1])); budget.settle(Reservation(5), 5, 'x')"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "l.json")], check=True, timeout=60)
    assert json.loads((tmp_path / "l.json").read_text())["total"] == 5


def test_names_and_numbers_of_any_size_keep_the_ledger_readable(tmp_path: Path) -> None:
    path = tmp_path / "l.json"
    budget = TokenBudget(BudgetSettings(), path)
    for number in range(600):
        budget.settle(Reservation(1), 1, f"{number}/" + "x" * 5000)
    budget.settle(Reservation(1), 10**30, "\ud800")
    budget.settle(Reservation(1), -5, "y")
    budget.flush()
    spent = TokenBudget(BudgetSettings(), path).spent()
    assert spent.total == 2**63 - 1
    assert len(spent.by_target) <= 501


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"day": "x"}',
        '{"day":"2026-11-26","today":-5,"total":0,"calls":0,"by_target":{}}',
        '{"day":"2026-13-45","today":5,"total":0,"calls":0,"by_target":{}}',
        '{"version":2,"day":"2026-11-26","today":5,"total":0,"calls":0,"by_target":{}}',
        '{"day":"2026-11-26","today":NaN,"total":0,"calls":0,"by_target":{}}',
        '{"day":"2026-11-26","today":1e999,"total":0,"calls":0,"by_target":{}}',
        '{"day":"2026-11-26","today":' + "9" * 5000 + ',"total":0,"calls":0,"by_target":{}}',
        "[" * 200_000,
        b"\xff\xfe",
        " " * (2 << 20),
    ],
)
async def test_a_ledger_that_can_not_be_read_covers_nothing_and_is_never_overwritten(
    content: str | bytes, tmp_path: Path
) -> None:
    path = tmp_path / "ledger.json"
    content = content.encode() if isinstance(content, str) else content
    path.write_bytes(content)
    with pytest.raises(BudgetExceededError, match="ledger"):
        await TokenBudget(BudgetSettings(daily_tokens=100), path).reserve(1)
    unlimited = TokenBudget(BudgetSettings(), path)
    unlimited.settle(await unlimited.reserve(1), 1, "x")  # no limit, nothing to check
    unlimited.flush()
    assert unlimited.read_error
    assert path.read_bytes() == content
    path.unlink()
    unlimited.flush()
    assert unlimited.spent().total == 1


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path)])
async def test_what_is_no_file_covers_nothing(make: Callable[[Path], object], tmp_path: Path) -> None:
    make(tmp_path / "ledger.json")
    with pytest.raises(BudgetExceededError, match="ledger"):
        await TokenBudget(BudgetSettings(daily_tokens=100), tmp_path / "ledger.json").reserve(1)


def test_several_processes_share_one_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"

    def spend(_: int) -> None:
        budget = TokenBudget(BudgetSettings(), path)  # as another process would
        for _ in range(5):
            budget.settle(asyncio.run(budget.reserve(3)), 3, "x")
        while budget.unwritten:
            budget.flush()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(spend, range(4)))
    assert json.loads(path.read_text())["total"] == 60
    assert [item.name for item in tmp_path.iterdir() if item.suffix == ".tmp"] == []


async def test_settling_twice_books_once() -> None:
    budget = TokenBudget(BudgetSettings(total_tokens=100))
    reservation = await budget.reserve(50)
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
            reservation = asyncio.run(self.budget.reserve(tokens))
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
