"""A call over many targets: one is chosen and tried, then the next where it fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from parlant_local.backends.base import ChatStream
from parlant_local.backends.retry_budget import use_retry_budget
from parlant_local.errors import (
    BackendError,
    BadRequestError,
    HubError,
    InsufficientMemoryError,
    ParlantLocalError,
    TargetDownError,
)
from parlant_local.observability import Logger
from parlant_local.switching.attempts import Attempt, Attempts, SkippedError, after_commit, with_deadline, with_timeouts
from parlant_local.switching.chain import Chain, ChainLimits, Step
from parlant_local.switching.ladder import Leeway
from parlant_local.switching.policy import Candidate, Policy
from parlant_local.switching.pool import BackendPool
from parlant_local.switching.privacy import PrivacyGate
from parlant_local.switching.question import Question, empty_answer_error
from parlant_local.switching.roster import Roster
from parlant_local.switching.targets import CallFacts, Requirements, Target

__all__ = ["Calls"]

T = TypeVar("T")


class Calls:
    """Runs calls over the targets of ``roster``."""

    def __init__(
        self,
        *,
        roster: Roster,
        pool: BackendPool,
        attempts: Attempts,
        gate: PrivacyGate,
        policy: Policy,
        limits: ChainLimits,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[Any]],
        logger: Logger,
    ) -> None:
        self._roster = roster
        self._pool = pool
        self._attempts = attempts
        self._gate = gate
        self._policy = policy
        self._limits = limits
        self._clock = clock
        self._sleep = sleep
        self._logger = logger

    async def run(
        self,
        facts: CallFacts,
        call: Callable[[Attempt, Step], Awaitable[T]],
        question: Question[Any] | None = None,
        *,
        only: str | None = None,
    ) -> T:
        """The result of ``call`` at the first target where it succeeds. Raises the error of the last attempt."""
        began = self._clock()
        chain = self._chain(facts, only, question)
        while True:
            step = await self._next(chain)
            try:
                async with self._attempts.run(self._target(step), chain, step, facts, began) as attempt:
                    with use_retry_budget(step.retry_budget):
                        return await call(attempt, step)
            except SkippedError as skipped:
                chain.skip(step, skipped.reason)
            except ParlantLocalError as error:
                self._log_failure(step, error)
                if question is not None:
                    question.failed(step.target, step.change, error)
                await self._failed(chain, step, error)

    async def stream(self, question: Question[Any], base: Requirements) -> ChatStream:
        """The chunks of an answer. Until one of them is part of the answer, it may be retried."""
        facts = CallFacts.of_question(question, base.also("streaming"))
        began = self._clock()
        chain = self._chain(facts, None, question)
        while True:
            step = await self._next(chain)
            committed = False
            try:
                target = self._target(step)
                async with self._attempts.run(target, chain, step, facts, began, streaming=True) as attempt:
                    wanted = with_deadline(question.options(step.change), attempt.time_left())
                    stream = attempt.backend.chat_stream(question.messages(step.change), **wanted)
                    try:
                        async for chunk in with_timeouts(stream, attempt.limit, step.retry_budget):
                            if not attempt.responded:
                                attempt.first_chunk = self._clock() - attempt.began
                            attempt.record_response(chunk.usage)
                            committed = committed or question.counts(chunk)
                            yield chunk
                    finally:
                        await stream.aclose()
                    if not committed:
                        raise empty_answer_error(step.target)
            except SkippedError as skipped:
                chain.skip(step, skipped.reason)
            except ParlantLocalError as error:
                self._log_failure(step, error)
                question.failed(step.target, step.change, error)
                if committed:
                    raise after_commit(step.target, error) from error
                await self._failed(chain, step, error)
            else:
                return

    async def _failed(self, chain: Chain, step: Step, error: ParlantLocalError) -> None:
        """Lets the chain decide what comes next; raises where nothing does."""
        if (
            isinstance(error, InsufficientMemoryError)
            and step.target not in chain.made_room
            and await self._pool.make_room(step.target)
        ):
            chain.made_room.add(step.target)
            chain.repeat(step)
            return
        found = self._roster.get(step.target)
        chain.failed(step, error, remote=found is not None and found.remote)

    async def _next(self, chain: Chain) -> Step:
        step = chain.next()
        if step.wait:
            await self._sleep(step.wait)
        return step

    def _target(self, step: Step) -> Target:
        if (target := self._roster.get(step.target)) is None:
            raise SkippedError(TargetDownError(f"{step.target} was removed from the switcher during the call."))
        return target

    def _log_failure(self, step: Step, error: ParlantLocalError) -> None:
        # The error's class only: messages of endpoints may quote the prompt.
        status = error.status if isinstance(error, BackendError | BadRequestError | HubError) else None
        shown = type(error).__name__ + (f" ({status})" if status else "")
        self._logger.warning(f"{step.target} failed (attempt {step.attempt}): {shown}.")

    # Inputs of a chain

    def _chain(self, facts: CallFacts, only: str | None, question: Question[Any] | None) -> Chain:
        self._roster.check_servable(facts.requirements, only)
        return Chain(
            candidates=lambda: self._candidates(facts, only),
            blocked=self._blocked,
            limits=self._limits,
            clock=self._clock,
            prompt_tokens=facts.prompt_tokens,
            leeway=question.leeway if question is not None else Leeway(facts.answer_limit),
            deadline=facts.deadline,
            plain_at=question.plain_at if question is not None else lambda _target: False,
        )

    def _candidates(self, facts: CallFacts, only: str | None) -> Sequence[Candidate]:
        found: list[Candidate] = []
        for position, target in enumerate(self._roster.all):
            info = self._roster.described(target)
            if (only is not None and target.id != only) or facts.requirements.missing_in(info):
                continue
            seconds = self._attempts.typical_seconds(target.id, facts.schema)
            healthy = self._attempts.breaker(target.id).admits
            found.append(Candidate(target.id, position, info, target.facts, healthy, seconds, target.score))
        preferences = facts.requirements
        return sorted(self._policy(found), key=lambda item: preferences.mismatches(item.facts))

    def _blocked(self, item: Candidate, left: Sequence[Candidate]) -> ParlantLocalError | None:
        # A target whose breaker is open doesn't count as available.
        usable = [other for other in left if other.healthy]
        if (refusal := self._gate.refusal(item, usable)) is not None:
            return refusal
        return None if self._attempts.breaker(item.id).admits else self._attempts.circuit_open_error(item.id)
