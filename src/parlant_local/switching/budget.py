"""Token budget of remote targets: counted on disk, reserved before each call, refused beyond the limit."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from parlant_local.errors import BudgetExceededError, StateFileError
from parlant_local.observability import Logger, NullLogger
from parlant_local.settings import BudgetSettings
from parlant_local.switching.ledger import Ledger, Spent

__all__ = ["Reservation", "Spent", "TokenBudget"]

_READ_SECONDS = 5.0


@dataclass(eq=False)
class Reservation:
    """Tokens reserved for one call; settle it exactly once."""

    tokens: int
    settled: bool = False


class TokenBudget:
    """What remote targets cost so far. ``path`` is the ledger; ``None`` counts in memory only.

    Several processes may share one ledger: each adds what it spent under a lock. Reservations are each process's own, so
    that together they can overshoot by the calls in flight. The event loop never waits for the disk or the lock; if the
    ledger can't be read, remote calls are refused.
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
        self._ledger = Ledger(path, today, logger or NullLogger())
        self._reserved = 0
        self._mutex = threading.Lock()
        with contextlib.suppress(StateFileError):  # ``read_error`` has the reason, and ``reserve`` refuses
            self._ledger.refresh()

    @property
    def reserved(self) -> int:
        return self._reserved

    @property
    def read_error(self) -> str:
        """Why the ledger could not be read last time; empty if it could."""
        return self._ledger.read_error

    def known(self) -> Spent:
        """What was spent as far as is known, without touching the disk; a refresh is queued."""
        self._ledger.refresh_soon()
        return self._ledger.known()

    def spent(self) -> Spent:
        """As the ledger has it now: other processes may have added to it. Reads the disk."""
        try:
            return self._ledger.refresh()
        except StateFileError as error:
            # A limit that can't be checked counts as reached; otherwise it would be no limit.
            raise BudgetExceededError(
                f"The token ledger {error.path} can't be read ({error.reason}), so remote calls are refused.",
                hint="Repair or remove the file; removing it starts the count at zero.",
            ) from None

    async def reserve(self, tokens: int) -> Reservation:
        """Reserves ``tokens``, or raises :class:`BudgetExceededError` where they would exceed a limit."""
        limited = self._limits.daily_tokens is not None or self._limits.total_tokens is not None
        if limited and self._ledger.path is not None:
            await self._refresh()
        with self._mutex:
            if limited:
                spent = self._ledger.known()
                self._check("daily", self._limits.daily_tokens, spent.today, tokens)
                self._check("total", self._limits.total_tokens, spent.total, tokens)
            self._reserved += tokens
        return Reservation(tokens)

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(_READ_SECONDS):
                await asyncio.to_thread(self.spent)
        except TimeoutError:
            raise BudgetExceededError(
                f"The token ledger {self._ledger.path} could not be read within {_READ_SECONDS:g} s, so remote calls are "
                "refused.",
                hint="Is the file system of PARLANT_LOCAL_HOME reachable?",
            ) from None

    def settle(self, reservation: Reservation, tokens: int, target: str) -> None:
        """Records what the call really cost; 0 for a call that never reached the target. Never blocks."""
        with self._mutex:
            if reservation.settled:
                return
            reservation.settled = True
            self._reserved -= reservation.tokens
            if tokens:
                self._ledger.add(target, tokens)

    @property
    def unwritten(self) -> bool:
        """Whether settled tokens are not on disk yet."""
        return self._ledger.unwritten

    def flush(self) -> None:
        """Writes everything that was settled to disk, if possible now. Blocks."""
        if self.unwritten:
            self._ledger.write()

    def _check(self, which: str, limit: int | None, spent: int, asked: int) -> None:
        if limit is None or spent + self._reserved + asked <= limit:
            return
        raise BudgetExceededError(
            f"The {which} budget of {limit} tokens for remote models does not cover this call: {spent} spent, "
            f"{self._reserved} in flight, about {asked} more.",
            hint=f"Raise switcher.budget.{which}_tokens"
            + (", or wait for tomorrow (UTC)." if which == "daily" else "."),
        )
