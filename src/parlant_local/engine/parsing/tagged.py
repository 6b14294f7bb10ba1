"""Parses arguments that are each between marks, one after the other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from parlant_local.engine.parsing.braces import read_braces
from parlant_local.engine.parsing.elements import read_elements
from parlant_local.engine.parsing.json_text import value_end
from parlant_local.engine.parsing.literals import Literal, MoreNeeded, partial, skip_space
from parlant_local.engine.parsing.syntax import Kind, TaggedBody
from parlant_local.engine.parsing.values import property_schema, typed_value
from parlant_local.messages import json_value

__all__ = ["TaggedArguments", "TaggedReader"]

_MAX_KEY = 256


@dataclass(slots=True)
class TaggedArguments:
    """Arguments read so far, and where the next one may begin."""

    index: int
    found: dict[str, Any] = field(default_factory=dict)
    ended: bool = False
    """No further argument begins there."""


class TaggedReader:
    """Parses the arguments of one syntax. ``following``: marks that may follow the last argument."""

    def __init__(self, body: TaggedBody, following: tuple[Literal, ...]) -> None:
        self._body = body
        self._open = Literal(body.open)
        self._close = Literal(body.close)
        self._between = Literal(body.between)
        self._following = following
        # Where the marks don't distinguish types, the string's mark serves for all.
        self._assigns: dict[str, Kind | None] = {}
        for kind, text in body.assign.items():
            text = text.removesuffix(body.quote) if kind == "string" and body.quote else text
            self._assigns[text] = kind if body.typed and text not in self._assigns else None
        if body.typed:
            self._assigns = {
                text: ("string" if text == body.assign["string"] else kind) for text, kind in self._assigns.items()
            }

    def advance(self, text: str, state: TaggedArguments, parameters: Mapping[str, Any], *, final: bool) -> None:
        """Parses as far as the text goes. Raises :class:`MoreNeeded`; ``state`` keeps the complete arguments."""
        while not state.ended:
            index = skip_space(text, state.index)
            if state.found and self._between:
                index = self._after(self._between, text, index)
            at = self._key(text, index)
            if at is None:
                state.ended = True
                return
            key, index = at
            kind, index = self._assigned(text, index)
            value, index = self._value(text, index, key, kind, parameters, final=final)
            state.found[key] = value
            state.index = index

    @staticmethod
    def _after(literal: Literal, text: str, index: int) -> int:
        found = literal.match(text, index)
        return index if found is None else skip_space(text, found.end)

    def _key(self, text: str, index: int) -> tuple[str, int] | None:
        """The key that begins at ``index``, and the index after it; None: no argument begins here."""
        if index >= len(text):
            raise MoreNeeded
        opened = self._open.match(text, index)
        if opened is None:
            return None
        if self._body.open and self._ended(text, index):
            return None
        index = opened.end
        heads = [Literal(assign).head for assign in self._assigns]
        end = index
        limit = min(len(text), index + _MAX_KEY)
        while end < limit and not any(text.startswith(head, end) for head in heads):
            if not self._body.open and not (text[end].isalnum() or text[end] in "_-.$ "):
                return None
            if text[end] in "\n" and end > index:
                break
            end += 1
        if end >= len(text):
            raise MoreNeeded
        key = text[index:end].strip()
        return (key, end) if key and end < limit and "\n" not in key and not key.startswith("/") else None

    def _ended(self, text: str, index: int) -> bool:
        """Whether an end mark is here that begins like an argument's mark."""
        undecided = False
        for literal in self._following:
            try:
                if literal and literal.match(text, index) is not None:
                    return True
            except MoreNeeded:
                undecided = True
        if undecided:
            raise MoreNeeded
        return False

    def _assigned(self, text: str, index: int) -> tuple[Kind | None, int]:
        undecided = False
        for assign in sorted(self._assigns, key=len, reverse=True):
            try:
                found = Literal(assign).match(text, index)
            except MoreNeeded:
                undecided = True
                continue
            if found is not None:
                space = assign[len(assign.rstrip()) :]
                end = found.end + len(space) if space and text.startswith(space, found.end) else found.end
                if space and end == found.end and found.end >= len(text):
                    raise MoreNeeded
                return self._assigns[assign], end
        if undecided:
            raise MoreNeeded
        return None, index + 1

    # -- values -------------------------------------------------------------------------------------------------------

    def _value(
        self, text: str, index: int, key: str, kind: Kind | None, parameters: Mapping[str, Any], *, final: bool
    ) -> tuple[Any, int]:
        schema = property_schema(parameters, key)
        if self._body.quote:
            return self._quoted(text, index, schema, parameters, final=final)
        if self._body.nested == "elements":
            return read_elements(text, index, key, schema, parameters, self._body, final=final)
        end, after = self._raw_end(text, index, key, final=final)
        raw = self._unwrapped(text[index:end])
        return typed_value(raw, schema, parameters, kind), after

    def _unwrapped(self, raw: str) -> str:
        before, after = self._body.wrap
        if before and raw.startswith(before) and raw.endswith(after) and len(raw) >= len(before) + len(after):
            return raw[len(before) : len(raw) - len(after)]
        return raw

    def _raw_end(self, text: str, index: int, key: str, *, final: bool) -> tuple[int, int]:
        """The end of an unquoted value, and the index after its closing mark.

        The mark only counts where it is followed by something that may follow it, so that a value can quote it.
        """
        space = self._body.close[: len(self._body.close) - len(self._body.close.lstrip())]
        first: tuple[int, int] | None = None
        search = index
        head = self._close.head
        before, after = self._body.wrap
        if before and text.startswith(before, index):
            inner = text.find(after + self._body.close.strip(), index)
            search = inner + len(after) if inner >= 0 else index
        while (at := text.find(head, search)) >= 0:
            search = at + 1
            closed = self._close.match(text, at, key=key)
            if closed is None:
                continue
            end = at - len(space) if space and text.endswith(space, index, at) else at
            first = first or (end, closed.end)
            if self._is_followed(text, closed.end, final=final):
                return end, closed.end
        if not final:
            raise MoreNeeded
        if first is not None:
            return first
        raise Unterminated(f"the value of {key!r} is not terminated")

    def _is_followed(self, text: str, index: int, *, final: bool) -> bool:
        index = skip_space(text, index)
        if index >= len(text):
            if final:
                return True
            raise MoreNeeded
        try:
            return partial(text, index, self._heads())
        except MoreNeeded:
            if final:
                return True
            raise

    def _heads(self) -> Iterator[str]:
        for literal in (self._open, self._between, *self._following):
            if literal.head:
                yield literal.head
        if not any(literal.head for literal in self._following):
            yield ""

    def _quoted(
        self, text: str, index: int, schema: Any, parameters: Mapping[str, Any], *, final: bool
    ) -> tuple[Any, int]:
        index = skip_space(text, index)
        if index >= len(text):
            raise MoreNeeded
        quote = self._body.quote
        if self._body.nested == "braces" and text[index] in "{[":
            return read_braces(text, index, quote)
        if text[index] == '"' and (quote == '"' or not text.startswith(quote, index)):
            end = _string_end(text, index)
            return unescaped(text[index:end]), end
        if text.startswith(quote, index):
            return self._quoted_string(text, index + len(quote), final=final)
        if text[index] in "{[":
            found = value_end(text, index)
            if found is None:
                raise MoreNeeded
            return typed_value(text[index:found], schema, parameters), found
        if quote.startswith(text[index:]):
            raise MoreNeeded
        end = index
        while end < len(text) and text[end] not in ",)}]\n":
            end += 1
        if end >= len(text) and not final:
            raise MoreNeeded
        return typed_value(text[index:end].strip(), schema, parameters), end

    def _quoted_string(self, text: str, index: int, *, final: bool) -> tuple[str, int]:
        """Up to the quote that the next argument or the end follows: templates don't escape inner quotes."""
        quote = self._body.quote
        first = -1
        search = index
        while (at := text.find(quote, search)) >= 0:
            first = at if first < 0 else first
            after = skip_space(text, at + len(quote))
            if after >= len(text) and not final:
                raise MoreNeeded
            if len(quote) > 1 or after >= len(text) or self._argument_or_end(text, after, final=final):
                return self._as_python(text[index:at]), at + len(quote)
            search = at + 1
        if not final:
            raise MoreNeeded
        if first >= 0:
            return self._as_python(text[index:first]), first + len(quote)
        raise Unterminated("a string is not terminated")

    def _as_python(self, inside: str) -> str:
        """What was written between quotes: models escape as Python does, templates don't escape at all."""
        if "\\" not in inside or self._body.nested != "python":
            return inside
        read = _python_text(f"{self._body.quote}{inside}{self._body.quote}")
        return inside if read is None else read

    def _argument_or_end(self, text: str, index: int, *, final: bool) -> bool:
        for literal in self._following:
            try:
                if literal.match(text, index) is not None:
                    return True
            except MoreNeeded:
                if final:
                    return True
                raise
        if self._between.head and text.startswith(self._between.head, index):
            try:
                return self._key(text, skip_space(text, index + len(self._between.head))) is not None
            except MoreNeeded:
                if final:
                    return True
                raise
        return False


class Unterminated(ValueError):  # becomes a warning of the call's reader
    """An unterminated value."""


def _string_end(text: str, index: int) -> int:
    index += 1
    while index < len(text):
        if text[index] == "\\":
            index += 1
        elif text[index] == '"':
            return index + 1
        index += 1
    raise MoreNeeded


def unescaped(text: str) -> str:
    """The value of a double-quoted string in JSON or Python notation."""
    try:
        return str(json_value(text))
    except ValueError:
        read = _python_text(text)
        return text[1:-1] if read is None else read


_NO_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\[^\\'\"abfnrtv\n0-7xuUN]")
"""A backslash that Python takes as it stands, and warns about: a path's, not an escape's."""


def _python_text(literal: str) -> str | None:
    """A string as Python writes it; None where it is none."""
    if _NO_ESCAPE.search(literal):
        return None
    try:
        return str(ast.literal_eval(literal))
    except (ValueError, SyntaxError):
        return None
