"""A backend over many targets: each call goes to one that can serve it, and to the next when that fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, Unpack

from parlant_local.backends.base import (
    Backend,
    ChatOptions,
    ChatParams,
    ChatStream,
    EmbedReply,
    ModelInfo,
    RerankReply,
    Text,
)
from parlant_local.backends.moderator import Moderator
from parlant_local.errors import (
    ConfigurationError,
    ParlantLocalError,
)
from parlant_local.messages import ChatReply, Message
from parlant_local.observability import Logger, NullLogger
from parlant_local.settings import SwitcherSettings
from parlant_local.switching.attempts import Attempt, Attempts, with_deadline
from parlant_local.switching.budget import TokenBudget
from parlant_local.switching.calls import Calls
from parlant_local.switching.chain import ChainLimits, Step
from parlant_local.switching.policy import POLICIES, Policy
from parlant_local.switching.pool import BackendPool
from parlant_local.switching.privacy import PrivacyGate
from parlant_local.switching.question import Question
from parlant_local.switching.report import TargetReport, report_on, statistics
from parlant_local.switching.retrying import RequiringBackend, RetryingBackend
from parlant_local.switching.roster import Roster
from parlant_local.switching.stats import CallRecord
from parlant_local.switching.targets import ANYTHING, CallFacts, Requirements, Target, estimate_tokens

__all__ = ["RoutedBackend"]

T = TypeVar("T")


class RoutedBackend(RetryingBackend, Moderator):
    """Chooses among ``targets``, the first of which is the primary.

    ``settings`` hold policy, permission, deadlines, breaker and budget; ``policy`` may be a function instead of a name.
    ``budget`` counts what remote targets cost (in memory only, if none is given). ``observer`` sees every attempt as a
    :class:`CallRecord`. ``clock`` and ``sleep`` are there for tests.

    Embeddings always go to the same target, and never fall back: vectors of two models don't mix.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        *,
        settings: SwitcherSettings | None = None,
        policy: Policy | None = None,
        budget: TokenBudget | None = None,
        offline: bool = False,
        logger: Logger | None = None,
        observer: Callable[[CallRecord], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        limits: ChainLimits | None = None,
    ) -> None:
        self.settings = settings or SwitcherSettings()
        self.gate = PrivacyGate(self.settings.allow_cloud, offline=offline)
        self._budget = budget or TokenBudget(self.settings.budget)
        self._logger = logger or NullLogger()
        self._pool = BackendPool(self._logger)
        self._roster = Roster(targets, self.gate, self._pool, self._logger)
        self._attempts = Attempts(
            breaker=self.settings.breaker,
            pool=self._pool,
            budget=self._budget,
            clock=clock,
            logger=self._logger,
            observer=observer,
        )
        self._calls = Calls(
            roster=self._roster,
            pool=self._pool,
            attempts=self._attempts,
            gate=self.gate,
            policy=policy or POLICIES[self.settings.policy],
            limits=limits
            or ChainLimits(
                self.settings.max_attempts, self.settings.deadline_seconds, self.settings.max_chain_attempts
            ),
            clock=clock,
            sleep=sleep,
            logger=self._logger,
        )

    # Targets

    @property
    def primary(self) -> str:
        return self._roster.primary

    @property
    def targets(self) -> tuple[Target, ...]:
        return self._roster.all

    def set_targets(self, targets: Sequence[Target]) -> None:
        """Replaces them all, the first being the primary. Calls in flight finish where they are; targets that were
        removed are unloaded when idle."""
        self._roster.replace(targets)

    def set_primary(self, target: Target) -> None:
        """Makes ``target`` the primary from now on, in place of the present one; the other targets stay."""
        self.set_targets([target, *(item for item in self.targets if item.id not in (self.primary, target.id))])

    def pin_embeddings(self, target: str) -> None:
        """Fixes the target that embeds; a different one than before raises :class:`EmbeddingIdentityError`."""
        self._roster.pin_embeddings(target)

    # Calls

    async def ask(self, question: Question[T], base: Requirements = ANYTHING) -> T:
        """The answer as ``question`` reads it, after as many attempts at as many targets as the ladder allows."""

        async def call(attempt: Attempt, step: Step) -> T:
            wanted = with_deadline(question.options(step.change), attempt.time_left())
            reply = await attempt.backend.chat(question.messages(step.change), **wanted)
            attempt.record_response(reply.usage)
            question.replied(reply)
            return question.judge(reply)

        return await self._calls.run(CallFacts.of_question(question, base), call, question)

    def ask_stream(self, question: Question[Any], base: Requirements = ANYTHING) -> ChatStream:
        return self._calls.stream(question, base)

    async def complete(self, prompt: Text, **options: Unpack[ChatOptions]) -> ChatReply:
        params = ChatParams.of(options)
        text = self.as_text(prompt)
        facts = CallFacts.of((Message.user(text),), params, ANYTHING, "complete")

        async def call(attempt: Attempt, step: Step) -> ChatReply:
            wanted = with_deadline(step.change.fitted(options), attempt.time_left())
            reply = await attempt.backend.complete(text, **wanted)
            attempt.record_response(reply.usage)
            return reply

        return await self._calls.run(facts, call)

    async def embed(self, texts: Sequence[Text], *, truncate: bool = False) -> EmbedReply:
        given = [self.as_text(text) for text in texts]
        only = self._roster.embedder()
        facts = CallFacts(
            Requirements(frozenset({"embed"})), "", sum(estimate_tokens(text) for text in given), answer_tokens=0
        )

        async def call(attempt: Attempt, _step: Step) -> EmbedReply:
            reply = await attempt.backend.embed(given, truncate=truncate)
            attempt.record_response(reply.usage)
            return reply

        return await self._calls.run(facts, call, only=only)

    async def rerank(self, query: str, documents: Sequence[str]) -> RerankReply:
        estimate = sum(estimate_tokens(query + document) for document in documents)
        facts = CallFacts(Requirements(frozenset({"rerank"})), "", estimate, answer_tokens=0)

        async def call(attempt: Attempt, _step: Step) -> RerankReply:
            reply = await attempt.backend.rerank(query, documents)
            attempt.record_response(reply.usage)
            return reply

        return await self._calls.run(facts, call)

    async def moderate(self, text: str) -> dict[str, float]:
        """Category to score, by a target's own moderation call (OpenAI's endpoint has one)."""
        facts = CallFacts(ANYTHING, "moderation", estimate_tokens(text), answer_tokens=0)

        async def call(attempt: Attempt, _step: Step) -> dict[str, float]:
            if not isinstance(attempt.backend, Moderator):
                raise attempt.backend.unsupported("moderate")
            scores = await attempt.backend.moderate(text)
            attempt.record_response(None)
            return scores

        return await self._calls.run(facts, call)

    async def tokenize(self, text: str) -> list[int]:
        """By the primary's own tokeniser."""
        with self._pool.lease(self._roster.leader) as backend:
            return await backend.tokenize(text)

    async def count_tokens(self, text: str) -> int:
        """By the primary's own tokeniser, or its estimate."""
        with self._pool.lease(self._roster.leader) as backend:
            return await backend.count_tokens(text)

    def model_info(self) -> ModelInfo:
        """The primary's: its context window is the one to write prompts for, whatever the fallbacks have."""
        return self._roster.described(self._roster.leader)

    async def load(self) -> None:
        """Loads the primary. Where that fails and another target could answer, it is logged, not raised."""
        leader = self._roster.leader
        try:
            with self._pool.lease(leader) as backend:
                await backend.load()
        except ConfigurationError:
            raise
        except ParlantLocalError as error:
            if not any(self._roster.usable(target) for target in self.targets if target.id != leader.id):
                raise
            self._logger.error(f"{leader.id} can't be loaded; its fallbacks serve its calls: {error}")

    async def close(self) -> None:
        await self._pool.close()
        if self._budget.unwritten:
            await asyncio.to_thread(self._budget.flush)

    def release(self) -> None:
        self._pool.release()

    async def drained(self) -> None:
        """Waits until removed, idle models have freed their memory."""
        await self._pool.drained()

    def requiring(self, requirements: Requirements) -> Backend:
        """This backend, with ``requirements`` added to every chat."""
        return RequiringBackend(self, requirements)

    # Status

    def reports(self) -> list[TargetReport]:
        return [report_on(target, self._roster, self._attempts, self._pool) for target in self.targets]

    def stats(self) -> dict[str, Any]:
        """Per target: calls, failures by kind, latencies, rates, fallbacks, breaker, cost, and the same by schema."""
        return statistics(self._roster, self._attempts, self.gate, self._budget)
