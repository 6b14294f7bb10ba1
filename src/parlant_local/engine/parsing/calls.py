"""Separates tool calls from content in streamed text."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable

from parlant_local.engine.parsing.formats import CallFormat
from parlant_local.engine.parsing.holdback import earliest, overlap
from parlant_local.engine.parsing.sections import Call, Reader, Section
from parlant_local.messages import Delta, ToolCallDelta

__all__ = ["CallParser", "new_call_id"]

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_CUT = "A tool call was cut off by the token limit."
_MIN_MARK_PREFIX = 2  # a shorter prefix of a mark may be ordinary text


def new_call_id() -> str:
    """Nine letters and digits, which even the strictest template (Mistral's) accepts, so a conversation can change models."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(9))


class AnyName(frozenset[str]):
    """Contains every name, but lists none."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)


class CallParser:
    """Splits an answer into content and calls; the result does not depend on how the text is chunked.

    ``tools``: the names that were offered; None: any name.

    A call is delivered once it is complete and parses. One that does not parse becomes content, with a warning; a truncated
    one is dropped. White space around calls belongs to neither.
    """

    def __init__(
        self,
        form: CallFormat,
        tools: Iterable[str] | None,
        *,
        parallel: bool = True,
        new_id: Callable[[], str] = new_call_id,
    ) -> None:
        self._form = form
        self._tools = AnyName() if tools is None else frozenset(tools)
        self._parallel = parallel
        self._new_id = new_id
        self._buffer = ""
        self._space = ""
        """White space that is content only if text follows."""
        self._reader: Reader | None = None
        """The reader of the section at the start of the buffer; None: the buffer is text."""
        self._retry_at = 0
        """Buffer length at which an unfinished section is parsed again."""
        self._at_start = True
        """Whether JSON without a marker may be a call here."""
        self._emitted_text = False
        self.count = 0
        """Calls found so far."""
        self.warnings: list[str] = []

    def feed(self, text: str) -> list[Delta]:
        self._buffer += text
        return self._advance(final=False)

    def finish(self, *, truncated: bool = False) -> list[Delta]:
        """Flushes what was held back. ``truncated``: the answer was cut off, so an unfinished call is not the model's error."""
        if (
            truncated
            and self._reader is None
            and (begun := overlap(self._buffer, self._form.openers)) > _MIN_MARK_PREFIX
        ):
            self._buffer = self._buffer[:-begun]
            self.warnings.append(_CUT)
        deltas = self._advance(final=True, truncated=truncated)
        if self._space and not self.count:
            deltas.append(Delta(content=self._space))
        self._space = ""
        return deltas

    def _advance(self, *, final: bool, truncated: bool = False) -> list[Delta]:
        deltas: list[Delta] = []
        while self._buffer:
            if self._reader is None:
                if not self._scan_text(deltas, final=final):
                    break
            else:
                if not final and len(self._buffer) < self._retry_at:
                    break
                section = self._reader(self._buffer, final, self._tools)
                if section is None:
                    # Sections are parsed from their start each time: at growing intervals, so that long ones don't take quadratic time.
                    self._retry_at = len(self._buffer) + len(self._buffer) // 16
                    break
                self._retry_at = 0
                self._handle_section(deltas, section, cut=truncated and section.length >= len(self._buffer))
        return deltas

    def _scan_text(self, deltas: list[Delta], *, final: bool) -> bool:
        """Delivers text up to the next opener; True where there is more to do."""
        found = earliest(self._buffer, self._form.openers)
        if self._at_start and self._form.weak and self._at_weak_opener(final=final):
            return self._reader is not None
        if self._at_start and self._at_bare_json(found[0] if found else None, final=final):
            return self._reader is not None
        if found is not None:
            position, opener = found
            self._emit_text(deltas, self._buffer[:position])
            self._buffer = self._buffer[position:]
            self._reader = self._form.openers[opener]
            return True
        keep = 0 if final else overlap(self._buffer, self._form.openers)
        cut = len(self._buffer) - keep
        self._emit_text(deltas, self._buffer[:cut])
        self._buffer = self._buffer[cut:]
        return False

    def _at_weak_opener(self, *, final: bool) -> bool:
        """Whether the text begins with an opener that only counts at the start, or may still do so."""
        stripped = self._buffer.lstrip()
        for opener, reader in self._form.weak.items():
            if stripped.startswith(opener):
                self._buffer, self._reader = stripped, reader
                return True
            if not final and opener.startswith(stripped):
                return True
        return False

    def _at_bare_json(self, opener_at: int | None, *, final: bool) -> bool:
        """Whether the text begins with JSON without a marker, or may still do so."""
        stripped = self._buffer.lstrip()
        if self.count:
            stripped = stripped.lstrip(";, \n\t")
        if not stripped:
            return not final
        start = len(self._buffer) - len(stripped)
        if opener_at is not None and opener_at <= start:
            return False
        if not final and any(opener.startswith(stripped) for opener in self._form.openers):
            return True
        if stripped[0] not in "{[`":
            return False
        self._space += self._buffer[:start]
        self._buffer = stripped
        self._reader = self._form.bare
        return True

    def _handle_section(self, deltas: list[Delta], section: Section, *, cut: bool) -> None:
        raw, self._buffer = self._buffer[: section.length], self._buffer[section.length :]
        bare, self._reader = self._reader is self._form.bare, None
        if section.calls:
            self._space = ""
            self._at_start = True
            for call in section.calls:
                self._emit_call(deltas, call)
            return
        if cut and section.problem and not bare:
            self.warnings.append(_CUT)  # the part that arrived is marks, not content
            return
        if section.problem and not cut:
            self.warnings.append(f"A tool call could not be parsed ({section.problem}); it is treated as content.")
        self._emit_text(deltas, raw if section.text is None else section.text)
        self._at_start = False

    def _emit_call(self, deltas: list[Delta], call: Call) -> None:
        name, arguments = call
        if self.count and not self._parallel:
            self.warnings.append(f"A second call (to {name!r}) was dropped: parallel_tool_calls is off.")
            return
        if name not in self._tools:
            self.warnings.append(f"The model called {name!r}, which is not among the tools that were offered.")
        index, self.count = self.count, self.count + 1
        deltas.append(Delta(tool_calls=(ToolCallDelta(index, id=self._new_id(), name=name),)))
        deltas.append(Delta(tool_calls=(ToolCallDelta(index, arguments=arguments),)))

    def _emit_text(self, deltas: list[Delta], text: str) -> None:
        """Delivers content; trailing white space is held until more text follows."""
        if not text:
            return
        stripped = text.rstrip()
        if not stripped:
            self._space += text
            return
        if self.count and not self._emitted_text:
            self._space, stripped = "", stripped.lstrip()
        deltas.append(Delta(content=self._space + stripped if self._space else stripped))
        self._space = text[len(text.rstrip()) :]
        self._emitted_text = True
        self._at_start = False
