"""One attempt at one target: what is observed while it runs, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any

from parlant_local.backends.base import Backend, ChatOptions, ChatStream
from parlant_local.backends.failures import interrupted
from parlant_local.backends.retry_budget import RetryBudget, use_retry_budget
from parlant_local.errors import (
    DeadlineExceededError,
    OutputError,
    ParlantLocalError,
    StreamInterruptedError,
    TargetDownError,
)
from parlant_local.messages import Usage
from parlant_local.observability import Bystander, Logger
from parlant_local.settings import BreakerSettings
from parlant_local.switching.breaker import CircuitBreaker, Outcome
from parlant_local.switching.budget import Reservation, TokenBudget
from parlant_local.switching.chain import Chain, Step
from parlant_local.switching.pool import BackendPool
from parlant_local.switching.stats import CallRecord, TargetStats
from parlant_local.switching.targets import CallFacts, Target
from parlant_local.switching.taxonomy import outcome_of

__all__ = ["Attempt", "Attempts", "SkippedError", "after_commit", "with_deadline", "with_timeouts"]


@dataclass(eq=False)
class Attempt:
    """What is observed while one attempt runs."""

    backend: Backend
    began: float
    limit: Callable[[], float | None]
    """Seconds that it may still take; ``None`` for local ones, which the engine's stall limit bounds."""
    time_left: Callable[[], float | None]
    """Seconds of the caller's own deadline that are left."""
    usage: Usage = field(default_factory=Usage)
    first_chunk: float | None = None
    responded: bool = False
    """Whether anything came back from the target."""

    def record_response(self, usage: Usage | None) -> None:
        self.responded = True
        self.usage = usage or self.usage


class SkippedError(Exception):
    """An attempt that did not start."""

    def __init__(self, reason: ParlantLocalError) -> None:
        super().__init__(reason.message)
        self.reason = reason


def with_deadline(options: ChatOptions, left: float | None) -> ChatOptions:
    """``options`` with the time that is left."""
    return options if left is None else {**options, "deadline": left}


def after_commit(target: str, error: ParlantLocalError) -> ParlantLocalError:
    """The stream's own typed end; an answer that is complete but unusable keeps its kind."""
    if isinstance(error, OutputError | StreamInterruptedError | DeadlineExceededError):
        return error
    return interrupted(target, error)


def _may_be_billed(attempt: Attempt | None, failure: str | None) -> bool:
    """Whether a call without a token count may have been billed: it was not rejected before it was processed."""
    if attempt is None:
        return False
    return attempt.responded or failure in (
        "cancelled",
        "StreamInterruptedError",
        "InvalidOutputError",
        "TruncatedOutputError",
    )


async def with_timeouts(stream: ChatStream, limit: Callable[[], float | None], retry_budget: RetryBudget) -> ChatStream:
    """``stream`` with every wait bounded by the time left; the backend may retry until the first chunk."""
    budget: RetryBudget | None = retry_budget
    while True:
        async with asyncio.timeout(limit()):
            try:
                with use_retry_budget(budget):
                    chunk = await anext(stream)
            except StopAsyncIteration:
                return
        budget = None
        yield chunk


class Attempts:
    """Runs attempts and keeps breakers and statistics per target."""

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
        self._bystander = Bystander("A switcher's observer", logger)

    def breaker(self, target: str) -> CircuitBreaker:
        breaker = self.breakers.get(target)
        if breaker is None:
            breaker = self.breakers[target] = CircuitBreaker(self._breaker_settings, self._clock)
        return breaker

    def circuit_open_error(self, target: str) -> TargetDownError:
        breaker = self.breaker(target)
        stats = self.stats.get(target)
        failures = ", ".join(f"{kind} {count}x" for kind, count in stats.total.failures.items()) if stats else ""
        when = f"open for another {breaker.retry_in:.0f} s" if breaker.retry_in else "half-open: one call probes it"
        return TargetDownError(
            f"{target} failed repeatedly ({failures or 'unknown'}) and its circuit breaker is {when}.",
            retry_after=breaker.retry_in or None,
            hint="switcher.breaker sets the cooldown.",
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

    def run(
        self, target: Target, chain: Chain, step: Step, facts: CallFacts, began: float, *, streaming: bool = False
    ) -> AbstractAsyncContextManager[Attempt]:
        """One attempt as a context: its resources are released and its outcome is recorded, however it ends."""
        return _AttemptContext(self, target, chain, step, facts, began, streaming)

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
            self._bystander.tell(self._observer, record)

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
            f"{target.id} did not answer within the {chain.limits.remote_deadline:g} s allowed for all remote attempts.",
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


class _AttemptContext(AbstractAsyncContextManager[Attempt]):
    """An attempt's lease, permit, reservation and counts.

    A class, because a closing event loop closes all async generators at once: one that is also the context of
    another would be closed twice.
    """

    def __init__(
        self, attempts: Attempts, target: Target, chain: Chain, step: Step, facts: CallFacts, began: float, streaming: bool
    ) -> None:  # fmt: skip
        self._attempts = attempts
        self._target = target
        self._chain = chain
        self._step = step
        self._facts = facts
        self._began = began
        self._streaming = streaming
        self._resources = AsyncExitStack()
        self._attempt: Attempt | None = None
        self._reservation: Reservation | None = None

    async def __aenter__(self) -> Attempt:
        attempts, target = self._attempts, self._target
        self._breaker = attempts.breaker(target.id)
        permit = self._breaker.admit()
        if permit is None:
            raise SkippedError(attempts.circuit_open_error(target.id))
        self._permit = permit
        self._stats = attempts.stats.setdefault(target.id, TargetStats())
        self._stats.in_flight += 1
        self._started = attempts._clock()
        try:
            if target.remote:
                self._reservation = await attempts._budget.reserve(
                    self._facts.prompt_tokens + self._facts.answer_tokens
                )
                self._chain.remote_begins()
            backend = self._resources.enter_context(attempts._pool.lease(target))
            limit = partial(attempts._time_for, target, self._chain, self._facts, self._began)
            self._attempt = Attempt(backend, self._started, limit, partial(attempts._left, self._facts, self._began))
            # Streams bound each of their own waits: a timeout may not outlive a yield.
            await self._resources.enter_async_context(asyncio.timeout(None if self._streaming else limit()))
        except BaseException as error:
            await self._end(error)
            raise
        return self._attempt

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._end(error)

    async def _end(self, given: BaseException | None) -> None:
        outcome: Outcome = "neutral"
        failure: str | None = "cancelled"
        error = given
        try:
            try:
                await self._resources.__aexit__(
                    type(given) if given else None, given, given.__traceback__ if given else None
                )
            except BaseException as changed:  # an expired timeout turns a cancellation into TimeoutError
                error = changed
            if isinstance(error, TimeoutError):
                late = self._attempts._out_of_time(self._target, self._chain, self._facts, self._began)
                outcome, failure = outcome_of(late), type(late).__name__
                raise late from None
            if error is None:
                outcome, failure = "success", None
            elif isinstance(error, GeneratorExit):
                failure = None  # the consumer stopped early: whatever arrived was fine
            elif isinstance(error, Exception):
                outcome, failure = outcome_of(error), type(error).__name__
                if self._attempt is not None and isinstance(error, OutputError):
                    self._attempt.usage = error.usage or self._attempt.usage
            if error is not None and error is not given:
                raise error
        finally:
            self._settle(outcome, failure)

    def _settle(self, outcome: Outcome, failure: str | None) -> None:
        attempts, attempt = self._attempts, self._attempt
        self._breaker.settle(self._permit, outcome)
        self._stats.in_flight -= 1
        usage = attempt.usage if attempt is not None else Usage()
        if self._reservation is not None:
            tokens = usage.total_tokens or (self._facts.prompt_tokens if _may_be_billed(attempt, failure) else 0)
            attempts._budget.settle(self._reservation, tokens, self._target.id)
            attempts._log_remote(self._target, self._step, tokens, usage, failure)
        attempts._record(self._target, self._step, self._facts, self._stats, attempt, usage, failure, self._started)
