"""The one ladder of repair: how many attempts a call gets, and how each one differs from the last. Decides only; it calls nothing.

=======================================  ========================================================
the last attempt                         the next one at the same target
=======================================  ========================================================
failed transiently, or was rate-limited  the same request, after a pause
returned an invalid answer               names what was wrong
was truncated by the token limit         has twice the limit, unless the caller set it
left no room for the requested length    asks for the length that is left
had its tightened schema refused         has the plain one
fits the context of no target            has its examples left out
=======================================  ========================================================

A target gets ``max_attempts`` requests while another one is left to try, and one more where none is; all targets
together ``total_attempts``, of which one is kept for each target that was not tried yet. Requests that a backend resends
by itself count too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from parlant_local.backends.base import ChatOptions
from parlant_local.errors import (
    BackendError,
    BadRequestError,
    BudgetExceededError,
    CatalogError,
    ConfigurationError,
    ContextOverflowError,
    InvalidOutputError,
    ModelLoadError,
    ParlantLocalError,
    QueueFullError,
    SchemaError,
    TruncatedOutputError,
)

__all__ = ["UNCHANGED", "Change", "Ladder", "Leeway"]

_MIN_ANSWER = 128
_DENSITY_MARGIN = 1.15
"""Examples may have fewer tokens per character than the rest."""
_UNSENT = (QueueFullError, ModelLoadError, CatalogError, ConfigurationError, BudgetExceededError)


@dataclass(frozen=True, slots=True)
class Change:
    """How an attempt differs from the original call."""

    repair: str | None = None
    """What was wrong with the last answer."""
    max_tokens: int | None = None
    """The token limit, where it differs."""
    plain: bool = False
    """The schema without its tightening."""
    without_examples: bool = False
    """The prompt without its examples."""

    def fitted(self, options: ChatOptions) -> ChatOptions:
        return options if self.max_tokens is None else {**options, "max_tokens": self.max_tokens}


UNCHANGED = Change()


@dataclass(frozen=True, slots=True)
class Leeway:
    """What may be changed about a call."""

    answer_limit: int | None = None
    """``max_tokens`` of the call; -1, no limit, is none."""
    longest_answer: int | None = None
    """The limit up to which a truncated answer is retried; ``None``: the caller's limit holds."""
    plain: bool = False
    """Whether its schema has a plainer form."""
    share_without_examples: Callable[[], float | None] = lambda: None
    """Share of the prompt that is left without its examples; ``None`` where it has none that may go."""

    def __post_init__(self) -> None:
        if self.answer_limit == -1:
            object.__setattr__(self, "answer_limit", None)


@dataclass
class Ladder:
    """Of one call. ``prompt_tokens`` is an estimate."""

    max_attempts: int
    total_attempts: int
    leeway: Leeway = Leeway()
    prompt_tokens: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    """Requests by target."""
    _fitted: set[str] = field(default_factory=set)

    def count(self, target: str, error: Exception, retries: int) -> None:
        """Counts an attempt that failed with ``error``, in which the backend sent ``retries`` further requests."""
        self.requests[target] += retries + _was_sent(error)

    def remaining_for(self, target: str, others: int) -> int:
        """Requests that ``target`` may still get while ``others`` were not tried yet."""
        here = self.max_attempts + (not others and self.max_attempts > 1)
        return max(0, min(here - self.requests[target], self.left - others))

    @property
    def left(self) -> int:
        """Requests that the call may still send."""
        return self.total_attempts - self.requests.total()

    def change(self, target: str, last: Change, error: Exception) -> Change | None:
        """How to retry ``target`` after ``error``, or ``None`` where a retry is pointless."""
        if isinstance(error, InvalidOutputError):
            return replace(last, repair=error.message)
        if isinstance(error, TruncatedOutputError):
            return self._longer(last, error)
        if isinstance(error, ContextOverflowError):
            return self._shorter(target, last, error)
        if self.can_relax_schema(last, error):
            return replace(last, plain=True)
        return None

    def can_relax_schema(self, last: Change, error: Exception) -> bool:
        """Some endpoints know fewer keywords than the engine; tightening must only ever help."""
        return self.leeway.plain and not last.plain and isinstance(error, SchemaError | BadRequestError)

    def drop_examples(self, error: ContextOverflowError) -> Change | None:
        """Without the examples, and with an answer limit that then fits, as far as can be estimated."""
        if (share := self.leeway.share_without_examples()) is None:
            return None
        limit = self.leeway.answer_limit
        prompt = self._prompt_of(error, limit or 0)
        room = error.available - int(prompt * share * _DENSITY_MARGIN) if prompt and error.available else 0
        shorter = limit is not None and _MIN_ANSWER <= room < limit
        return Change(max_tokens=room if shorter else None, without_examples=True)

    def _longer(self, last: Change, error: TruncatedOutputError) -> Change | None:
        longest = self.leeway.longest_answer
        limit = last.max_tokens or self.leeway.answer_limit or error.limit or error.used
        return replace(last, max_tokens=min(2 * limit, longest)) if longest is not None and limit < longest else None

    def _shorter(self, target: str, last: Change, error: ContextOverflowError) -> Change | None:
        """With the tokens that are left where the prompt alone fits; once per target."""
        limit = last.max_tokens or self.leeway.answer_limit
        prompt = None if limit is None else self._prompt_of(error, limit)
        if limit is None or prompt is None or error.available is None or target in self._fitted:
            return None
        room = error.available - prompt
        if not _MIN_ANSWER <= room < limit:
            return None
        self._fitted.add(target)
        return replace(last, max_tokens=room)

    def _prompt_of(self, error: ContextOverflowError, limit: int) -> int | None:
        """Tokens of the prompt where the error's figures give it: some count the prompt alone, others the answer too."""
        if error.prompt is not None or error.needed is None:
            return error.prompt
        prompt = error.needed - limit
        return prompt if prompt > 0 and prompt >= self.prompt_tokens / 2 else None


def _was_sent(error: Exception) -> bool:
    if isinstance(error, BackendError):
        return error.sent
    return isinstance(error, ParlantLocalError) and not isinstance(error, _UNSENT)
