"""One call's way through the targets: what to try next, given what failed so far. Decides only; it calls nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tenacity import RetryCallState, wait_random_exponential
from tenacity.wait import wait_base

from parlant_local.errors import (
    AllTargetsFailedError,
    CloudNotAllowedError,
    ContextOverflowError,
    NoTargetError,
    ParlantLocalError,
    TargetDownError,
)
from parlant_local.switching.policy import Candidate
from parlant_local.switching.taxonomy import verdict_on

__all__ = ["Chain", "ChainLimits", "Step"]

_LONGEST_WAIT = 15.0
"""Seconds; a target that asks for a longer pause is left for the next one."""
_LEAST_ANSWER = 128
_JITTER = wait_random_exponential(multiplier=0.5, max=8.0)


@dataclass(frozen=True, slots=True)
class Step:
    """The next attempt."""

    target: str
    attempt: int
    """1 for the first at this target."""
    wait: float
    """Seconds to wait first."""
    reason: str
    repair: str | None = None
    """What was wrong with the last answer, where the model gets another try at it."""
    max_tokens: int | None = None
    """A shorter answer than was asked for, so that a prompt which fits alone fits with its answer."""


@dataclass(frozen=True, slots=True)
class ChainLimits:
    max_attempts: int
    remote_deadline: float
    """Seconds for all remote attempts together, from the first one."""
    jitter: wait_base = _JITTER


@dataclass
class Chain:
    """Bounded and without cycles: a target that was given up is not tried again in the same call.

    ``candidates`` gives the live, ordered candidates, asked anew for each step, so that a swap during the call counts;
    ``blocked`` says why a target may not be used now, given those that still may (permission, budget, breaker).
    """

    candidates: Callable[[], Sequence[Candidate]]
    blocked: Callable[[Candidate, Sequence[Candidate]], ParlantLocalError | None]
    limits: ChainLimits
    clock: Callable[[], float]
    prompt_tokens: int = 0
    """An estimate."""
    answer_limit: int | None = None
    """``max_tokens`` of the call."""
    causes: list[tuple[str, Exception]] = field(default_factory=list)
    made_room: set[str] = field(default_factory=set)
    """Targets for which other models were unloaded."""
    _given_up: set[str] = field(default_factory=set)
    _attempts: dict[str, int] = field(default_factory=dict)
    _repaired: set[str] = field(default_factory=set)
    _again: Step | None = None
    _last: Exception | None = None
    """What the attempt that is being repeated failed with."""
    _needs_window: int = 0
    _remote_since: float | None = None

    def next(self) -> Step:
        """Raises what the call fails with when nothing is left to try."""
        if (step := self._again) is not None:
            self._again = None
            return self._begin(step)
        open_ones = [item for item in self.candidates() if item.id not in self._given_up]
        if self._needs_window:
            open_ones = [item for item in open_ones if not item.info.n_ctx or item.info.n_ctx > self._needs_window]
        while open_ones:
            refused: list[tuple[Candidate, ParlantLocalError]] = []
            for item in open_ones:
                why = self._out_of_time(item) or self.blocked(item, open_ones)
                if why is None:
                    return self._begin(Step(item.id, self._attempts.get(item.id, 0) + 1, 0.0, self._reason(refused)))
                refused.append((item, why))
            # A remote target waits for the local ones; when all of those are refused it is looked at once more.
            local = [pair for pair in refused if not pair[0].info.remote] or refused
            for item, why in local:
                self._give_up(item.id, why)
            open_ones = [item for item in open_ones if item.id not in self._given_up]
        raise self._outcome()

    def failed(self, step: Step, error: Exception, *, remote: bool) -> None:
        """Takes note of a failed attempt; raises ``error`` where nothing else may be tried."""
        verdict = verdict_on(error)
        if verdict == "fail":
            if self.causes:
                raise error from ExceptionGroup("earlier targets failed", [cause for _, cause in self.causes])
            raise error
        if verdict == "again" and step.attempt < self.limits.max_attempts:
            wait = self._wait(step, error)
            if wait is not None and (not remote or wait < self.remote_time_left()):
                self._again = Step(step.target, step.attempt + 1, wait, "again")
                self._last = error
                return
        if verdict == "once_more" and step.target not in self._repaired:
            self._repaired.add(step.target)
            what = error.message if isinstance(error, ParlantLocalError) else str(error)
            self._again = Step(step.target, step.attempt + 1, 0.0, "again", repair=what)
            return
        if isinstance(error, ContextOverflowError):
            if (room := self._room(step, error)) is not None:
                self._again = Step(step.target, step.attempt + 1, 0.0, "again", max_tokens=room)
                return
            self._needs_window = max(self._needs_window, error.available)
        self._give_up(step.target, error)

    def repeat(self, step: Step) -> None:
        """The same step once more: what was in its way is gone."""
        self._again = Step(step.target, step.attempt, 0.0, step.reason, step.repair, step.max_tokens)

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

    def _room(self, step: Step, error: ContextOverflowError) -> int | None:
        """Tokens left for an answer where the prompt alone fits and only the wished length of the answer did not."""
        if self.answer_limit is None or step.max_tokens is not None:
            return None
        prompt = error.needed - self.answer_limit
        room = error.available - prompt
        plausible = prompt >= self.prompt_tokens / 2  # some count the prompt alone
        return room if plausible and _LEAST_ANSWER <= room < self.answer_limit else None

    def _out_of_time(self, item: Candidate) -> ParlantLocalError | None:
        if item.info.remote and self.remote_time_left() <= 0:
            return TargetDownError(
                f"The {self.limits.remote_deadline:g} s for remote targets were used up before {item.id} was asked.",
                hint="Raise switcher.deadline_seconds.",
            )
        return None

    def _wait(self, step: Step, error: Exception) -> float | None:
        """Seconds before the next attempt, or ``None`` where the other side asks for more than a call can wait."""
        asked = getattr(error, "retry_after", None)
        state = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]  # unused by waits
        state.attempt_number = step.attempt
        wait = max(self.limits.jitter(state), asked or 0.0)
        return None if asked is not None and asked > _LONGEST_WAIT else wait

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
            return max((e for e in errors if isinstance(e, ContextOverflowError)), key=lambda e: e.available)
        told = "; ".join(f"{target}: {type(error).__name__}" for target, error in self.causes)
        hints = [error.hint for error in real if isinstance(error, ParlantLocalError) and error.hint]
        return AllTargetsFailedError(
            f"Every target failed ({told}).",
            causes=ExceptionGroup("every target failed", errors),
            hint=hints[0] if hints else "",
        )
