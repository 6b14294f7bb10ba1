"""Where one answer stands in its grammar: what is forced, what is allowed, how it can land."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from parlant_local.errors import SchemaError

if TYPE_CHECKING:
    from parlant_local.engine.constraint.call_marks import CallMarks

__all__ = ["ConstraintMatcher"]

_SLOWEST = 0.5  # seconds of the processor for one mask: all other answers wait meanwhile


class ConstraintMatcher:
    """One answer's matcher. Used from one thread at a time."""

    def __init__(
        self,
        matcher: Any,
        landing_tokens: int | None,
        *,
        open_keys: bool = False,
        endings: tuple[str, ...] = (),
        unbound: frozenset[str] = frozenset(),
        marks: CallMarks | None = None,
    ) -> None:
        self._matcher = matcher
        self.landing_tokens = landing_tokens
        """Tokens left at which its end must be thought of; None where the grammar can't be landed."""
        self.open_keys = open_keys
        """Whether keys of its answer could repeat."""
        self.endings = endings
        """Letters that its patterns want last."""
        self.unbound = unbound
        """Keywords that its answer has to be checked for."""
        self.marks = marks
        """Between which its arguments stand; None where it is JSON."""
        self.seconds = 0.0
        """Spent here."""

    def copy(self) -> ConstraintMatcher:
        """Another one at the same place, to try things out."""
        return ConstraintMatcher(
            self._matcher.deep_copy(),
            self.landing_tokens,
            open_keys=self.open_keys,
            endings=self.endings,
            unbound=self.unbound,
            marks=self.marks,
        )

    @property
    def finished(self) -> bool:
        """Nothing but the end may follow."""
        return bool(self._matcher.is_stopped()) and self._sound()

    @property
    def complete(self) -> bool:
        """The answer could end here."""
        return bool(self._matcher.is_accepting())

    def forced(self) -> list[int]:
        """Tokens that must come next whatever the model thinks, tokenised as the model's own tokenizer would.

        llguidance keeps back a last token that a following one might merge with, so that what is sampled next is not
        distorted by an unusual split.
        """
        start = time.perf_counter()
        tokens: list[int] = self._matcher.compute_ff_tokens()
        self.seconds += time.perf_counter() - start
        self._sound()
        return tokens

    def allows(self, token: int) -> bool:
        start = time.perf_counter()
        allowed = self._matcher.validate_tokens([token]) == 1
        self.seconds += time.perf_counter() - start
        return bool(allowed) or not self._sound()

    def allows_all(self, tokens: list[int]) -> bool:
        """Whether ``tokens`` may come next, one after the other."""
        start = time.perf_counter()
        taken = self._matcher.validate_tokens(tokens)
        self.seconds += time.perf_counter() - start
        return bool(tokens) and taken == len(tokens)

    def mask(self, n_vocab: int) -> npt.NDArray[np.bool_]:
        """Which tokens may come next, shape ``(n_vocab,)``; as many as the grammar knows where ``n_vocab`` is 0."""
        start, spent = time.perf_counter(), time.thread_time()
        packed = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        bits = np.unpackbits(packed, bitorder="little").view(np.bool_)
        self.seconds += time.perf_counter() - start
        self._sound()
        if (spent := time.thread_time() - spent) > _SLOWEST:
            raise SchemaError(
                f"The schema or grammar is too complex to go on: one step takes {spent:.1f} s.",
                hint="Give it fewer alternatives that begin alike.",
            )
        if bits.size >= n_vocab:
            return bits[:n_vocab] if n_vocab else bits
        return np.concatenate([bits, np.zeros(n_vocab - bits.size, dtype=np.bool_)])

    def accept(self, tokens: list[int]) -> None:
        start = time.perf_counter()
        taken = self._matcher.consume_tokens(tokens)
        self.seconds += time.perf_counter() - start
        if not taken:
            self._sound()
            raise SchemaError("The grammar engine took a token that its grammar does not allow.")

    def _sound(self) -> bool:
        """True; :class:`SchemaError` where a limit was met in the middle of an answer, which is then no answer."""
        if self._matcher.is_error():
            problem = " ".join(self._matcher.get_error().split())[:200]
            raise SchemaError(
                f"The schema or grammar is too complex to go on: {problem}.", hint="Make its patterns or rules simpler."
            )
        return True
