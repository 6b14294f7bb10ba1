"""Cells on demand: a context starts with few, and gets more when its requests need them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from parlant_local.engine.admission import Start
from parlant_local.engine.cells import CellLedger
from parlant_local.engine.context import Context
from parlant_local.engine.prefixes import PrefixStore
from parlant_local.engine.sequence import Sequence
from parlant_local.errors import InsufficientMemoryError
from parlant_local.observability import Logger

__all__ = ["CellGrowth", "MissingMemory"]

MissingMemory = Callable[[int], int]
"""Given a number of cells, the bytes that are missing for a context of that size; 0 where there is room."""

_MULTIPLE = 256  # llama.cpp rounds cells up to this
_RETRY_SECONDS = 30.0


class CellGrowth:
    """Doubles a context's cells between two steps. Used from the engine's thread alone.

    Admission counts on ``limit`` cells, so what a request may need at worst costs no memory before it is needed. Where memory
    refuses more, ``limit`` is what there is for half a minute: requests then wait for one another.
    """

    def __init__(
        self, context: Context, ledger: CellLedger, store: PrefixStore, missing: MissingMemory, logger: Logger
    ) -> None:
        self._context = context
        self._ledger = ledger
        self._store = store
        self._missing = missing
        self._logger = logger
        self._most = max(context.layout.max_cells, context.layout.cells)
        self._refused_until = 0.0

    @property
    def limit(self) -> int:
        return self._context.cells if time.monotonic() < self._refused_until else self._most

    def has_room_for(self, start: Start, in_batch: int) -> bool:
        """Whether there are cells for a request's tokens so far, and for the state that it starts from; makes them."""
        size = start.sequence.size
        if not self._context.layout.unified:
            return self._reach(size * self._context.layout.n_seq)
        shared = start.length if start.live is not None else 0
        restored = start.retained.tokens.size if start.retained is not None else 0
        needed = self._ledger.used + in_batch - shared
        return self._reach(needed + max(size, restored)) or (restored > size and self._reach(needed + size))

    def make_room(self, batch: Iterable[tuple[Sequence, int, int]]) -> bool:
        """Makes cells for the tokens of ``batch``; False where memory refuses them."""
        layout = self._context.layout
        if layout.unified:
            return self._reach(self._ledger.used + sum(count for _, count, _ in batch))
        longest = max((sequence.computed + count for sequence, count, _ in batch), default=0)
        return self._reach(longest * layout.n_seq)

    def shortage(self, sequence: Sequence) -> InsufficientMemoryError:
        layout, cells = self._context.layout, self._context.cells
        room = cells if layout.unified else cells // layout.n_seq
        return InsufficientMemoryError(
            f"A request of {sequence.size} tokens needs more than the {room} cells of the KV cache, and memory for more "
            "is not there.",
            needed=sequence.size,
            available=room,
            hint="Lower engine.n_ctx or unload other models; engine.memory_mb is what loaded models may take together.",
        )

    def _reach(self, cells: int) -> bool:
        have = self._context.cells
        if cells <= have:
            return True
        if cells > self.limit:
            return False
        layout = self._context.layout
        multiple = _MULTIPLE if layout.unified else _MULTIPLE * layout.n_seq
        least = -(-cells // multiple) * multiple
        for wanted in dict.fromkeys((min(self._most, max(2 * have, least)), min(self._most, least))):
            if self._grow(wanted):
                self._logger.info(f"The KV cache has grown from {have} to {wanted} cells.")
                return True
        self._refused_until = time.monotonic() + _RETRY_SECONDS
        self._logger.warning(
            f"The KV cache stays at {have} cells: there is no memory for {least}. Requests wait for one another."
        )
        return False

    def _grow(self, cells: int) -> bool:
        if (missing := self._missing(cells)) > 0:
            self._store.release(missing)  # what speeds requests up goes before requests that can't run
            if self._missing(cells) > 0:
                return False
        return self._context.resize(cells, keep=self._ledger.used > 0)
