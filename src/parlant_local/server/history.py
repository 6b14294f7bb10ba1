"""The last requests and how they went: figures and reasons, never what was asked or answered."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import monotonic
from time import time as wall_time

from parlant_local.engine.watching import Watch
from parlant_local.messages import Timings, Usage
from parlant_local.server.problems import Problem
from parlant_local.server.progress import progress_of
from parlant_local.server.shapes.answers import RequestReport

__all__ = ["History", "RequestRecord", "current_request", "note_problem"]

_KEPT = 100
_LONGEST_NAME = 200  # of a schema, a session, a model: clients choose them


@dataclass(eq=False)
class RequestRecord:
    id: str
    method: str
    path: str
    time: float = field(default_factory=wall_time)
    watch: Watch = field(default_factory=Watch, repr=False)
    client: str | None = None
    status: int = 0
    seconds: float | None = None
    """None while it runs."""
    model: str | None = None
    schema: str | None = None
    session: str | None = None
    streamed: bool = False
    finish: str | None = None
    error: str | None = None
    first_token: float | None = None
    usage: Usage = Usage()
    timings: Timings | None = None
    _began: float = field(default_factory=monotonic, repr=False)

    def end(self, status: int, client: str | None) -> None:
        self.status, self.client, self.seconds = status, client, monotonic() - self._began

    def report(self) -> RequestReport:
        standing = self.watch.standing() if self.seconds is None else None
        usage, timings = self.usage, self.timings or Timings()
        if standing is not None:  # figures so far
            usage = Usage(standing.prompt, standing.written, standing.reused)
        return {
            "id": self.id,
            "time": round(self.time, 3),
            "method": self.method,
            "path": self.path[:_LONGEST_NAME],
            "client": self.client,
            "status": self.status,
            "seconds": round(monotonic() - self._began if self.seconds is None else self.seconds, 3),
            "running": self.seconds is None,
            "progress": progress_of(standing),
            "model": _short(self.model),
            "schema": _short(self.schema),
            "session": _short(self.session),
            "streamed": self.streamed,
            "finish": self.finish,
            "error": self.error,
            "first_token": None if self.first_token is None else round(self.first_token, 4),
            "prompt_tokens": usage.prompt_tokens,
            "cached_tokens": usage.cached_tokens,
            "completion_tokens": usage.completion_tokens,
            "forced_tokens": timings.forced_tokens,
            "sampled_tokens": timings.sampled_tokens,
            "decode_seconds": round(timings.decode, 4),
        }


class History:
    """Those that may change something or use a model: every request but safe ones."""

    def __init__(self) -> None:
        self._records: deque[RequestRecord] = deque(maxlen=_KEPT)

    def begin(self, record: RequestRecord) -> None:
        self._records.append(record)

    def __iter__(self) -> Iterator[RequestRecord]:
        """The newest first."""
        return reversed(self._records)


def _short(text: str | None) -> str | None:
    return None if text is None else text[:_LONGEST_NAME]


def note_problem(problem: Problem) -> None:
    """Why the request that is being answered failed."""
    if (record := current_request.get()) is not None:
        record.error = problem.message


current_request: ContextVar[RequestRecord | None] = ContextVar("current_request", default=None)
"""The record of the request that is being answered in this context."""
