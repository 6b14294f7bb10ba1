"""The connections of one server: their limit, rejection beyond it, and eviction of idle ones."""

from __future__ import annotations

import time
from importlib import import_module
from typing import Literal, Protocol

from parlant_local.observability import Logger
from parlant_local.server.problems import Problem
from parlant_local.settings import ServerSettings

__all__ = ["ConnectionLimit", "connection_capacity"]

_OVERFLOW = 32  # accepted beyond the limit to be told so; half of them reserved for this machine
_SWEEP_RATIO = 0.9  # of the limit; above it idle connections are closed
_MIN_AGE_SECONDS = 1.0  # a new connection is not closed at once
_OTHER_DESCRIPTORS = 192  # for models, downloads, pipes and the log


class Connection(Protocol):
    @property
    def waiting_since(self) -> float | None:
        """Since when it has been idle; ``None`` during a request."""

    def expire(self, now: float, write_seconds: float) -> None:
        """Closes it where it exceeds a timeout."""

    def close_idle(self) -> None: ...


class ConnectionLimit:
    """Belongs to one event loop. Idle connections are closed first."""

    def __init__(self, limits: ServerSettings, most: int | None = None) -> None:
        self.limits = limits
        self._most = most or limits.connections
        self._open: set[Connection] = set()
        self.full = Problem(
            503,
            f"{self._most} connections are open, which is the limit (server.connections).",
            "too_many_connections",
            retry_after=1,
        )

    def admit(self, connection: Connection, count: int, local: bool) -> Literal["accepted", "overflow", "rejected"]:
        """Whether a new connection, the ``count``-th, is accepted."""
        self._open.add(connection)
        if count <= self._most:
            return "accepted"
        return "overflow" if count <= self._most + (_OVERFLOW if local else _OVERFLOW // 2) else "rejected"

    def remove(self, connection: Connection) -> None:
        self._open.discard(connection)

    def sweep(self, *, patient: bool = True) -> None:
        """Closes connections that exceed a timeout, and idle ones near the limit. Without ``patient``, slow
        readers are not waited for."""
        now = time.monotonic()
        for connection in tuple(self._open):
            connection.expire(now, self.limits.write_seconds if patient else min(1.0, self.limits.write_seconds))
        surplus = len(self._open) - int(self._most * _SWEEP_RATIO)
        if surplus > 0:
            idle = [(since, one) for one in self._open if (since := one.waiting_since) is not None]
            idle.sort(key=lambda pair: pair[0])
            for since, one in idle[:surplus]:
                if now - since > _MIN_AGE_SECONDS:
                    one.close_idle()


def connection_capacity(settings: ServerSettings, logger: Logger) -> int:
    """The number of connections within the system's limit on descriptors, which is raised as far as possible."""
    try:
        resource = import_module("resource")
    except ImportError:  # Windows has no such limit
        return settings.connections

    wanted = settings.connections + _OVERFLOW + _OTHER_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        possible = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
        except (OSError, ValueError):  # a sandbox may forbid it
            possible = soft
        if possible < wanted:
            room = max(8, min(settings.connections, possible - _OVERFLOW - _OTHER_DESCRIPTORS))
            logger.warning(
                f"This process may open only {possible} files, which limits it to {room} connections instead of "
                f"{settings.connections} (server.connections): raise the limit with `ulimit -n {wanted}`."
            )
            return room
    return settings.connections
