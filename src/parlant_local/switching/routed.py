"""A backend that is many: each call goes to the target that can serve it, and to another one when that fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, Unpack

from parlant_local.backends.allowance import allowing
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
    EmbeddingIdentityError,
    InsufficientMemoryError,
    NoTargetError,
    ParlantLocalError,
    TargetDownError,
)
from parlant_local.messages import ChatReply, Message
from parlant_local.observability import Logger, NullLogger
from parlant_local.settings import SwitcherSettings
from parlant_local.switching.attempts import (
    Attempt,
    Attempts,
    SkippedError,
    after_commit,
    in_time,
    timed,
)
from parlant_local.switching.budget import TokenBudget
from parlant_local.switching.chain import Chain, ChainLimits, Step
from parlant_local.switching.ladder import Leeway
from parlant_local.switching.policy import POLICIES, Candidate, Policy
from parlant_local.switching.pool import BackendPool
from parlant_local.switching.privacy import PrivacyGate
from parlant_local.switching.question import Question, nothing_written
from parlant_local.switching.report import TargetReport
from parlant_local.switching.retrying import RequiringBackend, RetryingBackend
from parlant_local.switching.stats import CallRecord
from parlant_local.switching.targets import ANYTHING, CallFacts, Requirements, Target, estimate_tokens

__all__ = ["RoutedBackend"]

T = TypeVar("T")


class RoutedBackend(RetryingBackend, Moderator):
    """Chooses among ``targets``, the first of which is the primary.

    ``settings`` hold policy, permission, deadlines, breaker and budget; ``policy`` may be a function instead of a name.
    ``budget`` counts what remote targets cost (in memory only, if none is given). ``observer`` sees every attempt as a
    :class:`CallRecord`. ``clock`` and ``sleep`` are there for tests.

    Embeddings go to one target for good, and never fall back: vectors of two models don't mix.
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
        if not targets:
            raise NoTargetError("A switcher needs at least one model.", hint="Set PARLANT_LOCAL_MODEL.")
        self.settings = settings or SwitcherSettings()
        self.gate = PrivacyGate(self.settings.allow_cloud, offline=offline)
        self._targets: dict[str, Target] = {}
        self._policy = policy or POLICIES[self.settings.policy]
        self._budget = budget or TokenBudget(self.settings.budget)
        self._logger = logger or NullLogger()
        self._clock = clock
        self._sleep = sleep
        self._limits = limits or ChainLimits(
            self.settings.max_attempts, self.settings.deadline_seconds, self.settings.max_chain_attempts
        )
        self._pool = BackendPool(self._logger)
        self._attempts = Attempts(
            breaker=self.settings.breaker,
            pool=self._pool,
            budget=self._budget,
            clock=clock,
            logger=self._logger,
            observer=observer,
        )
        self._warned: set[str] = set()
        self._embeds_with: str | None = None
        self.set_targets(targets)

    # Targets

    @property
    def primary(self) -> str:
        return next(iter(self._targets))

    @property
    def targets(self) -> tuple[Target, ...]:
        return tuple(self._targets.values())

    def set_targets(self, targets: Sequence[Target]) -> None:
        """Replaces them all, the first being the primary. Calls in flight finish where they are; what nobody needs any
        more is unloaded when idle."""
        if not targets:
            raise NoTargetError("A switcher needs at least one model.")
        before = set(self._targets)
        self._targets = {target.id: target for target in targets}
        for name in self._targets:
            self._pool.keep(name)
        for name in before - set(self._targets):
            self._pool.retire(name)
        for target in self._targets.values():
            self._warn_if_blocked(target)

    def set_primary(self, target: Target) -> None:
        """Makes ``target`` the primary from now on, in place of the present one; the other targets stay."""
        others = [item for name, item in self._targets.items() if name not in (self.primary, target.id)]
        self.set_targets([target, *others])

    def pin_embeddings(self, target: str) -> None:
        """Says which target embeds; another one than before is an :class:`EmbeddingIdentityError`."""
        if self._embeds_with is not None and target != self._embeds_with:
            raise EmbeddingIdentityError(
                f"Texts are indexed with {self._embeds_with}; vectors of {target} can't be compared with them.",
                hint="To change the embedding model, set embedding.model and start with a new index: every text is embedded "
                "again.",
            )
        if target not in self._targets:
            raise NoTargetError(f"{target} is not among the targets ({', '.join(self._targets)}).")
        self._embeds_with = target

    # Calls

    async def ask(self, question: Question[T], base: Requirements = ANYTHING) -> T:
        """What ``question`` makes of an answer, after as many attempts at as many targets as the ladder allows."""

        async def call(attempt: Attempt, step: Step) -> T:
            wanted = in_time(question.options(step.change), attempt.time_left())
            reply = await attempt.backend.chat(question.messages(step.change), **wanted)
            attempt.came(reply.usage)
            question.replied(reply)
            return question.judge(reply)

        return await self._run(CallFacts.of_question(question, base), call, question)

    async def ask_stream(self, question: Question[Any], base: Requirements = ANYTHING) -> ChatStream:
        """The pieces of an answer. Until one of them counts, another attempt may be made."""
        facts = CallFacts.of_question(question, base.also("streaming"))
        began = self._clock()
        chain = self._chain(facts, None, question)
        while True:
            step = await self._next(chain)
            committed = False
            try:
                target = self._target(step)
                async with self._attempts.run(target, chain, step, facts, began, streaming=True) as attempt:
                    wanted = in_time(question.options(step.change), attempt.time_left())
                    stream = attempt.backend.chat_stream(question.messages(step.change), **wanted)
                    try:
                        async for chunk in timed(stream, attempt.limit, step.allowance):
                            if not attempt.reached:
                                attempt.first_chunk = self._clock() - attempt.began
                            attempt.came(chunk.usage)
                            committed = committed or question.counts(chunk)
                            yield chunk
                    finally:
                        await stream.aclose()
                    if not committed:
                        raise nothing_written(step.target)
            except SkippedError as skipped:
                chain.skip(step, skipped.reason)
            except ParlantLocalError as error:
                self._tell(step, error)
                question.failed(step.target, step.change, error)
                if committed:
                    raise after_commit(step.target, error) from error
                await self._failed(chain, step, error, told=True)
            else:
                return

    async def complete(self, prompt: Text, **options: Unpack[ChatOptions]) -> ChatReply:
        params = ChatParams.of(options)
        text = self.as_text(prompt)
        facts = CallFacts.of((Message.user(text),), params, ANYTHING, "complete")

        async def call(attempt: Attempt, step: Step) -> ChatReply:
            wanted = in_time(step.change.fitted(options), attempt.time_left())
            reply = await attempt.backend.complete(text, **wanted)
            attempt.came(reply.usage)
            return reply

        return await self._run(facts, call)

    async def embed(self, texts: Sequence[Text], *, truncate: bool = False) -> EmbedReply:
        given = [self.as_text(text) for text in texts]
        self._embeds_with = only = self._embeds_with or self._first_that_embeds()
        facts = CallFacts(
            Requirements(frozenset({"embed"})), "", sum(estimate_tokens(text) for text in given), answer_tokens=0
        )

        async def call(attempt: Attempt, _step: Step) -> EmbedReply:
            reply = await attempt.backend.embed(given, truncate=truncate)
            attempt.came(reply.usage)
            return reply

        return await self._run(facts, call, only=only)

    async def rerank(self, query: str, documents: Sequence[str]) -> RerankReply:
        estimate = sum(estimate_tokens(query + document) for document in documents)
        facts = CallFacts(Requirements(frozenset({"rerank"})), "", estimate, answer_tokens=0)

        async def call(attempt: Attempt, _step: Step) -> RerankReply:
            reply = await attempt.backend.rerank(query, documents)
            attempt.came(reply.usage)
            return reply

        return await self._run(facts, call)

    async def moderate(self, text: str) -> dict[str, float]:
        """Category to score, by a target's own moderation call (OpenAI's endpoint has one)."""
        facts = CallFacts(ANYTHING, "moderation", estimate_tokens(text), answer_tokens=0)

        async def call(attempt: Attempt, _step: Step) -> dict[str, float]:
            if not isinstance(attempt.backend, Moderator):
                raise attempt.backend.unsupported("moderate by a call of its own")
            scores = await attempt.backend.moderate(text)
            attempt.came(None)
            return scores

        return await self._run(facts, call)

    async def tokenize(self, text: str) -> list[int]:
        """By the primary's own tokeniser."""
        with self._pool.lease(self._leader()) as backend:
            return await backend.tokenize(text)

    async def count_tokens(self, text: str) -> int:
        """By the primary's own tokeniser, or its estimate."""
        with self._pool.lease(self._leader()) as backend:
            return await backend.count_tokens(text)

    def model_info(self) -> ModelInfo:
        """The primary's: its context window is the one to write prompts for, whatever the fallbacks have."""
        leader = self._leader()
        return leader.described(self._pool.peek(leader.id))

    async def load(self) -> None:
        """Gets the primary ready. Where it can't be and another target could answer, that is logged, not raised."""
        leader = self._leader()
        try:
            with self._pool.lease(leader) as backend:
                await backend.load()
        except ConfigurationError:
            raise
        except ParlantLocalError as error:
            if not any(self._usable(target) for target in self._targets.values() if target.id != leader.id):
                raise
            self._logger.error(f"{leader.id} can't be loaded, so other models answer in its place: {error}")

    async def close(self) -> None:
        await self._pool.close()
        if self._budget.unwritten:
            await asyncio.to_thread(self._budget.flush)

    def let_go(self) -> None:
        self._pool.let_go()

    async def drained(self) -> None:
        """Waits until models that were swapped out and are idle have given their memory back."""
        await self._pool.drained()

    def requiring(self, requirements: Requirements) -> Backend:
        """This backend, with ``requirements`` added to every chat."""
        return RequiringBackend(self, requirements)

    # What is going on

    def reports(self) -> list[TargetReport]:
        return [self._report(target) for target in self._targets.values()]

    def stats(self) -> dict[str, Any]:
        """Per target: calls, failures by kind, latencies, rates, fallbacks, breaker, cost, and the same by schema."""
        return {"primary": self.primary, "targets": self._attempts.snapshot(), "remote": self._remote_stats()}

    def _remote_stats(self) -> dict[str, Any]:
        remote = {name for name, target in self._targets.items() if target.remote}
        calls = sum(stats.total.calls for name, stats in self._attempts.stats.items() if name in remote)
        told: dict[str, Any] = {"allow_cloud": self.gate.allow_cloud, "calls": calls, "reserved": self._budget.reserved}
        spent = self._budget.known()
        if trouble := self._budget.trouble:
            return told | {"error": trouble}
        return told | {"tokens_today": spent.today, "tokens_total": spent.total}

    def _report(self, target: Target) -> TargetReport:
        opened = self._pool.peek(target.id)
        info = target.described(opened)
        breaker = self._attempts.breaker(target.id)
        return TargetReport(
            id=target.id,
            primary=target.id == self.primary,
            remote=target.remote,
            blocked=target.remote and self.gate.shut,
            loaded=opened is not None and info.loaded,
            healthy=breaker.state == "closed",
            breaker=breaker.state,
            capabilities=info.capabilities,
            n_ctx=info.n_ctx,
            memory_bytes=info.memory_bytes if opened is not None else None,
            in_flight=self._pool.in_use.get(target.id, 0),
        )

    # How calls are run

    async def _run(
        self,
        facts: CallFacts,
        call: Callable[[Attempt, Step], Awaitable[T]],
        question: Question[Any] | None = None,
        *,
        only: str | None = None,
    ) -> T:
        began = self._clock()
        chain = self._chain(facts, only, question)
        while True:
            step = await self._next(chain)
            try:
                async with self._attempts.run(self._target(step), chain, step, facts, began) as attempt:
                    with allowing(step.allowance):
                        return await call(attempt, step)
            except SkippedError as skipped:
                chain.skip(step, skipped.reason)
            except ParlantLocalError as error:
                if question is not None:
                    question.failed(step.target, step.change, error)
                await self._failed(chain, step, error)

    async def _failed(self, chain: Chain, step: Step, error: ParlantLocalError, *, told: bool = False) -> None:
        """Lets the chain decide what comes next; raises where nothing does."""
        if not told:
            self._tell(step, error)
        if (
            isinstance(error, InsufficientMemoryError)
            and step.target not in chain.made_room
            and await self._pool.make_room(step.target)
        ):
            chain.made_room.add(step.target)
            chain.repeat(step)
            return
        chain.failed(step, error, remote=self._is_remote(step.target))

    async def _next(self, chain: Chain) -> Step:
        step = chain.next()
        if step.wait:
            await self._sleep(step.wait)
        return step

    # What a chain needs to know

    def _chain(self, facts: CallFacts, only: str | None, question: Question[Any] | None) -> Chain:
        self._require_some(facts.requirements, only)
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
        for position, target in enumerate(self._targets.values()):
            info = target.described(self._pool.peek(target.id))
            if (only is not None and target.id != only) or facts.requirements.missing_in(info):
                continue
            seconds = self._attempts.typical_seconds(target.id, facts.schema)
            healthy = self._attempts.breaker(target.id).admits
            found.append(Candidate(target.id, position, info, target.facts, healthy, seconds))
        ordered = self._policy(found)
        wishes = facts.requirements
        return sorted(ordered, key=lambda item: wishes.mismatches(item.facts))

    def _require_some(self, requirements: Requirements, only: str | None) -> None:
        if only is not None and only not in self._targets:
            raise EmbeddingIdentityError(
                f"Texts are indexed with {only}, which is not among the targets any more ({', '.join(self._targets)}).",
                hint="Bring it back, or start with a new index.",
            )
        reasons = {}
        for target in self._targets.values():
            if only is None or target.id == only:
                missing = requirements.missing_in(target.described(self._pool.peek(target.id)))
                if missing is None:
                    return
                reasons[target.id] = missing
        told = "; ".join(f"{name} {reason}" for name, reason in reasons.items())
        raise NoTargetError(f"No configured model can serve this call: {told}.", hint="Configure one that can.")

    def _blocked(self, item: Candidate, left: Sequence[Candidate]) -> ParlantLocalError | None:
        # A target whose breaker is open doesn't count as one that could still answer.
        still = [other for other in left if other.healthy]
        if (refusal := self.gate.refusal(item, still)) is not None:
            return refusal
        return None if self._attempts.breaker(item.id).admits else self._attempts.left_alone(item.id)

    # Small things

    def _leader(self) -> Target:
        """The primary, or the first target that may be used where the primary may not."""
        usable = (target for target in self._targets.values() if self._usable(target))
        return next(usable, self._targets[self.primary])

    def _usable(self, target: Target) -> bool:
        return not (target.remote and self.gate.shut)

    def _first_that_embeds(self) -> str:
        for target in self._targets.values():
            info = target.described(self._pool.peek(target.id))
            if self._usable(target) and (not info.capabilities or "embed" in info.capabilities):
                return target.id
        raise NoTargetError("No configured model can embed.", hint="Set embedding.model.")

    def _target(self, step: Step) -> Target:
        target = self._targets.get(step.target)
        if target is None:
            raise SkippedError(TargetDownError(f"{step.target} was swapped out during the call."))
        return target

    def _is_remote(self, target: str) -> bool:
        found = self._targets.get(target)
        return found is not None and found.remote

    def _warn_if_blocked(self, target: Target) -> None:
        if target.remote and self.gate.shut and target.id not in self._warned:
            self._warned.add(target.id)
            how = (
                "offline mode is on" if self.gate.offline else "PARLANT_LOCAL_SWITCHER__ALLOW_CLOUD=fallback allows it"
            )
            self._logger.warning(f"{target.id} is configured but not on this machine, so it is never asked; {how}.")

    def _tell(self, step: Step, error: ParlantLocalError) -> None:
        # The kind only: messages of endpoints may quote what was sent.
        status = getattr(error, "status", None)
        shown = type(error).__name__ + (f" ({status})" if status else "")
        self._logger.warning(f"{step.target} failed (attempt {step.attempt}): {shown}.")
