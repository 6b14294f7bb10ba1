"""One schema being read: what that may cost, what was spent, and which of its rules are left to be checked afterwards."""

from __future__ import annotations

import time

from parlant_local.engine.constraint.bounds import exceeded
from parlant_local.settings.constraints import ConstraintSettings

__all__ = ["Reading"]

_OFTEN = 64  # steps between two looks at the clock
_LISTS = 4  # full ones whose values may be written out


class Reading:
    """Shared by everything that walks the schema. The clock is this thread's own: a busy machine refuses nobody."""

    def __init__(self, bounds: ConstraintSettings) -> None:
        self.bounds = bounds
        self.unbound: set[str] = set()
        """Keywords that the decoder isn't bound to, or not wholly: an answer has to be checked for them."""
        self._started = time.thread_time()
        self._parts = 0
        self._steps = 0
        self._multiples: set[int] = set()
        self._listed = 0
        self._listed_size = 0

    def part(self) -> None:
        """One more subschema to be compiled."""
        self._parts += 1
        if self._parts > self.bounds.max_parts:
            raise exceeded(
                "The schema has more than {} parts, its references followed", "max_parts", self.bounds.max_parts
            )
        self.step()

    def step(self) -> None:
        """A little work."""
        self._steps += 1
        if self._steps % _OFTEN == 0 and time.thread_time() - self._started > self.bounds.compile_seconds:
            raise exceeded(
                "Reading the schema takes more than {} s", "compile_seconds", f"{self.bounds.compile_seconds:g}"
            )

    @property
    def multiples(self) -> int:
        """The sum of those that were taken."""
        return sum(self._multiples)

    def takes_multiple(self, number: int) -> bool:
        """Whether an automaton of one more ``multipleOf`` is within bounds; equal ones share theirs."""
        wanted = self._multiples | {number}
        if sum(wanted) > self.bounds.max_multiple:
            return False
        self._multiples = wanted
        return True

    def lists(self, number: int, size: int) -> bool:
        """Whether so many arrays more may be written out, with so many characters in all; counts them if so."""
        if (
            number > self.bounds.max_branches
            or self._listed + number > _LISTS * self.bounds.max_branches
            or self._listed_size + size > self.bounds.max_grammar_kb * 1024
        ):
            return False
        self._listed += number
        self._listed_size += size
        return True
