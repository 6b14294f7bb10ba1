"""One answer's position in its grammar: which tokens are forced, and which are allowed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from parlant_local.errors import SchemaError

if TYPE_CHECKING:
    from parlant_local.engine.constraint.call_marks import CallMarks

__all__ = ["ConstraintMatcher"]

_MAX_MASK_SECONDS = 0.5  # processor seconds for one mask: all other sequences wait meanwhile


class ConstraintMatcher:
    """One answer's matcher. Used from one thread at a time."""

    def __init__(
        self,
        matcher: Any,
        closing_budget: int | None,
        *,
        open_keys: bool = False,
        endings: tuple[str, ...] = (),
        unbound: frozenset[str] = frozenset(),
        marks: CallMarks | None = None,
    ) -> None:
        self._matcher = matcher
        self.closing_budget = closing_budget
        """Remaining tokens from which on the ending must be considered; None where the grammar can't be closed early."""
        self.open_keys = open_keys
        """Whether the answer could repeat keys."""
        self.endings = endings
        """Characters that its patterns require at the end."""
        self.unbound = unbound
        """Keywords that the answer has to be validated against."""
        self.marks = marks
        """The marks around its arguments; None where it is JSON."""
        self.seconds = 0.0
        """Time spent computing masks and advancing."""

    def copy(self) -> ConstraintMatcher:
        """An independent matcher in the same state, for look-ahead."""
        return ConstraintMatcher(
            self._matcher.deep_copy(),
            self.closing_budget,
            open_keys=self.open_keys,
            endings=self.endings,
            unbound=self.unbound,
            marks=self.marks,
        )

    @property
    def finished(self) -> bool:
        """Only the end of generation may follow."""
        return bool(self._matcher.is_stopped()) and self._check_error()

    @property
    def complete(self) -> bool:
        """The answer could end here."""
        return bool(self._matcher.is_accepting())

    def forced(self) -> list[int]:
        """Tokens that must come next whatever the logits, split as the model's own tokenizer would.

        llguidance holds back a last token that a following one might merge with, so that sampling continues from a
        canonical split.
        """
        start = time.perf_counter()
        tokens: list[int] = self._matcher.compute_ff_tokens()
        self.seconds += time.perf_counter() - start
        self._check_error()
        return tokens

    def allows(self, token: int) -> bool:
        start = time.perf_counter()
        allowed = self._matcher.validate_tokens([token]) == 1
        self.seconds += time.perf_counter() - start
        return bool(allowed) or not self._check_error()

    def allows_all(self, tokens: list[int]) -> bool:
        """Whether ``tokens`` may come next, one after the other."""
        start = time.perf_counter()
        taken = self._matcher.validate_tokens(tokens)
        self.seconds += time.perf_counter() - start
        return bool(tokens) and taken == len(tokens)

    def mask(self, n_vocab: int) -> npt.NDArray[np.bool_]:
        """The mask of allowed tokens, shape ``(n_vocab,)``; of the grammar's own vocabulary size where ``n_vocab`` is 0."""
        start, spent = time.perf_counter(), time.thread_time()
        packed = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        bits = np.unpackbits(packed, bitorder="little").view(np.bool_)
        self.seconds += time.perf_counter() - start
        self._check_error()
        if (spent := time.thread_time() - spent) > _MAX_MASK_SECONDS:
            raise SchemaError(
                f"The schema or grammar is too complex to continue: one step takes {spent:.1f} s.",
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
            self._check_error()
            raise SchemaError("The grammar engine accepted a token that its grammar does not allow.")

    def _check_error(self) -> bool:
        """True; raises :class:`SchemaError` where the grammar hit a limit in the middle of an answer."""
        if self._matcher.is_error():
            problem = " ".join(self._matcher.get_error().split())[:200]
            raise SchemaError(
                f"The schema or grammar is too complex to continue: {problem}.",
                hint="Make its patterns or rules simpler.",
            )
        return True
