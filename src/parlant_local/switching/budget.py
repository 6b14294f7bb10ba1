"""Tokens spent with remote targets: counted on disk, reserved before each call, refused beyond the limit."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from parlant_local.errors import BudgetExceededError
from parlant_local.observability import Logger, NullLogger
from parlant_local.settings import BudgetSettings

__all__ = ["Reservation", "Spent", "TokenBudget"]

_LOCK_SECONDS = 1.0
_MOST_TARGETS = 256  # counted by name: an endpoint may answer to any


@dataclass(eq=False)
class Reservation:
    """Tokens held back for one call; settle it exactly once."""

    tokens: int
    settled: bool = False


@dataclass
class Spent:
    """The ledger."""

    day: str = ""
    today: int = 0
    total: int = 0
    calls: int = 0
    by_target: dict[str, int] = field(default_factory=dict)


class TokenBudget:
    """What remote targets cost so far. ``path`` is the ledger; ``None`` counts in memory only.

    Several processes may share one ledger: each adds what it spent under a lock. Reservations are each process's own, so
    that together they can overshoot by the calls in flight.
    """

    def __init__(
        self,
        limits: BudgetSettings,
        path: Path | None = None,
        *,
        today: Callable[[], str] = lambda: datetime.now(UTC).date().isoformat(),
        logger: Logger | None = None,
    ) -> None:
        self._limits = limits
        self._path = path
        self._today = today
        self._logger = logger or NullLogger()
        self._reserved = 0
        self._spent = Spent()
        self._stamp: tuple[int, int] | None = None

    @property
    def reserved(self) -> int:
        return self._reserved

    def spent(self) -> Spent:
        """As the ledger has it now: other processes may have added to it."""
        self._refresh()
        return self._spent

    def reserve(self, tokens: int) -> Reservation:
        """Holds ``tokens`` back, or raises :class:`BudgetExceededError` where they would go beyond a limit."""
        limited = self._limits.daily_tokens is not None or self._limits.total_tokens is not None
        if limited:
            self._refresh()
            self._check("daily", self._limits.daily_tokens, self._spent.today, tokens)
            self._check("total", self._limits.total_tokens, self._spent.total, tokens)
        self._reserved += tokens
        return Reservation(tokens)

    def settle(self, reservation: Reservation, tokens: int, target: str) -> None:
        """Books what the call really cost; 0 for a call that never reached the other side."""
        if reservation.settled:
            return
        reservation.settled = True
        self._reserved -= reservation.tokens
        if tokens:
            self._book(tokens, target)

    def _check(self, which: str, limit: int | None, spent: int, asked: int) -> None:
        if limit is None or spent + self._reserved + asked <= limit:
            return
        raise BudgetExceededError(
            f"The {which} budget of {limit} tokens for remote models does not cover this call: {spent} spent, "
            f"{self._reserved} in flight, about {asked} more.",
            hint=f"Raise switcher.budget.{which}_tokens"
            + (", or wait for tomorrow (UTC)." if which == "daily" else "."),
        )

    def _book(self, tokens: int, target: str) -> None:
        try:
            with self._locked():
                self._refresh()
                spent = self._spent
                spent.today += tokens
                spent.total += tokens
                spent.calls += 1
                name = target if target in spent.by_target or len(spent.by_target) < _MOST_TARGETS else "others"
                spent.by_target[name] = spent.by_target.get(name, 0) + tokens
                self._write()
        except (OSError, Timeout, BudgetExceededError) as error:
            # The answer is there and paid for: losing it would help nobody. What was spent stays counted in memory.
            self._logger.error(f"{tokens} tokens of {target} could not be booked in {self._path}: {error}")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        if self._path is None:
            yield
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self._path}.lock", timeout=_LOCK_SECONDS):
            yield

    def _refresh(self) -> None:
        """Reads the ledger when it changed, and starts a new day where one has begun."""
        if self._path is not None:
            self._read(self._path)
        if self._spent.day != (today := self._today()):
            self._spent.day = today
            self._spent.today = 0

    def _read(self, path: Path) -> None:
        try:
            status = path.stat()
            if (stamp := (status.st_mtime_ns, status.st_ino)) == self._stamp:
                return
            data = json.loads(path.read_text("utf-8"))
            spent = Spent(
                day=str(data["day"]),
                today=_count(data["today"]),
                total=_count(data["total"]),
                calls=_count(data["calls"]),
                by_target={str(name): _count(value) for name, value in data["by_target"].items()},
            )
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            # A limit that can't be checked is treated as reached: the other way round it would be no limit.
            raise BudgetExceededError(
                f"The token ledger {path} can't be read ({type(error).__name__}), so no remote call is covered.",
                hint="Repair or remove the file; removing it starts the count at zero.",
            ) from None
        self._spent, self._stamp = spent, stamp

    def _write(self) -> None:
        if self._path is None:
            return
        spent = self._spent
        data = {"day": spent.day, "today": spent.today, "total": spent.total, "calls": spent.calls,
                "by_target": spent.by_target}  # fmt: skip
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=".ledger-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(data, file)
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        status = self._path.stat()
        self._stamp = (status.st_mtime_ns, status.st_ino)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("not a count")
    return value
