"""Parses calls in a template's own syntax."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from parlant_local.engine.parsing.json_calls import BareJsonReader, JsonCallReader, read_bare_json
from parlant_local.engine.parsing.json_shapes import call_finder, first_keys
from parlant_local.engine.parsing.json_text import decode_lenient, dump, value_end
from parlant_local.engine.parsing.literals import Found, Literal, MoreNeeded, skip_space
from parlant_local.engine.parsing.sections import Call, Reader, Section
from parlant_local.engine.parsing.syntax import CallSyntax, JsonCalls, TaggedBody
from parlant_local.engine.parsing.tagged import TaggedArguments, TaggedReader

__all__ = ["SyntaxReader", "bare_reader", "syntax_reader"]

Parameters = Mapping[str, Mapping[str, Any]]
"""The JSON schema of each tool's arguments, by name."""


class SyntaxReader:
    """Parses a section of calls whose names are outside the JSON."""

    def __init__(self, syntax: CallSyntax, parameters: Parameters) -> None:
        self.syntax = syntax
        self.parameters = parameters
        self.first = Literal(syntax.first)
        self.again = Literal(syntax.again or "")
        self.last = Literal(syntax.last)
        # Each call is a section of its own: the next call is found by its opener.
        self._reopens = self.again.parts == (*self.last.parts, *self.first.parts)
        shared = [one for one, other in zip(self.last.parts, self.again.parts, strict=False) if one == other]
        same = self.last.parts[: len(shared)] == self.again.parts[: len(shared)]
        # What ends a call, whatever follows.
        self._closing = Literal(" ".join(shared)) if same else Literal("")
        following = tuple(literal for literal in (self.last, self.again) if literal)
        self.tagged = TaggedReader(syntax.body, following) if isinstance(syntax.body, TaggedBody) else None

    def __call__(self, text: str, final: bool, names: Collection[str]) -> Section | None:
        calls: list[Call] = []
        index = 0
        try:
            found = self.first.match(text, 0, names)
            if found is None or (self.syntax.weak and found.name not in names):
                return self._no_call(len(self.syntax.opener), "its name is missing")
            while found is not None:
                index, arguments = self._arguments(text, found, final)
                calls.append((found.name, arguments))
                found = None if self._reopens else self._next(text, index, names, final)
            return Section(self.last.skip_available(text, index, final=final), tuple(calls))
        except MoreNeeded:
            if not final:
                return None
            return Section(len(text), tuple(calls)) if calls else self._no_call(len(text), "it is not terminated")
        except ValueError as error:
            return Section(index, tuple(calls)) if calls else self._no_call(len(self.syntax.opener), str(error))

    def _no_call(self, length: int, problem: str) -> Section:
        """Plain text; without a warning where the opener is an ordinary word."""
        return Section(max(length, 1), problem="" if self.syntax.weak else problem)

    def _next(self, text: str, index: int, names: Collection[str], final: bool) -> Found | None:
        if not self.again:
            return None
        try:
            return self.again.match(text, index, names)
        except MoreNeeded:
            if final or self._closed(text, index):
                return None
            raise

    def _closed(self, text: str, index: int) -> bool:
        """Whether the calls certainly end here: the text can't become the mark of another one."""
        shared = 0
        for one, other in zip(self.again.parts, self.last.parts, strict=False):
            if one != other:
                break
            shared += 1
        if shared == len(self.last.parts):
            return False
        try:
            return self.last.match(text, index) is not None
        except MoreNeeded:
            return False

    def _ends(self, text: str, index: int, *, final: bool) -> bool:
        """Whether an end mark is here; a name without arguments and end mark is not a call."""
        ends = [self._closing] if self._closing else [literal for literal in (self.last, self.again) if literal]
        waiting = False
        for literal in ends:
            try:
                if literal.match(text, index) is not None:
                    return True
            except MoreNeeded:
                waiting = True
        if waiting and not final:
            raise MoreNeeded
        return not ends or (waiting and index < len(text))

    def _arguments(self, text: str, found: Found, final: bool) -> tuple[int, str]:
        if self.tagged is None:
            return json_arguments(text, found.end)
        state = TaggedArguments(found.end)
        try:
            self.tagged.advance(text, state, self.parameters.get(found.name, {}), final=final)
        except MoreNeeded:
            if not final or skip_space(text, state.index) < len(text):
                raise
        if not state.found and not self._ends(text, skip_space(text, state.index), final=final):
            raise ValueError("neither arguments nor its end follow")
        return state.index, dump(state.found)


def json_arguments(text: str, start: int) -> tuple[int, str]:
    """The index after the object that begins at ``start``, and the object as JSON text."""
    start = skip_space(text, start)
    if start >= len(text):
        raise MoreNeeded
    if text[start] != "{":
        raise ValueError("its arguments are missing")
    end = value_end(text, start)
    if end is None:
        raise MoreNeeded
    arguments = decode_lenient(text[start:end])
    if not isinstance(arguments, Mapping):
        raise ValueError("its arguments are not a JSON object")
    return end, dump(arguments)


def syntax_reader(syntax: CallSyntax, parameters: Parameters) -> Reader:
    """The reader of sections that begin with the syntax's opener."""
    return _json_reader(syntax, syntax.body) if isinstance(syntax.body, JsonCalls) else SyntaxReader(syntax, parameters)


def bare_reader(syntax: CallSyntax) -> Reader:
    """What reads calls in JSON that came without their marks."""
    if not isinstance(syntax.body, JsonCalls) or syntax.body.by_name:
        return read_bare_json
    return BareJsonReader(call_finder(syntax.body), read_bare_json.keys | first_keys(syntax.body))


def _json_reader(syntax: CallSyntax, body: JsonCalls) -> Reader:
    first = syntax.first.rstrip()
    opening = Literal(first.removesuffix("[") if body.listed else first)
    last = syntax.last.strip()
    parts = Literal(last.removeprefix("]") if body.listed else last).parts
    inner = JsonCallReader("", parts[0] if parts else "", call_finder(body))
    rest = Literal(" ".join(parts[1:]))

    def read(text: str, final: bool, names: Collection[str]) -> Section | None:
        try:
            found = opening.match(text, 0)
        except MoreNeeded:
            return Section(len(text), problem="it contains no call") if final else None
        if found is None:
            return Section(max(len(syntax.opener), 1))
        section = inner(text[found.end :], final, names)
        if section is None:
            return None
        if syntax.weak and any(name not in names for name, _ in section.calls):
            return Section(max(len(syntax.opener), 1))
        end = found.end + section.length
        return replace(section, length=rest.skip_available(text, end, final=True) if section.calls else end)

    return read
