"""Tool calls told from content, in text that comes in pieces."""

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
_BEGUN = 2  # letters of a mark that may be text all the same


def new_call_id() -> str:
    """Nine letters and digits: the strictest template (Mistral's) takes it, so a conversation can change models."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(9))


class AnyName(frozenset[str]):
    """Every name, of which none can be listed."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)


class CallParser:
    """Reads an answer in which calls may stand; gives content and calls, the same whatever pieces it comes in.

    ``tools``: the names that were offered; None: any name will do.

    A call is delivered when it is whole and readable. One that is not becomes content, with a warning; one that was cut is left out. White space around
    calls belongs to neither.
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
        """Reads the section that the buffer begins with; None: the buffer is text."""
        self._retry_at = 0
        """Length of the buffer from which reading an unfinished section is worth another try."""
        self._at_start = True
        """Whether JSON without a marker may stand here."""
        self._said_something = False
        self.count = 0
        """Calls found so far."""
        self.warnings: list[str] = []

    def feed(self, text: str) -> list[Delta]:
        self._buffer += text
        return self._advance(final=False)

    def finish(self, *, truncated: bool = False) -> list[Delta]:
        """What was held back. ``truncated``: the answer was cut, so an unfinished call is no fault of the model."""
        if truncated and self._reader is None and (begun := overlap(self._buffer, self._form.openers)) > _BEGUN:
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
                if not self._text(deltas, final=final):
                    break
            else:
                if not final and len(self._buffer) < self._retry_at:
                    break
                section = self._reader(self._buffer, final, self._tools)
                if section is None:
                    # Sections are read from their beginning: at growing distances, so that long ones don't cost their square.
                    self._retry_at = len(self._buffer) + len(self._buffer) // 16
                    break
                self._retry_at = 0
                self._section(deltas, section, cut=truncated and section.length >= len(self._buffer))
        return deltas

    def _text(self, deltas: list[Delta], *, final: bool) -> bool:
        """Delivers text up to the next opener; whether there is more to do."""
        found = earliest(self._buffer, self._form.openers)
        if self._at_start and self._form.weak and self._weak_here(final=final):
            return self._reader is not None
        if self._at_start and self._bare_here(found[0] if found else None, final=final):
            return self._reader is not None
        if found is not None:
            position, opener = found
            self._say(deltas, self._buffer[:position])
            self._buffer = self._buffer[position:]
            self._reader = self._form.openers[opener]
            return True
        keep = 0 if final else overlap(self._buffer, self._form.openers)
        cut = len(self._buffer) - keep
        self._say(deltas, self._buffer[:cut])
        self._buffer = self._buffer[cut:]
        return False

    def _weak_here(self, *, final: bool) -> bool:
        """Whether the text begins with an opener that counts here only, or may do so yet."""
        stripped = self._buffer.lstrip()
        for opener, reader in self._form.weak.items():
            if stripped.startswith(opener):
                self._buffer, self._reader = stripped, reader
                return True
            if not final and opener.startswith(stripped):
                return True
        return False

    def _bare_here(self, opener_at: int | None, *, final: bool) -> bool:
        """Whether the text begins with JSON that no marker announces, or may do so yet."""
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

    def _section(self, deltas: list[Delta], section: Section, *, cut: bool) -> None:
        raw, self._buffer = self._buffer[: section.length], self._buffer[section.length :]
        bare, self._reader = self._reader is self._form.bare, None
        if section.calls:
            self._space = ""
            self._at_start = True
            for call in section.calls:
                self._call(deltas, call)
            return
        if cut and section.problem and not bare:
            self.warnings.append(_CUT)  # what there was of it are marks, not content
            return
        if section.problem and not cut:
            self.warnings.append(f"A tool call could not be read ({section.problem}); it is content.")
        self._say(deltas, raw if section.text is None else section.text)
        self._at_start = False

    def _call(self, deltas: list[Delta], call: Call) -> None:
        name, arguments = call
        if self.count and not self._parallel:
            self.warnings.append(f"A second call (to {name!r}) was dropped: parallel_tool_calls is off.")
            return
        if name not in self._tools:
            self.warnings.append(f"The model called {name!r}, which is not among the tools it was given.")
        index, self.count = self.count, self.count + 1
        deltas.append(Delta(tool_calls=(ToolCallDelta(index, id=self._new_id(), name=name),)))
        deltas.append(Delta(tool_calls=(ToolCallDelta(index, arguments=arguments),)))

    def _say(self, deltas: list[Delta], text: str) -> None:
        """Delivers content; white space at its end waits for what follows."""
        if not text:
            return
        stripped = text.rstrip()
        if not stripped:
            self._space += text
            return
        if self.count and not self._said_something:
            self._space, stripped = "", stripped.lstrip()
        deltas.append(Delta(content=self._space + stripped if self._space else stripped))
        self._space = text[len(text.rstrip()) :]
        self._said_something = True
        self._at_start = False
