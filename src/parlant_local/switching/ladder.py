"""The one ladder of repair: how often a call's answer is asked for, and how each next time differs. It calls nothing.

=======================================  ========================================================
the last attempt                         the next one at the same target
=======================================  ========================================================
failed in passing, or was slowed down    the same, after a pause
gave what does not fit                   is told what was wrong
was cut by the token limit               has twice the room, unless the caller set the limit
left no room for the wished length       asks for the length that is left
had its tightened schema refused         has the plain one
does not fit, and nobody else has room   has its examples left out
=======================================  ========================================================

A target is asked ``max_attempts`` times while another one is left to ask, and once more where none is; all targets
together ``in_chain`` times, of which one is kept for each target that was not asked yet. Requests that a backend sends
again by itself count too.
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

__all__ = ["AS_ASKED", "Change", "Ladder", "Leeway"]

_LEAST_ANSWER = 128
_UNEVEN = 1.15
"""Examples may have fewer tokens for their letters than the rest."""
_UNSENT = (QueueFullError, ModelLoadError, CatalogError, ConfigurationError, BudgetExceededError)


@dataclass(frozen=True, slots=True)
class Change:
    """How an attempt differs from the call as it was asked."""

    repair: str | None = None
    """What was wrong with the last answer."""
    max_tokens: int | None = None
    """An answer of another length."""
    plain: bool = False
    """The schema without what only helps."""
    brief: bool = False
    """The prompt without its examples."""

    def fitted(self, options: ChatOptions) -> ChatOptions:
        return options if self.max_tokens is None else {**options, "max_tokens": self.max_tokens}


AS_ASKED = Change()


@dataclass(frozen=True, slots=True)
class Leeway:
    """What may be changed about a call."""

    answer_limit: int | None = None
    """``max_tokens`` of the call."""
    longest_answer: int | None = None
    """Up to which an answer that was cut gets more room; ``None``: the caller's limit holds."""
    plain: bool = False
    """Whether its schema has a plainer form."""
    brief_share: Callable[[], float | None] = lambda: None
    """Share of the prompt that is left without its examples; ``None`` where it has none that may go."""


@dataclass
class Ladder:
    """Of one call. ``prompt_tokens`` is an estimate."""

    max_attempts: int
    in_chain: int
    leeway: Leeway = Leeway()
    prompt_tokens: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    """Requests by target."""
    _fitted: set[str] = field(default_factory=set)

    def count(self, target: str, error: Exception, again: int) -> None:
        """Takes note of an attempt that failed with ``error``, in which the backend sent ``again`` requests more."""
        self.asked[target] += again + _was_sent(error)

    def spare(self, target: str, others: int) -> int:
        """Requests that ``target`` may still get while ``others`` were not asked yet."""
        here = self.max_attempts + (not others and self.max_attempts > 1)
        return max(0, min(here - self.asked[target], self.left - others))

    @property
    def left(self) -> int:
        """Requests that the call may still send."""
        return self.in_chain - self.asked.total()

    def change(self, target: str, last: Change, error: Exception) -> Change | None:
        """How to ask ``target`` again after ``error``, or ``None`` where asking again is no use."""
        if isinstance(error, InvalidOutputError):
            return replace(last, repair=error.message)
        if isinstance(error, TruncatedOutputError):
            return self._longer(last, error)
        if isinstance(error, ContextOverflowError):
            return self._shorter(target, last, error)
        if self.may_be_plainer(last, error):
            return replace(last, plain=True)
        return None

    def may_be_plainer(self, last: Change, error: Exception) -> bool:
        """Some endpoints know fewer keywords than the engine; tightening must only ever help."""
        return self.leeway.plain and not last.plain and isinstance(error, SchemaError | BadRequestError)

    def briefly(self, error: ContextOverflowError) -> Change | None:
        """Without the examples, and with an answer that then fits as far as can be told."""
        if (share := self.leeway.brief_share()) is None:
            return None
        limit = self.leeway.answer_limit
        prompt = self._prompt_of(error, limit or 0)
        room = error.available - int(prompt * share * _UNEVEN) if prompt and error.available else 0
        shorter = limit is not None and _LEAST_ANSWER <= room < limit
        return Change(max_tokens=room if shorter else None, brief=True)

    def _longer(self, last: Change, error: TruncatedOutputError) -> Change | None:
        longest = self.leeway.longest_answer
        limit = last.max_tokens or self.leeway.answer_limit or error.limit or error.used
        return replace(last, max_tokens=min(2 * limit, longest)) if longest is not None and limit < longest else None

    def _shorter(self, target: str, last: Change, error: ContextOverflowError) -> Change | None:
        """With the room that is left where the prompt alone fits, once for each target."""
        limit = last.max_tokens or self.leeway.answer_limit
        prompt = None if limit is None else self._prompt_of(error, limit)
        if limit is None or prompt is None or error.available is None or target in self._fitted:
            return None
        room = error.available - prompt
        if not _LEAST_ANSWER <= room < limit:
            return None
        self._fitted.add(target)
        return replace(last, max_tokens=room)

    def _prompt_of(self, error: ContextOverflowError, limit: int) -> int | None:
        """Tokens of the prompt where the figures tell: some count the prompt alone, others the answer too."""
        if error.prompt is not None or error.needed is None:
            return error.prompt
        prompt = error.needed - limit
        return prompt if prompt > 0 and prompt >= self.prompt_tokens / 2 else None


def _was_sent(error: Exception) -> bool:
    if isinstance(error, BackendError):
        return error.sent
    return isinstance(error, ParlantLocalError) and not isinstance(error, _UNSENT)
