"""Each call of the host, with its figures, for whoever watches the agent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from parlant_local.agent_calls import AgentCallRecord, CallLog
from parlant_local.errors import ParlantLocalError
from parlant_local.messages import Timings, Usage
from parlant_local.nlp.pace import Pace

__all__ = ["CallRecorder", "CallTally"]

_NAMES = {"streaming": "StreamingText"}
"""As Parlant's health report calls a kind, where that is not its schema. Of what is streamed it wants the wait for the first words."""


@dataclass
class CallTally:
    """What one call took, its retries included."""

    model: str = ""
    retries: int = 0
    usage: Usage = Usage()
    forced: int = 0
    sampled: int = 0
    first: float | None = None
    """When its first words were there, of a message that is streamed."""
    computed: bool = False
    """Not only answers that were given before."""

    def begun(self) -> None:
        self.first = self.first or time.monotonic()

    def take(self, usage: Usage, timings: Timings) -> None:
        self.usage += usage
        self.computed |= not timings.from_cache
        self.forced += timings.forced_tokens
        self.sampled += timings.sampled_tokens


class CallRecorder:
    """``home`` None: nothing is kept but the pace."""

    def __init__(self, home: Path | None = None, pace: Pace | None = None) -> None:
        self._log = None if home is None else CallLog(home)
        self.pace = pace or Pace()

    @contextmanager
    def record(self, schema: str, session: str | None, model: str) -> Iterator[CallTally]:
        tally, began, outcome, error = CallTally(model), time.monotonic(), "answered", None
        try:
            yield tally
        except (asyncio.CancelledError, GeneratorExit):
            outcome = "cancelled"
            raise
        except ParlantLocalError as failure:
            outcome, error = "failed", type(failure).__name__  # its message may quote an answer
            raise
        finally:
            if outcome == "answered" and tally.computed:
                self.pace.note(_NAMES.get(schema, schema), (tally.first or time.monotonic()) - began)
            if self._log is not None:
                self._log.add(_record(schema, session, tally, outcome, time.monotonic() - began, error))


def _record(
    schema: str, session: str | None, tally: CallTally, outcome: str, seconds: float, error: str | None
) -> AgentCallRecord:
    return AgentCallRecord(
        time=round(time.time(), 3),
        session=session,
        schema=schema,
        model=tally.model,
        outcome=outcome,
        seconds=round(seconds, 4),
        retries=tally.retries,
        prompt_tokens=tally.usage.prompt_tokens,
        cached_tokens=tally.usage.cached_tokens,
        completion_tokens=tally.usage.completion_tokens,
        forced_tokens=tally.forced,
        sampled_tokens=tally.sampled,
        error=error,
    )
