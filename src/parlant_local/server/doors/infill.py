"""llama-server's ``/infill``: where an answer ends, and how it is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from parlant_local.messages import ChatChunk, Timings, Usage
from parlant_local.server.shapes.answers.infill import Filled
from parlant_local.server.shapes.infill import InfillRequest

__all__ = ["FilledText", "fields_of"]


class FilledText:
    """One answer as it grows, to where the editor wants it to end."""

    def __init__(self, index: int, body: InfillRequest, clock: Callable[[], float] = time.monotonic) -> None:
        self._index, self._clock = index, clock
        self._indent = body.n_indent or 0
        self._seconds = (body.t_max_predict_ms or 0) / 1000
        self._thrown_away = body.n_predict == 0
        self._stops = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
        self._began: float | None = None
        self._held = ""
        """A line break and the blanks after it, until it is known how far the line is indented."""
        self._pieces: list[str] = []
        self._kind, self._word = "limit", ""
        self._usage, self._timings = Usage(), Timings()
        self._tokens = 0
        self.ended = False

    def feed(self, chunk: ChatChunk) -> str:
        """The text that may be shown now."""
        self._usage, self._timings = chunk.usage or self._usage, chunk.timings or self._timings
        if self.ended:
            return ""
        text = chunk.delta.content
        shown = "" if self._thrown_away else self._shown(text)
        if chunk.delta.content:
            self._tokens += 1
            self._began = self._clock() if self._began is None else self._began
            late = self._seconds and self._clock() - self._began >= self._seconds
            if late and "\n" in text:
                self.ended = True
        if chunk.finish_reason is not None:
            self.ended = True
            shown += "" if self._thrown_away else self._held
            if chunk.finish_reason == "stop":
                # Texts of a template's own end answers, too.
                word = chunk.stopped_by if chunk.stopped_by in self._stops else None
                self._kind, self._word = ("word", word) if word is not None else ("eos", "")
        self._pieces.append(shown)
        return shown

    def piece(self, text: str) -> Filled:
        return {
            "index": self._index,
            "content": text,
            "stop": False,
            "tokens_predicted": self._tokens,
            "tokens_evaluated": self._usage.prompt_tokens,
        }

    @property
    def used(self) -> Usage:
        """As far as it is known: an answer that was ended early has no figures of the engine's."""
        return self._usage if self._usage.completion_tokens else Usage(0, self._tokens)

    def whole(
        self, model: str, prompt_tokens: int, settings: dict[str, Any], *, truncated: bool, cached: int = 0
    ) -> Filled:
        """``prompt_tokens`` and ``cached``: of the prompt, which an answer that was ended early doesn't tell."""
        content = "".join(self._pieces)
        predicted = 0 if self._thrown_away else self.used.completion_tokens
        return {
            "index": self._index,
            "content": content,
            "stop": True,
            "model": model,
            "tokens_predicted": predicted,
            "tokens_evaluated": prompt_tokens,
            "generation_settings": settings,
            "has_new_line": "\n" in content,
            "truncated": truncated,
            "stop_type": self._kind,
            "stopping_word": self._word,
            "tokens_cached": self._usage.cached_tokens or cached,
            "timings": _timings(self._timings, predicted),
        }

    def _shown(self, text: str) -> str:
        if not self._indent:
            return text
        text = self._held + text
        self._held = ""
        shown = []
        first, *lines = text.split("\n")
        shown.append(first)
        for number, line in enumerate(lines):
            blank = len(line) - len(line.lstrip(" \t"))
            if blank == len(line) and number == len(lines) - 1:
                self._held = f"\n{line}"
                break
            if blank < self._indent and line.strip():
                self.ended = True
                break
            shown.append(f"\n{line}")
        return "".join(shown)


def fields_of(answer: Filled, names: list[str] | None) -> dict[str, Any]:
    """The fields asked for, each under the name it was asked by."""
    if names is None:
        return dict(answer)
    found: dict[str, Any] = {}
    for name in names:
        value: Any = answer
        for key in name.split("/"):
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            found[name] = value
    return found


def _timings(timings: Timings, predicted: int) -> dict[str, float]:
    """In milliseconds, as llama-server's."""
    read, read_ms, wrote_ms = timings.prefilled_tokens, 1000 * timings.prefill, 1000 * timings.decode
    return {
        "prompt_n": read,
        "prompt_ms": round(read_ms, 3),
        "prompt_per_token_ms": round(read_ms / read, 3) if read else 0.0,
        "prompt_per_second": round(1000 * read / read_ms, 3) if read_ms else 0.0,
        "predicted_n": predicted,
        "predicted_ms": round(wrote_ms, 3),
        "predicted_per_token_ms": round(wrote_ms / predicted, 3) if predicted else 0.0,
        "predicted_per_second": round(1000 * predicted / wrote_ms, 3) if wrote_ms else 0.0,
    }
