"""The cost of reading one schema: limits, what was spent, and the keywords that are left to validation."""

from __future__ import annotations

import time

from parlant_local.engine.constraint.bounds import exceeded
from parlant_local.settings.constraints import ConstraintSettings

__all__ = ["Reading"]

_STEPS_PER_CLOCK_CHECK = 64  # reading the clock is not free
_MAX_FULL_LISTS = 4  # times max_branches, enumerated in one schema


class Reading:
    """Shared by everything that walks the schema. Measures thread time, so a busy machine causes no refusals."""

    def __init__(self, bounds: ConstraintSettings) -> None:
        self.bounds = bounds
        self.unbound: set[str] = set()
        """Keywords that the decoder does not enforce, or not fully: answers have to be validated against them."""
        self._started = time.thread_time()
        self._parts = 0
        self._steps = 0
        self._multiples: set[int] = set()
        self._enumerated = 0
        self._enumerated_size = 0

    def part(self) -> None:
        """Counts a subschema to be compiled."""
        self._parts += 1
        if self._parts > self.bounds.max_parts:
            raise exceeded(
                "The schema has more than {} parts, its references followed", "max_parts", self.bounds.max_parts
            )
        self.step()

    def step(self) -> None:
        """Counts a unit of work."""
        self._steps += 1
        if (
            self._steps % _STEPS_PER_CLOCK_CHECK == 0
            and time.thread_time() - self._started > self.bounds.compile_seconds
        ):
            raise exceeded(
                "Reading the schema takes more than {} s", "compile_seconds", f"{self.bounds.compile_seconds:g}"
            )

    @property
    def multiples(self) -> int:
        """Automaton states reserved for ``multipleOf``."""
        return sum(self._multiples)

    def reserve_multiple(self, number: int) -> bool:
        """Reserves the automaton of one more ``multipleOf``; False where it exceeds the limit. Equal ones share theirs."""
        wanted = self._multiples | {number}
        if sum(wanted) > self.bounds.max_multiple:
            return False
        self._multiples = wanted
        return True

    def may_enumerate(self, number: int, size: int) -> bool:
        """Reserves ``number`` more enumerated arrays of ``size`` characters in all; False where they exceed the limits."""
        if (
            number > self.bounds.max_branches
            or self._enumerated + number > _MAX_FULL_LISTS * self.bounds.max_branches
            or self._enumerated_size + size > self.bounds.max_grammar_kb * 1024
        ):
            return False
        self._enumerated += number
        self._enumerated_size += size
        return True
