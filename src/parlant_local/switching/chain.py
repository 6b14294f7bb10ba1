"""One call's way through the targets: which one is asked next, given what failed so far. Decides only; it calls nothing.

How the same target is asked again is the ladder's part (ladder.py).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from parlant_local.backends.allowance import Allowance
from parlant_local.errors import (
    AllTargetsFailedError,
    CloudNotAllowedError,
    ContextOverflowError,
    NoTargetError,
    ParlantLocalError,
    TargetDownError,
)
from parlant_local.switching.ladder import AS_ASKED, Change, Ladder, Leeway
from parlant_local.switching.policy import Candidate
from parlant_local.switching.taxonomy import verdict_on

__all__ = ["Chain", "ChainLimits", "Step"]

_LONGEST_WAIT = 15.0
"""Seconds; a target that asks for a longer pause is left for the next one."""


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
    change: Change = AS_ASKED
    """How it differs from the call as it was asked."""
    allowance: Allowance = field(default_factory=lambda: Allowance(0))
    """Requests that the backend may send again by itself."""


@dataclass(frozen=True, slots=True)
class ChainLimits:
    max_attempts: int
    """At one target while another one is left to ask."""
    remote_deadline: float
    """Seconds for all remote attempts together, from the first one."""
    in_chain: int = 5
    """Attempts at all targets together."""
    jitter: Callable[[int], float] = _jitter
    """Seconds before the next attempt, after so many."""


@dataclass
class Chain:
    """Bounded and without cycles: a target that was given up is not tried again in the same call, save to have its
    examples left out when no other one takes the whole prompt.

    ``candidates`` gives the live, ordered candidates, asked anew for each step, so that a swap during the call counts;
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
    _given_up: set[str] = field(default_factory=set)
    _attempts: dict[str, int] = field(default_factory=dict)
    _again: Step | None = None
    _last: Exception | None = None
    """What the attempt that is being repeated failed with."""
    _needs_window: int = 0
    _overflows: list[tuple[str, ContextOverflowError]] = field(default_factory=list)
    _remote_since: float | None = None

    def __post_init__(self) -> None:
        self._ladder = Ladder(self.limits.max_attempts, self.limits.in_chain, self.leeway, self.prompt_tokens)
        self._began = self.clock()

    def next(self) -> Step:
        """Raises what the call fails with when nothing is left to try."""
        if (step := self._again) is not None:
            self._again = None
            return self._begin(step)
        open_ones = self._open() if self._ladder.left > 0 else []
        while open_ones:
            refused: list[tuple[Candidate, ParlantLocalError]] = []
            for item in open_ones:
                why = self._out_of_time(item) or self.blocked(item, open_ones)
                if why is None:
                    others = self._others(item.id, open_ones)
                    return self._begin(self._step(item.id, self._reason(refused), others=others))
                refused.append((item, why))
            # A remote target waits for the local ones; when all of those are refused it is looked at once more.
            local = [pair for pair in refused if not pair[0].info.remote] or refused
            for item, why in local:
                self._give_up(item.id, why)
            open_ones = [item for item in open_ones if item.id not in self._given_up]
        if (step := self._brief()) is not None:
            return self._begin(step)
        raise self._outcome()

    def failed(self, step: Step, error: Exception, *, remote: bool) -> None:
        """Takes note of a failed attempt; raises ``error`` where nothing else may be tried."""
        self._ladder.count(step.target, error, step.allowance.sent)
        verdict = verdict_on(error)
        if verdict == "fail" and not self._ladder.may_be_plainer(step.change, error):
            if self.causes:
                raise error from ExceptionGroup("earlier targets failed", [cause for _, cause in self.causes])
            raise error
        others = self._others(step.target, self._open())
        if self._ladder.spare(step.target, others):
            wait, change = 0.0, self._ladder.change(step.target, step.change, error)
            if verdict == "retry" and (pause := self._wait(step, error, remote=remote)) is not None:
                wait, change = pause, step.change
            if change is not None:
                self._again = self._step(step.target, "again", change, wait, others=others)
                self._last = error
                return
        if isinstance(error, ContextOverflowError):
            self._needs_window = max(self._needs_window, error.available or 0)
            if not step.change.brief:
                self._overflows.append((step.target, error))
        self._give_up(step.target, error)

    def repeat(self, step: Step) -> None:
        """The same step once more: what was in its way is gone."""
        self._again = step

    def skip(self, step: Step, error: ParlantLocalError) -> None:
        """A step that could not even begin (its breaker opened meanwhile, it was swapped out)."""
        self._give_up(step.target, self._last if step.attempt > 1 and self._last is not None else error)

    def remote_time_left(self) -> float:
        """Seconds; the clock starts with the first remote attempt."""
        if self._remote_since is None:
            return self.limits.remote_deadline
        return self.limits.remote_deadline - (self.clock() - self._remote_since)

    def remote_begins(self) -> None:
        if self._remote_since is None:
            self._remote_since = self.clock()

    def _open(self) -> list[Candidate]:
        """Those that were not given up, and whose window is larger than one that proved too small."""
        left = [item for item in self.candidates() if item.id not in self._given_up]
        if not self._needs_window:
            return left
        return [item for item in left if not item.info.n_ctx or item.info.n_ctx > self._needs_window]

    def _others(self, target: str, open_ones: Sequence[Candidate]) -> int:
        """How many of ``open_ones`` were not asked yet, and could be, were ``target`` given up."""
        left = [item for item in open_ones if item.id != target and item.id not in self._attempts]
        return sum(self._out_of_time(item) is None and self.blocked(item, [item]) is None for item in left)

    def _step(
        self, target: str, reason: str, change: Change | None = None, wait: float = 0.0, *, others: int = 0
    ) -> Step:
        if change is None:
            change = Change(plain=True) if self.leeway.plain and self.plain_at(target) else AS_ASKED
        more = max(0, self._ladder.spare(target, others) - 1)
        return Step(target, self._attempts.get(target, 0) + 1, wait, reason, change, Allowance(more))

    def _brief(self) -> Step | None:
        """The last resort of a prompt that no target takes whole."""
        overflows, self._overflows = self._overflows, []
        present = {item.id: item for item in self.candidates()}
        for target, error in sorted(overflows, key=lambda overflow: -(overflow[1].available or 0)):
            change = self._ladder.briefly(error)
            if change is None or target not in present or not self._ladder.spare(target, 0):
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

    def _give_up(self, target: str, error: Exception) -> None:
        self._given_up.add(target)
        self.causes.append((target, error))

    def _reason(self, refused: Sequence[tuple[Candidate, ParlantLocalError]]) -> str:
        """Why a target is asked: what the last one failed with, or why an earlier one may not be asked."""
        if self.causes:
            target, error = self.causes[-1]
            return f"{target}: {type(error).__name__}"
        if refused:
            return f"{refused[0][0].id}: {type(refused[0][1]).__name__}"
        return "primary"

    def _out_of_time(self, item: Candidate) -> ParlantLocalError | None:
        if item.info.remote and self.remote_time_left() <= 0:
            return TargetDownError(
                f"The {self.limits.remote_deadline:g} s for remote targets were used up before {item.id} was asked.",
                hint="Raise switcher.deadline_seconds.",
            )
        return None

    def _wait(self, step: Step, error: Exception, *, remote: bool) -> float | None:
        """Seconds before the next attempt, or ``None`` where the other side asks for more than a call can wait."""
        asked = error.retry_after if isinstance(error, ParlantLocalError) else None
        if asked is not None and asked > _LONGEST_WAIT:
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
                "No configured model can serve this call.", hint="Configure one with switcher.fallbacks."
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
