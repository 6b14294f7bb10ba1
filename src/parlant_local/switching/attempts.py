"""One attempt at one target: what is learned while it runs, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from parlant_local.backends.allowance import Allowance, allowing
from parlant_local.backends.base import Backend, ChatOptions
from parlant_local.errors import (
    DeadlineExceededError,
    OutputError,
    ParlantLocalError,
    StreamInterruptedError,
    TargetDownError,
)
from parlant_local.messages import ChatChunk, Usage
from parlant_local.observability import Logger
from parlant_local.settings import BreakerSettings
from parlant_local.switching.breaker import CircuitBreaker, Outcome
from parlant_local.switching.budget import TokenBudget
from parlant_local.switching.chain import Chain, Step
from parlant_local.switching.pool import BackendPool
from parlant_local.switching.stats import CallRecord, TargetStats
from parlant_local.switching.targets import CallFacts, Target
from parlant_local.switching.taxonomy import outcome_of

__all__ = ["Attempt", "Attempts", "SkippedError", "after_commit", "in_time", "timed"]


@dataclass(eq=False)
class Attempt:
    """What is learned while one attempt runs."""

    backend: Backend
    began: float
    limit: Callable[[], float | None]
    """Seconds that it may still take; ``None`` for local ones, which the engine's stall limit bounds."""
    time_left: Callable[[], float | None]
    """Seconds of the caller's own deadline that are left."""
    usage: Usage = field(default_factory=Usage)
    first_chunk: float | None = None
    reached: bool = False
    """Whether anything came back from the other side."""

    def came(self, usage: Usage | None) -> None:
        self.reached = True
        self.usage = usage or self.usage


class SkippedError(Exception):
    """An attempt that did not begin."""

    def __init__(self, reason: ParlantLocalError) -> None:
        super().__init__(reason.message)
        self.reason = reason


def in_time(options: ChatOptions, left: float | None) -> ChatOptions:
    """``options`` with the time that is left."""
    return options if left is None else {**options, "deadline": left}


def after_commit(target: str, error: ParlantLocalError) -> ParlantLocalError:
    """The stream's own typed end; an answer that is complete but unusable keeps its kind."""
    if isinstance(error, OutputError | StreamInterruptedError | DeadlineExceededError):
        return error
    return StreamInterruptedError(f"The stream of {target} broke after it had begun: {error.message}", hint=error.hint)


def _was_sent(attempt: Attempt | None, failure: str | None) -> bool:
    """Whether a call without a token count may have been charged for: it was not refused at the door."""
    if attempt is None:
        return False
    return attempt.reached or failure in (
        "cancelled",
        "StreamInterruptedError",
        "InvalidOutputError",
        "TruncatedOutputError",
    )


async def timed(
    stream: AsyncIterator[ChatChunk], limit: Callable[[], float | None], allowance: Allowance
) -> AsyncIterator[ChatChunk]:
    """``stream`` with every wait bounded by what is left of the time; further requests may be sent during the first."""
    may_send: Allowance | None = allowance
    while True:
        async with asyncio.timeout(limit()):
            try:
                with allowing(may_send):
                    chunk = await anext(stream)
            except StopAsyncIteration:
                return
        may_send = None
        yield chunk


class Attempts:
    """Carries attempts out, and remembers how they went: breakers and statistics by target."""

    def __init__(
        self,
        *,
        breaker: BreakerSettings,
        pool: BackendPool,
        budget: TokenBudget,
        clock: Callable[[], float],
        logger: Logger,
        observer: Callable[[CallRecord], None] | None,
    ) -> None:
        self.breakers: dict[str, CircuitBreaker] = {}
        self.stats: dict[str, TargetStats] = {}
        self._breaker_settings = breaker
        self._pool = pool
        self._budget = budget
        self._clock = clock
        self._logger = logger
        self._observer = observer

    def breaker(self, target: str) -> CircuitBreaker:
        breaker = self.breakers.get(target)
        if breaker is None:
            breaker = self.breakers[target] = CircuitBreaker(self._breaker_settings, self._clock)
        return breaker

    def left_alone(self, target: str) -> TargetDownError:
        breaker = self.breaker(target)
        stats = self.stats.get(target)
        failures = ", ".join(f"{kind} {count}x" for kind, count in stats.total.failures.items()) if stats else ""
        when = f"for {breaker.retry_in:.0f} s more" if breaker.retry_in else "while one call probes it"
        return TargetDownError(
            f"{target} failed repeatedly ({failures or 'unknown'}) and is left alone {when}.",
            retry_after=breaker.retry_in or None,
            hint="See switcher.breaker for the pause.",
        )

    def typical_seconds(self, target: str, schema: str) -> float | None:
        stats = self.stats.get(target)
        return None if stats is None else stats.typical_seconds(schema)

    def snapshot(self) -> dict[str, Any]:
        targets = {}
        for name, stats in self.stats.items():
            breaker = self.breaker(name)
            targets[name] = {
                **stats.total.snapshot(),
                "fallbacks": stats.fallbacks,
                "in_flight": stats.in_flight,
                "breaker": breaker.state,
                "retry_in": breaker.retry_in,
                "schemas": {schema: series.snapshot() for schema, series in stats.schemas.items()},
            }
        return targets

    @asynccontextmanager
    async def run(
        self, target: Target, chain: Chain, step: Step, facts: CallFacts, began: float, *, streaming: bool = False
    ) -> AsyncIterator[Attempt]:
        """Everything that must be undone however an attempt ends: lease, permit, reservation, counts."""
        breaker = self.breaker(target.id)
        permit = breaker.admit()
        if permit is None:
            raise SkippedError(self.left_alone(target.id))
        stats = self.stats.setdefault(target.id, TargetStats())
        outcome: Outcome = "neutral"
        attempt: Attempt | None = None
        failure: str | None = "cancelled"
        reservation = None
        stats.in_flight += 1
        started = self._clock()
        try:
            if target.remote:
                reservation = await self._budget.reserve(facts.prompt_tokens + facts.answer_tokens)
                chain.remote_begins()
            with self._pool.lease(target) as backend:
                limit = partial(self._time_for, target, chain, facts, began)
                attempt = Attempt(backend, started, limit, partial(self._left, facts, began))
                # Streams bound each of their own waits: a timeout may not outlive a yield.
                async with asyncio.timeout(None if streaming else limit()):
                    yield attempt
            outcome, failure = "success", None
        except TimeoutError:
            error = self._out_of_time(target, chain, facts, began)
            outcome, failure = outcome_of(error), type(error).__name__
            raise error from None
        except GeneratorExit:
            # A reader that stops early: whatever came was fine.
            failure = None
            raise
        except Exception as error:
            outcome, failure = outcome_of(error), type(error).__name__
            if attempt is not None and isinstance(error, OutputError):
                attempt.usage = error.usage or attempt.usage
            raise
        finally:
            breaker.settle(permit, outcome)
            stats.in_flight -= 1
            usage = attempt.usage if attempt is not None else Usage()
            if reservation is not None:
                tokens = usage.total_tokens or (facts.prompt_tokens if _was_sent(attempt, failure) else 0)
                self._budget.settle(reservation, tokens, target.id)
                self._log_remote(target, step, tokens, usage, failure)
            self._record(target, step, facts, stats, attempt, usage, failure, started)

    def _record(
        self, target: Target, step: Step, facts: CallFacts, stats: TargetStats, attempt: Attempt | None,
        usage: Usage, failure: str | None, started: float,
    ) -> None:  # fmt: skip
        record = CallRecord(
            target=target.id,
            schema=facts.schema,
            remote=target.remote,
            reason=step.reason,
            seconds=self._clock() - started,
            first_chunk=attempt.first_chunk if attempt is not None else None,
            usage=usage,
            error=failure,
            cost=usage.total_tokens * target.facts.cost_per_million_tokens / 1e6,
        )
        stats.add(record)
        if self._observer is not None:
            self._observer(record)

    def _left(self, facts: CallFacts, began: float) -> float | None:
        """Seconds of the caller's own deadline that are left."""
        if facts.deadline is None:
            return None
        left = facts.deadline - (self._clock() - began)
        if left <= 0:
            raise DeadlineExceededError(f"The call's own deadline of {facts.deadline:g} s has passed.")
        return left

    def _time_for(self, target: Target, chain: Chain, facts: CallFacts, began: float) -> float | None:
        """Seconds that an attempt may take; ``None`` for local ones, which the engine's stall limit bounds."""
        limits = [] if facts.deadline is None else [self._left(facts, began)]
        if target.remote:
            limits.append(max(0.0, chain.remote_time_left()))
        return min((limit for limit in limits if limit is not None), default=None)

    def _out_of_time(self, target: Target, chain: Chain, facts: CallFacts, began: float) -> ParlantLocalError:
        if facts.deadline is not None and self._clock() - began >= facts.deadline * 0.999:
            return DeadlineExceededError(f"The call's own deadline of {facts.deadline:g} s has passed.")
        return TargetDownError(
            f"{target.id} did not answer within the {chain.limits.remote_deadline:g} s that remote targets have together.",
            hint="Raise switcher.deadline_seconds.",
        )

    def _log_remote(self, target: Target, step: Step, tokens: int, usage: Usage, failure: str | None) -> None:
        counted = (
            f"{usage.prompt_tokens} + {usage.completion_tokens} tokens"
            if usage.total_tokens
            else f"about {tokens} tokens"
        )
        self._logger.info(
            f"remote call: target={target.id} reason={step.reason!r} {counted} outcome={failure or 'answered'}"
        )
