"""Limits on downloads by clients: per model, per day, and for the models folder."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from parlant_local.catalog import LocalModelManager
from parlant_local.catalog.disk import human_bytes
from parlant_local.errors import RequestRefusedError
from parlant_local.settings import LimitSettings

__all__ = ["Quota", "Ticket"]

_DAY_SECONDS = 24 * 3600.0
_GB = 1e9


@dataclass(slots=True, eq=False)
class Ticket:
    """One download's part of the daily quota."""

    since: float
    promised: int = 0
    fetched: int = 0

    @property
    def counted(self) -> int:
        return max(self.promised, self.fetched)


class Quota:
    """The quota of one server since it started."""

    def __init__(
        self, manager: LocalModelManager, limits: LimitSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._manager, self._limits, self._clock = manager, limits, clock
        self._tickets: deque[Ticket] = deque()

    def ticket(self) -> Ticket:
        ticket = Ticket(self._clock())
        self._tickets.append(ticket)
        return ticket

    def accept(self, ticket: Ticket, size: int, missing: int) -> None:
        """Raises :class:`RequestRefusedError` where a model of ``size`` bytes, ``missing`` of them not downloaded yet, exceeds a limit."""
        self._check_model(size)
        ticket.promised = missing
        try:
            self._check_day()
            self._check_folder(missing)
        except RequestRefusedError:
            ticket.promised = 0
            raise

    def progress(self, ticket: Ticket, done: int, fetched: int) -> None:
        """Raises :class:`RequestRefusedError` where more than announced was downloaded and exceeds a limit."""
        ticket.fetched = fetched
        self._check_model(done)
        if ticket.fetched > ticket.promised:
            self._check_day()

    def settle(self, ticket: Ticket) -> None:
        """Bytes that were not downloaded are not counted."""
        ticket.promised = 0
        if not ticket.fetched and ticket in self._tickets:
            self._tickets.remove(ticket)

    def _check_model(self, size: int) -> None:
        most = self._limits.download_gb
        if most is not None and size > most * _GB:
            raise _too_much(
                f"The model has {human_bytes(size)}; clients may download up to {most:g} GB (limits.download_gb)."
            )

    def _check_day(self) -> None:
        most = self._limits.downloads_gb_a_day
        while self._tickets and self._clock() - self._tickets[0].since > _DAY_SECONDS:
            self._tickets.popleft()
        spent = sum(each.counted for each in self._tickets)
        if most is not None and spent > most * _GB:
            raise _too_much(
                f"With this download {human_bytes(spent)} would be downloaded within 24 hours; "
                f"clients may download up to {most:g} GB (limits.downloads_gb_a_day)."
            )

    def _check_folder(self, missing: int) -> None:
        most = self._limits.models_gb
        if most is None:
            return
        here = sum(model.size or model.done or 0 for model in self._manager.list_models(states="all") if model.owned)
        if here + missing > most * _GB:
            raise _too_much(
                f"Downloaded models take {human_bytes(here)}, and this one needs {human_bytes(missing)} more; "
                f"{most:g} GB are allowed (limits.models_gb). Delete some."
            )


def _too_much(message: str) -> RequestRefusedError:
    return RequestRefusedError(403, message, code="download_too_large", param="model")
