"""Streams one constrained call in a template's own syntax."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from parlant_local.engine.parsing.calls import new_call_id
from parlant_local.engine.parsing.json_text import ValueEnd, dump
from parlant_local.engine.parsing.literals import MoreNeeded
from parlant_local.engine.parsing.reading import Parameters, SyntaxReader
from parlant_local.engine.parsing.syntax import ARGUMENTS, ID, INDEX, NAME, CallSyntax, JsonCalls
from parlant_local.engine.parsing.tagged import TaggedArguments
from parlant_local.messages import Delta, ToolCallDelta

__all__ = ["CUT", "BoundSyntaxCalls"]

CUT = "The tool call was cut off by the token limit."


class BoundSyntaxCalls:
    """JSON arguments are delivered as they are generated, others one by one once complete."""

    def __init__(self, syntax: CallSyntax, parameters: Parameters, *, new_id: Callable[[], str] = new_call_id) -> None:
        self._reader = SyntaxReader(syntax, parameters)
        self._head = _json_head(syntax.body) if isinstance(syntax.body, JsonCalls) else None
        self._new_id = new_id
        self._text = syntax.begun
        self._name = ""
        self._state: TaggedArguments | None = None
        self._start = 0
        """Where JSON arguments begin in the text."""
        self._end = ValueEnd()
        self._delivered_count = 0
        """The number of arguments delivered."""
        self._done = False
        self.count = 0
        self.warnings: list[str] = []

    def feed(self, text: str) -> list[Delta]:
        self._text += text
        if self._done:
            return []
        deltas = [] if self.count else self._begin()
        if not self.count:
            return deltas
        return deltas + (self._tagged(final=False) if self._state is not None else self._json())

    def finish(self, *, truncated: bool = False) -> list[Delta]:
        if self._done:
            return []
        if not self.count or truncated:
            # A partial call is not content: what arrived of it is marks.
            self.warnings.append(CUT if truncated else "The answer ended before the tool call did.")
            return []
        return self._tagged(final=True) if self._state is not None else []

    def _begin(self) -> list[Delta]:
        try:
            found = self._reader.first.match(self._text, 0, tuple(self._reader.parameters))
        except MoreNeeded:
            return []
        if found is None:
            return []
        name, end = found.name, found.end
        if self._head is not None:
            head = self._head.match(self._text, end)
            if head is None:
                return []
            name, end = json.loads(f'"{head["name"]}"'), head.end()
        elif self._reader.tagged is not None:
            self._state = TaggedArguments(end)
        self._name, self._start, self.count = name, end, 1
        return [Delta(tool_calls=(ToolCallDelta(0, id=self._new_id(), name=name),))]

    def _json(self) -> list[Delta]:
        text, self._text = self._text[self._start :], ""
        self._start = 0
        end = self._end.feed(text)
        self._done = end is not None
        piece = text[:end]
        return [Delta(tool_calls=(ToolCallDelta(0, arguments=piece),))] if piece else []

    def _tagged(self, *, final: bool) -> list[Delta]:
        state, tagged = self._state, self._reader.tagged
        assert state is not None
        assert tagged is not None
        try:
            tagged.advance(self._text, state, self._reader.parameters.get(self._name, {}), final=final)
        except MoreNeeded:
            pass  # complete arguments are in the state
        except ValueError as error:
            self.warnings.append(f"The arguments of the tool call could not be parsed completely ({error}).")
            state.ended = True
        self._done = state.ended or final
        return self._new_members(state)

    def _new_members(self, state: TaggedArguments) -> list[Delta]:
        """The new members, as a piece of one JSON object."""
        members = list(state.found.items())
        piece = "" if self._delivered_count else "{" if members or self._done else ""
        for key, value in members[self._delivered_count :]:
            piece += f"{', ' if self._delivered_count else ''}{dump(key)}: {dump(value)}"
            self._delivered_count += 1
        if self._done:
            piece += "}"
        return [Delta(tool_calls=(ToolCallDelta(0, arguments=piece),))] if piece else []


def _json_head(body: JsonCalls) -> re.Pattern[str]:
    """A call's JSON object up to its arguments, spaced as in the grammar."""
    before = json.dumps(json.loads(body.shape), ensure_ascii=False).partition(f'"{ARGUMENTS}"')[0]
    pattern = re.escape(("[" if body.listed else "") + before)
    for hole in (ID, INDEX):
        pattern = pattern.replace(hole, '[^"]*')
    name = r'(?:[^"\\]|\\.)*'
    return re.compile(r"\s*" + pattern.replace(NAME, f"(?P<name>{name})", 1).replace(NAME, name).removeprefix(r"\["))
