"""Token bytes to text: never a partial UTF-8 character, without the stop texts."""

from __future__ import annotations

import codecs
from collections.abc import Iterable

__all__ = ["TextAssembler", "overlap"]


class TextAssembler:
    """Turns token bytes into text that is safe to deliver.

    Text that may be the beginning of a stop text is held back until that is decided.
    """

    def __init__(self, stops: tuple[str, ...] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = stops
        self._held = ""
        self.stopped_by: str | None = None
        self.rest = ""
        """The text after the stop text in the same piece."""

    def feed(self, data: bytes) -> str:
        if self.stopped_by is not None:
            return ""
        return self._release(self._held + self._decoder.decode(data))

    def finish(self) -> str:
        """The text held back, once the input has ended."""
        if self.stopped_by is not None:
            return ""
        text = self._release(self._held + self._decoder.decode(b"", final=True))
        text, self._held = text + self._held, ""
        return text

    def _release(self, text: str) -> str:
        # The stop text that is complete first, however the text is split; of several, the one that began first.
        first = min(
            ((position, stop) for stop in self._stops if (position := text.find(stop)) >= 0),
            key=lambda found: (found[0] + len(found[1]), found[0]),
            default=None,
        )
        if first is not None:
            position, self.stopped_by = first
            self.rest = text[position + len(self.stopped_by) :]
            self._held = ""
            return text[:position]
        keep = overlap(text, self._stops)
        self._held = text[len(text) - keep :] if keep else ""
        return text[: len(text) - keep]


def overlap(text: str, markers: Iterable[str]) -> int:
    """Length of the longest suffix of ``text`` that is a proper prefix of a marker."""
    longest = 0
    for marker in markers:
        for length in range(min(len(text), len(marker) - 1), longest, -1):
            if text.endswith(marker[:length]):
                longest = length
                break
    return longest
