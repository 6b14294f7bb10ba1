"""Where in a prompt embeddings stand instead of tokens, and what that means for counting positions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ReadPrompt", "Span", "Spans", "stand_ins"]


@dataclass(frozen=True, slots=True)
class Span:
    """A picture, a part of one, or a sound: ``length`` embeddings from the prompt's index ``start`` on."""

    start: int
    length: int
    positions: int
    """How far it moves the positions of what follows: ``length``, or fewer where positions have more than one axis."""
    held: int
    """Positions that the model's memory then shows for it."""
    chunk: Any
    embeddings: npt.NDArray[np.float32]
    """Of shape ``(length, n_embd)``."""

    @property
    def end(self) -> int:
        return self.start + self.length

    def moved(self, by: int) -> Span:
        return replace(self, start=self.start + by)


class Spans:
    """The spans of one prompt. Indices count tokens and embeddings alike; a span is computed as a whole or not at all."""

    def __init__(self, spans: Sequence[Span] = ()) -> None:
        self._spans = tuple(spans)

    def __bool__(self) -> bool:
        return bool(self._spans)

    def __iter__(self) -> Iterator[Span]:
        return iter(self._spans)

    def at(self, index: int) -> Span | None:
        """The span that starts at ``index``."""
        return next((span for span in self._spans if span.start == index), None)

    def next_start(self, index: int) -> int | None:
        """The start of the first span behind ``index``."""
        return next((span.start for span in self._spans if span.start > index), None)

    def whole(self, index: int) -> int:
        """``index``, or the start of the span that it would cut in two."""
        return next((span.start for span in self._spans if span.start < index < span.end), index)

    def position(self, index: int) -> int:
        """The position of the token at ``index``."""
        return index - sum(span.length - span.positions for span in self._spans if span.end <= index)

    def held(self, index: int) -> int:
        """The highest position, plus one, of a memory that holds what is before ``index``."""
        last = next((span for span in self._spans if span.end == index), None)
        return self.position(index) if last is None else self.position(last.start) + last.held

    def index(self, held: int) -> int:
        """How many tokens a memory holds that shows ``held`` positions; of a span that it holds in part, none."""
        index = held
        for span in self._spans:
            at = self.position(span.start)
            if held <= at:
                break
            if held < at + span.held or (held < at + span.positions and span.held != span.positions):
                return span.start
            index = max(span.end, held + span.end - at - span.positions)
        return index


@dataclass(frozen=True, slots=True)
class ReadPrompt:
    """A prompt as it is computed: token ids, with stand-ins where embeddings belong, and these."""

    tokens: npt.NDArray[np.int32]
    spans: Spans


def stand_ins(digest: bytes, length: int) -> npt.NDArray[np.int32]:
    """Ids that no vocabulary has, in place of embeddings: the same for the same picture, so that prefixes are found by them."""
    drawn = np.frombuffer(hashlib.shake_128(digest).digest(4 * length), dtype=np.uint32)
    return (-1 - (drawn & 0x7FFFFFFE).astype(np.int64)).astype(np.int32)
