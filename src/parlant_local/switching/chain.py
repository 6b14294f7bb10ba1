"""One call's path through the targets: which one is tried next, given what failed so far. Decides only; it calls nothing.

How the same target is retried is up to the ladder (ladder.py).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from parlant_local.backends.retry_budget import RetryBudget
from parlant_local.errors import (
    AllTargetsFailedError,
    CloudNotAllowedError,
    ContextOverflowError,
    NoTargetError,
    ParlantLocalError,
    TargetDownError,
)
from parlant_local.switching.ladder import UNCHANGED, Change, Ladder, Leeway
from parlant_local.switching.policy import Candidate
from parlant_local.switching.taxonomy import verdict_on

__all__ = ["Chain", "ChainLimits", "Step"]

_MAX_RETRY_AFTER = 15.0
"""Seconds; a target that asks for a longer wait is skipped for the next one."""


def _jitter(attempt: int) -> float:
    return random.uniform(0, min(8.0, 0.5 * 2 ** (attempt - 1)))


@dataclass(frozen=True, slots=True)
class Step:
    """The next attempt."""

    target: str
    attempt: int
    """1 for the first at this target."""
    wait: float
    """Seconds to wait first."""
    reason: str
    change: Change = UNCHANGED
    """How it differs from the original call."""
    retry_budget: RetryBudget = field(default_factory=lambda: RetryBudget(0))
    """Retries that the backend may make by itself."""


@dataclass(frozen=True, slots=True)
class ChainLimits:
    max_attempts: int
    """At one target while another one is left to try."""
    remote_deadline: float
    """Seconds for all remote attempts together, from the first one."""
    total_attempts: int = 5
    """Attempts at all targets together."""
    jitter: Callable[[int], float] = _jitter
    """Seconds before the next attempt, given the number so far."""


@dataclass
class Chain:
    """Bounded and without cycles: a target that was exhausted is not tried again in the same call, except with its
    examples left out when no target takes the whole prompt.

    ``candidates`` gives the live, ordered candidates, evaluated for each step, so that a swap during the call counts;
    ``blocked`` says why a target may not be used now, given those that still may (permission, budget, breaker).
    """

    candidates: Callable[[], Sequence[Candidate]]
    blocked: Callable[[Candidate, Sequence[Candidate]], ParlantLocalError | None]
    limits: ChainLimits
    clock: Callable[[], float]
    prompt_tokens: int = 0
    """An estimate."""
    leeway: Leeway = Leeway()
    deadline: float | None = None
    """The caller's own, in seconds from now."""
    plain_at: Callable[[str], bool] = lambda _target: False
    """Whether a target is known to refuse tightened schemas."""
    causes: list[tuple[str, Exception]] = field(default_factory=list)
    made_room: set[str] = field(default_factory=set)
    """Targets for which other models were unloaded."""
    _exhausted: set[str] = field(default_factory=set)
    _attempts: dict[str, int] = field(default_factory=dict)
    _retry: Step | None = None
    _last: Exception | None = None
    """The error of the attempt that is being retried."""
    _min_window: int = 0
    _overflows: list[tuple[str, ContextOverflowError]] = field(default_factory=list)
    _remote_since: float | None = None

    def __post_init__(self) -> None:
        self._ladder = Ladder(self.limits.max_attempts, self.limits.total_attempts, self.leeway, self.prompt_tokens)
        self._began = self.clock()

    def next(self) -> Step:
        """Raises the call's error when nothing is left to try."""
        if (step := self._retry) is not None:
            self._retry = None
            return self._begin(step)
        available = self._open() if self._ladder.left > 0 else []
        while available:
            refused: list[tuple[Candidate, ParlantLocalError]] = []
            for item in available:
                refusal = self._out_of_time(item) or self.blocked(item, available)
                if refusal is None:
                    others = self._others(item.id, available)
                    return self._begin(self._step(item.id, self._reason(refused), others=others))
                refused.append((item, refusal))
            # A remote target waits for the local ones; when all of those are refused it is considered once more.
            local = [pair for pair in refused if not pair[0].info.remote] or refused
            for item, refusal in local:
                self._exhaust(item.id, refusal)
            available = [item for item in available if item.id not in self._exhausted]
        if (step := self._without_examples()) is not None:
            return self._begin(step)
        raise self._outcome()

    def failed(self, step: Step, error: Exception, *, remote: bool) -> None:
        """Records a failed attempt; raises ``error`` where nothing else may be tried."""
        self._ladder.count(step.target, error, step.retry_budget.used)
        verdict = verdict_on(error)
        if verdict == "fail" and not self._ladder.can_relax_schema(step.change, error):
            if self.causes:
                raise error from ExceptionGroup("earlier targets failed", [cause for _, cause in self.causes])
            raise error
        others = self._others(step.target, self._open())
        if self._ladder.remaining_for(step.target, others):
            wait, change = 0.0, self._ladder.change(step.target, step.change, error)
            if verdict == "retry" and (pause := self._wait(step, error, remote=remote)) is not None:
                wait, change = pause, step.change
            if change is not None:
                self._retry = self._step(step.target, "again", change, wait, others=others)
                self._last = error
                return
        if isinstance(error, ContextOverflowError):
            self._min_window = max(self._min_window, error.available or 0)
            if not step.change.without_examples:
                self._overflows.append((step.target, error))
        self._exhaust(step.target, error)

    def repeat(self, step: Step) -> None:
        """The same step once more, after what blocked it was cleared."""
        self._retry = step

    def skip(self, step: Step, error: ParlantLocalError) -> None:
        """A step that could not start (its breaker opened meanwhile, or its target was removed)."""
        self._exhaust(step.target, self._last if step.attempt > 1 and self._last is not None else error)

    def remote_time_left(self) -> float:
        """Seconds; the clock starts with the first remote attempt."""
        if self._remote_since is None:
            return self.limits.remote_deadline
        return self.limits.remote_deadline - (self.clock() - self._remote_since)

    def remote_begins(self) -> None:
        if self._remote_since is None:
            self._remote_since = self.clock()

    def _open(self) -> list[Candidate]:
        """Those that are not exhausted, and whose context is larger than one that proved too small."""
        left = [item for item in self.candidates() if item.id not in self._exhausted]
        if not self._min_window:
            return left
        return [item for item in left if not item.info.n_ctx or item.info.n_ctx > self._min_window]

    def _others(self, target: str, available: Sequence[Candidate]) -> int:
        """How many of ``available`` were not tried yet, and could be, were ``target`` exhausted."""
        left = [item for item in available if item.id != target and item.id not in self._attempts]
        return sum(self._out_of_time(item) is None and self.blocked(item, [item]) is None for item in left)

    def _step(
        self, target: str, reason: str, change: Change | None = None, wait: float = 0.0, *, others: int = 0
    ) -> Step:
        if change is None:
            change = Change(plain=True) if self.leeway.plain and self.plain_at(target) else UNCHANGED
        retries_left = max(0, self._ladder.remaining_for(target, others) - 1)
        return Step(target, self._attempts.get(target, 0) + 1, wait, reason, change, RetryBudget(retries_left))

    def _without_examples(self) -> Step | None:
        """The last resort for a prompt that fits no target."""
        overflows, self._overflows = self._overflows, []
        present = {item.id: item for item in self.candidates()}
        for target, error in sorted(overflows, key=lambda overflow: -(overflow[1].available or 0)):
            change = self._ladder.drop_examples(error)
            if change is None or target not in present or not self._ladder.remaining_for(target, 0):
                continue
            if self._out_of_time(present[target]) or self.blocked(present[target], [present[target]]):
                continue
            self.causes.remove((target, error))
            plain = self.leeway.plain and self.plain_at(target)
            return self._step(target, "again", replace(change, plain=plain))
        return None

    def _begin(self, step: Step) -> Step:
        self._attempts[step.target] = step.attempt
        return step

    def _exhaust(self, target: str, error: Exception) -> None:
        self._exhausted.add(target)
        self.causes.append((target, error))

    def _reason(self, refused: Sequence[tuple[Candidate, ParlantLocalError]]) -> str:
        """Why a target is tried: the last one's error, or why an earlier one may not be used."""
        if self.causes:
            target, error = self.causes[-1]
            return f"{target}: {type(error).__name__}"
        if refused:
            return f"{refused[0][0].id}: {type(refused[0][1]).__name__}"
        return "primary"

    def _out_of_time(self, item: Candidate) -> ParlantLocalError | None:
        if item.info.remote and self.remote_time_left() <= 0:
            return TargetDownError(
                f"The {self.limits.remote_deadline:g} s allowed for all remote attempts were used up before {item.id} was tried.",
                hint="Raise switcher.deadline_seconds.",
            )
        return None

    def _wait(self, step: Step, error: Exception, *, remote: bool) -> float | None:
        """Seconds before the next attempt, or ``None`` where the target asks for more than a call can wait."""
        asked = error.retry_after if isinstance(error, ParlantLocalError) else None
        if asked is not None and asked > _MAX_RETRY_AFTER:
            return None
        wait = max(self.limits.jitter(step.attempt), asked or 0.0)
        ends = [self.remote_time_left()] if remote else []
        if self.deadline is not None:
            ends.append(self.deadline - (self.clock() - self._began))
        return wait if all(wait < left for left in ends) else None

    def _outcome(self) -> Exception:
        errors = [error for _, error in self.causes]
        if not errors:
            return NoTargetError(
                "No configured model can serve this call.", hint="Configure one in switcher.fallbacks."
            )
        real = [error for error in errors if not isinstance(error, CloudNotAllowedError)] or errors
        if len(errors) == 1:
            return errors[0]
        if all(isinstance(error, ContextOverflowError) for error in errors):
            return max((e for e in errors if isinstance(e, ContextOverflowError)), key=lambda e: e.available or 0)
        kinds = "; ".join(f"{target}: {type(error).__name__}" for target, error in self.causes)
        reasons = "; ".join(error.message if isinstance(error, ParlantLocalError) else str(error) for error in errors)
        hints = [error.hint for error in real if isinstance(error, ParlantLocalError) and error.hint]
        return AllTargetsFailedError(
            f"Every target failed ({kinds}): {reasons}",
            causes=ExceptionGroup("every target failed", errors),
            hint=hints[0] if hints else "",
        )
