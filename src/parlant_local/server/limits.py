"""Rate limits per client: requests per minute, and concurrent requests."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from parlant_local.errors import RequestRefusedError
from parlant_local.settings import LimitSettings

__all__ = ["Limiter"]

_MAX_CLIENTS = 4096


@dataclass(slots=True)
class _Client:
    allowance: float
    seen: float
    running: int = 0


class Limiter:
    """A token bucket per client, and a count of running requests."""

    def __init__(self, settings: LimitSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = settings.requests_per_minute
        self._at_once = settings.concurrent_requests
        self._clock = clock
        self._clients: OrderedDict[str, _Client] = OrderedDict()

    @contextmanager
    def request(self, client: str) -> Iterator[None]:
        """One request of a client, until the end of its response. :class:`RequestRefusedError` (429) where it exceeds a limit."""
        known = self._known(client)
        if self._at_once is not None and known.running >= self._at_once:
            raise RequestRefusedError(
                429,
                f"{known.running} of your requests are running; {self._at_once} are allowed at once "
                "(limits.concurrent_requests).",
                code="too_many_concurrent_requests",
                retry_after=1,
            )
        if self._per_minute is not None:
            if known.allowance < 1:
                wait = (1 - known.allowance) * 60 / self._per_minute
                raise RequestRefusedError(
                    429,
                    f"Your limit is {self._per_minute} requests per minute (limits.requests_per_minute).",
                    code="rate_limit_exceeded",
                    retry_after=wait,
                )
            known.allowance -= 1
        known.running += 1
        try:
            yield
        finally:
            known.running -= 1

    def _known(self, name: str) -> _Client:
        now = self._clock()
        full = float(self._per_minute or 0)
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = _Client(full, now)
        client.allowance = min(full, client.allowance + (now - client.seen) * full / 60)
        client.seen = now
        self._clients.move_to_end(name)
        if (
            len(self._clients) > _MAX_CLIENTS
        ):  # the least recently seen idle one; busy ones are bounded by the connections
            idle = next(
                (name for name, known in self._clients.items() if not known.running and known is not client), None
            )
            if idle is not None:
                del self._clients[idle]
        return client
