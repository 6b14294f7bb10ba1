"""All connections of one server: how many there may be, who is turned away, and who goes when it gets narrow."""

from __future__ import annotations

import sys
import time
from typing import Literal, Protocol

from parlant_local.observability import Logger
from parlant_local.server.problems import Problem
from parlant_local.settings import ServerSettings

__all__ = ["Crowd", "room_for"]

_PORCH = 32  # more than may come in, who are told so; half of it is for this machine
_CROWDED = 0.9  # from here on those go who wait for nothing
_FRESH_SECONDS = 1.0  # nobody goes who came just now
_OTHER_DESCRIPTORS = 192  # models, downloads, pipes, the log


class Connection(Protocol):
    @property
    def waiting_since(self) -> float | None:
        """Since when it has no request under way; ``None``: it has one."""

    def expire(self, now: float, write_seconds: float) -> None:
        """Ends it where it takes too long."""

    def make_room(self) -> None: ...


class Crowd:
    """Belongs to one event loop. Whoever has no request under way is the first to go."""

    def __init__(self, limits: ServerSettings, most: int | None = None) -> None:
        self.limits = limits
        self._most = most or limits.connections
        self._here: set[Connection] = set()
        self.full = Problem(
            503,
            f"{self._most} connections are open; more are not allowed (server.connections).",
            "too_many_connections",
            retry_after=1,
        )

    def standing(self, connection: Connection, count: int, near: bool) -> Literal["inside", "porch", "outside"]:
        """Where a new connection, the ``count``-th, belongs."""
        self._here.add(connection)
        if count <= self._most:
            return "inside"
        return "porch" if count <= self._most + (_PORCH if near else _PORCH // 2) else "outside"

    def leave(self, connection: Connection) -> None:
        self._here.discard(connection)

    def sweep(self, *, patient: bool = True) -> None:
        """Ends what takes too long, and makes room where it gets narrow. Without patience who does not read
        is not waited for."""
        now = time.monotonic()
        for connection in tuple(self._here):
            connection.expire(now, self.limits.write_seconds if patient else min(1.0, self.limits.write_seconds))
        surplus = len(self._here) - int(self._most * _CROWDED)
        if surplus > 0:
            idle = [(since, one) for one in self._here if (since := one.waiting_since) is not None]
            idle.sort(key=lambda pair: pair[0])
            for since, one in idle[:surplus]:
                if now - since > _FRESH_SECONDS:
                    one.make_room()


def room_for(settings: ServerSettings, logger: Logger) -> int:
    """How many connections the system's limit of descriptors leaves room for; raises the limit as far as it may."""
    if sys.platform == "win32":
        return settings.connections
    import resource

    wanted = settings.connections + _PORCH + _OTHER_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        possible = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
        except (OSError, ValueError):  # a sandbox may forbid it
            possible = soft
        if possible < wanted:
            room = max(8, min(settings.connections, possible - _PORCH - _OTHER_DESCRIPTORS))
            logger.warning(
                f"This process may open {possible} files, so that {room} connections are allowed instead of "
                f"{settings.connections} (server.connections): raise the limit with `ulimit -n {wanted}`."
            )
            return room
    return settings.connections
