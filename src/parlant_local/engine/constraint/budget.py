"""What reading one schema may cost: its bounds, and what was spent of them."""

from __future__ import annotations

import time

from parlant_local.engine.constraint.bounds import exceeded
from parlant_local.settings.constraints import ConstraintSettings

__all__ = ["Budget"]

_OFTEN = 64  # steps between two looks at the clock


class Budget:
    """Spent by everything that walks a schema. The clock is this thread's own: a busy machine refuses nobody."""

    def __init__(self, bounds: ConstraintSettings) -> None:
        self.bounds = bounds
        self._started = time.thread_time()
        self._parts = 0
        self._steps = 0
        self._multiples: set[int] = set()

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
                "Reading the schema takes more than {} s", "compile_seconds", float(self.bounds.compile_seconds)
            )

    def multiple(self, number: int) -> None:
        """One more ``multipleOf``; equal ones share their automaton."""
        self._multiples.add(number)
        if sum(self._multiples) > self.bounds.max_multiple:
            raise exceeded(
                "The schema's multipleOf are more than {} together",
                "max_multiple",
                self.bounds.max_multiple,
                keyword="multipleOf",
            )
