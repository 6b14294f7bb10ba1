"""Prompt prefixes retained as sequence states in host memory: found by their tokens, bounded in bytes, LRU."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["PrefixStore", "RetainedPrefix", "common_length"]

Tokens = npt.NDArray[np.int32]
State = npt.NDArray[np.uint8]


def common_length(one: Tokens, other: Tokens) -> int:
    """Length of the common prefix, in tokens."""
    n = min(one.size, other.size)
    if n == 0:
        return 0
    different = one[:n] != other[:n]
    first = int(different.argmax())
    return first if different[first] else n


@dataclass(slots=True, eq=False)
class RetainedPrefix:
    """A sequence's state after ``tokens``. With ``read`` it may be on disk only, until it is needed."""

    tokens: Tokens
    group: str
    session: str | None
    state: State | None
    static: bool = False
    """Seen in two or more sessions, so it is not one customer's text."""
    read: Callable[[], State | None] | None = None
    used: float = field(default_factory=time.monotonic)

    @property
    def size(self) -> int:
        """Bytes of host memory."""
        return 0 if self.state is None else self.state.nbytes


class PrefixStore:
    """Retained prefixes of one engine: one per group and session, and static ones."""

    def __init__(self, budget: int, *, trims: bool, min_tokens: int) -> None:
        self._budget = budget
        self._trims = trims
        self._min_tokens = min_tokens
        self._entries: list[RetainedPrefix] = []
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[RetainedPrefix]:
        return iter(self._entries)

    @property
    def size(self) -> int:
        return sum(entry.size for entry in self._entries)

    def find(
        self, prompt: Tokens, whole: Callable[[int], int] = lambda length: length
    ) -> tuple[RetainedPrefix, int] | None:
        """The entry that covers most of ``prompt``, and how many tokens: fewer than all, since the last must be computed.

        ``whole`` shortens a length that would cut embeddings in two. Where states can't be trimmed, only whole entries count.
        """
        best: tuple[RetainedPrefix, int] | None = None
        limit = prompt.size - 1
        for entry in self._entries:
            length = whole(min(common_length(entry.tokens, prompt), limit))
            if not self._trims and length < entry.tokens.size:
                continue
            if length < self._min_tokens or (best is not None and length <= best[1]):
                continue
            best = entry, length
        return best

    def covers(self, tokens: Tokens, share: float = 0.9) -> bool:
        """Whether a retained entry already covers this share of ``tokens``."""
        found = self.find(tokens)
        return found is not None and found[1] >= share * tokens.size

    def touch(self, entry: RetainedPrefix) -> None:
        entry.used = time.monotonic()

    def load(self, entry: RetainedPrefix) -> State | None:
        """The state of an entry, read from disk if need be; None (and the entry is removed) where that failed."""
        if entry.state is None and entry.read is not None:
            entry.state = entry.read()
            if entry.state is not None:
                self._evict(keep=entry)
        if entry.state is None:
            self.remove(entry)
        return entry.state

    def add(self, entry: RetainedPrefix) -> bool:
        """Adds an entry, replacing the one of its group and session (static ones stay); False where it is too short or too large."""
        if entry.tokens.size < self._min_tokens or entry.size > self._budget:
            return False
        for other in list(self._entries):
            same_owner = (other.group, other.session) == (entry.group, entry.session) and entry.group
            contained = common_length(other.tokens, entry.tokens) == other.tokens.size
            # A group may have several static prefixes, one per agent for example; those from disk have no session.
            if not other.static:
                replaced = (same_owner and not entry.static) or (contained and self._trims)
            else:
                replaced = entry.static and contained and (self._trims or other.tokens.size == entry.tokens.size)
            if replaced:
                self._entries.remove(other)
        self._entries.append(entry)
        self._evict(keep=entry)
        return True

    def remove(self, entry: RetainedPrefix) -> None:
        if entry in self._entries:
            self._entries.remove(entry)

    def clear(self) -> None:
        self._entries.clear()

    def release(self, size: int) -> None:
        """Frees ``size`` bytes of host memory, or all that there are."""
        self._evict(None, self.size - size)

    def _evict(self, keep: RetainedPrefix | None, budget: int | None = None) -> None:
        """Evicts the least recently used first; an entry that is also on disk only frees its memory."""
        size = self.size
        budget = self._budget if budget is None else budget
        for entry in sorted(self._entries, key=lambda entry: entry.used):
            if size <= budget:
                return
            if entry is keep or entry.state is None:
                continue
            size -= entry.size
            self.evicted += 1
            if entry.read is not None:
                entry.state = None
            else:
                self._entries.remove(entry)


def as_tokens(values: Sequence[int] | Tokens) -> Tokens:
    return np.asarray(values, dtype=np.int32)
