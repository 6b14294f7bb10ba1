"""Accounting of KV cells per sequence, parallel to llama.cpp's own, so that free cells are known before they are needed."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CellLedger"]


@dataclass(slots=True, eq=False)
class _Segment:
    """A run of cells shared by ``holders`` sequences."""

    length: int
    holders: int


class CellLedger:
    """Counts distinct cells of sequences that share prefixes.

    A sequence is a list of segments; forking splits the segment in which the shared part ends. ``used`` is what a unified
    cache really holds; :meth:`length` what one sequence attends to.
    """

    def __init__(self) -> None:
        self._segments: dict[int, list[_Segment]] = {}
        self.used = 0

    def __contains__(self, sequence: int) -> bool:
        return sequence in self._segments

    def __len__(self) -> int:
        return len(self._segments)

    def open(self, sequence: int) -> None:
        assert sequence not in self._segments
        self._segments[sequence] = []

    def length(self, sequence: int) -> int:
        return sum(segment.length for segment in self._segments[sequence])

    def grow(self, sequence: int, tokens: int) -> None:
        if tokens <= 0:
            return
        segments = self._segments[sequence]
        if segments and segments[-1].holders == 1:
            segments[-1].length += tokens
        else:
            segments.append(_Segment(tokens, 1))
        self.used += tokens

    def fork(self, source: int, target: int, length: int) -> None:
        """``target`` (open and empty) shares the first ``length`` cells of ``source``."""
        self._split_at(source, length)
        shared, remaining = [], length
        for segment in self._segments[source]:
            if remaining <= 0:
                break
            segment.holders += 1
            shared.append(segment)
            remaining -= segment.length
        assert remaining == 0
        assert not self._segments[target]
        self._segments[target] = shared

    def trim(self, sequence: int, length: int) -> None:
        """``sequence`` keeps its first ``length`` cells."""
        self._split_at(sequence, length)
        kept, remaining = [], length
        for segment in self._segments[sequence]:
            if remaining > 0:
                kept.append(segment)
                remaining -= segment.length
            else:
                self._drop_holder(segment)
        self._segments[sequence] = kept

    def close(self, sequence: int) -> None:
        for segment in self._segments.pop(sequence):
            self._drop_holder(segment)

    def _drop_holder(self, segment: _Segment) -> None:
        segment.holders -= 1
        if segment.holders == 0:
            self.used -= segment.length

    def _split_at(self, sequence: int, length: int) -> None:
        """Splits the segment at ``length``, in every sequence that shares it."""
        position = 0
        for segment in self._segments[sequence]:
            if position < length < position + segment.length:
                tail = _Segment(position + segment.length - length, segment.holders)
                segment.length = length - position
                for segments in self._segments.values():
                    for index, other in enumerate(segments):
                        if other is segment:
                            segments.insert(index + 1, tail)
                            break
                return
            position += segment.length
