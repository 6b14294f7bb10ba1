"""Parses tool calls in JSON, in all the shapes that models write."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parlant_local.engine.parsing.json_text import decode_lenient, dump, value_end
from parlant_local.engine.parsing.literals import skip_space
from parlant_local.engine.parsing.sections import Call, Section

__all__ = [
    "BareJsonReader",
    "CallFinder",
    "JsonCallReader",
    "call_of",
    "calls_by_name",
    "calls_in",
    "decoded",
    "function_tag",
    "may_become",
    "read_bare_json",
    "section_of",
]

CallFinder = Callable[[Any], "tuple[Call, ...] | None"]
"""The calls that a decoded JSON value stands for; None if it is something else."""


def calls_in(value: Any) -> tuple[Call, ...] | None:
    """The calls in a decoded JSON value, in any of the common shapes; None if it is something else."""
    if isinstance(value, list):
        found: list[Call] = []
        for item in value:
            inner = calls_in(item)
            if inner is None:
                return None
            found += inner
        return tuple(found) or None
    if not isinstance(value, Mapping):
        return None
    for key in ("tool_calls", "tool_call", "function_call"):
        if key in value:
            return calls_in(value[key])
    if isinstance(value.get("function"), Mapping):
        return calls_in(value["function"])
    name = value.get("name") or value.get("function") or value.get("tool_name")
    if not isinstance(name, str) or not name:
        return None
    return call_of(name, next((value[key] for key in ("arguments", "parameters", "args") if key in value), {}))


def call_of(name: str, arguments: Any) -> tuple[Call, ...] | None:
    """One call, of arguments that may be JSON in a text."""
    if isinstance(arguments, str):
        try:
            arguments = decode_lenient(arguments or "{}")
        except ValueError:
            return None
    if arguments is None:
        arguments = {}
    return ((name, dump(arguments)),) if isinstance(arguments, Mapping) else None


def calls_by_name(value: Any) -> tuple[Call, ...] | None:
    """Calls that are members of an object: their names, and their arguments."""
    found: list[Call] = []
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, Mapping) or not item or not all(isinstance(inner, Mapping) for inner in item.values()):
            return calls_in(value)
        found += [(str(name), dump(arguments)) for name, arguments in item.items()]
    return tuple(found) or None


def may_become(text: str, index: int, marker: str) -> bool:
    """Whether the text at ``index`` is an incomplete ``marker``."""
    rest = text[index:]
    return len(rest) < len(marker) and marker.startswith(rest)


@dataclass(frozen=True, slots=True)
class JsonCallReader:
    """Reads one or several JSON values after ``opener``, up to ``closer`` if there is one (models forget it)."""

    opener: str
    closer: str
    find: CallFinder = calls_in

    def __call__(self, text: str, final: bool, names: Collection[str]) -> Section | None:
        index, calls = len(self.opener), list[Call]()
        while (index := skip_space(text, index)) < len(text):
            if self.closer and text.startswith(self.closer, index):
                return section_of(index + len(self.closer), calls)
            if text.startswith("<function=", index) or may_become(text, index, "<function="):
                step = self._tagged(text, index, calls, final, names)
            elif calls and text[index] in ",;":
                step = index + 1
            elif text[index] in "{[":
                step = self._value(text, index, calls, final)
            else:
                step = self._text_instead_of_call(text, index, calls, final)
            if not isinstance(step, int):
                return step
            index = step
        return section_of(len(text), calls) if final else None

    # Each step returns the index after what it parsed (its calls are added to ``calls``), or the final result.

    def _tagged(
        self, text: str, index: int, calls: list[Call], final: bool, names: Collection[str]
    ) -> int | Section | None:
        inner = function_tag(text[index:], final, names)
        if inner is None:
            return None
        if not inner.calls:
            return Section(index + inner.length, problem=inner.problem)
        calls += inner.calls
        return index + inner.length

    def _text_instead_of_call(self, text: str, index: int, calls: list[Call], final: bool) -> Section | None:
        """Text where a call should be: the calls before it count, the text is content."""
        if self.closer and calls and not final and may_become(text, index, self.closer):
            return None
        return section_of(index if calls else len(self.opener), calls)

    def _value(self, text: str, index: int, calls: list[Call], final: bool) -> int | Section | None:
        end = value_end(text, index)
        if end is None:
            return self._incomplete(text, index, calls) if final else None
        found = decoded(text[index:end], self.find)
        if found is None:
            return self._no_call(text, index, end, calls, final)
        calls += found
        after = skip_space(text, end)
        if not self.closer and after < len(text) and text[after] not in "{[,;":
            return section_of(end, calls)
        return end

    def _incomplete(self, text: str, index: int, calls: list[Call]) -> Section:
        if calls:
            return Section(index, tuple(calls))
        stop = text.find(self.closer, index) if self.closer else -1
        return Section(stop + len(self.closer) if stop >= 0 else len(text), problem="its JSON is incomplete")

    def _no_call(self, text: str, index: int, end: int, calls: list[Call], final: bool) -> Section | None:
        after = skip_space(text, end)
        if self.closer and not final and (after >= len(text) or may_become(text, after, self.closer)):
            return None
        if calls:
            return Section(index, tuple(calls))
        closed = bool(self.closer) and text.startswith(self.closer, after)
        return Section(after + len(self.closer) if closed else end, problem="it is not a call in JSON")


def section_of(length: int, calls: Sequence[Call]) -> Section:
    return Section(length, tuple(calls)) if calls else Section(length, problem="it contains no call")


def decoded(text: str, find: CallFinder = calls_in) -> tuple[Call, ...] | None:
    try:
        return find(decode_lenient(text))
    except ValueError:
        return None


_FUNCTION = re.compile(r"<function=([^>\s]+)>")
_PARAMETER = re.compile(r"<parameter=([^>\s]+)>\n?")
_PARAMETER_END = "</parameter>"


def function_tag(text: str, final: bool, _names: Collection[str]) -> Section | None:
    """``<function=name>{…}</function>``, or with each argument in ``<parameter=key>`` elements."""
    closer = "</function>"
    end = text.find(closer)
    if end < 0:
        return Section(len(text), problem="</function> is missing") if final else None
    head = _FUNCTION.match(text)
    if head is None:
        return Section(end + len(closer), problem="its name is missing")
    body = text[head.end() : end].strip()
    arguments: Any
    if not body or body.startswith("<parameter="):
        arguments = {key: _lenient_value(value) for key, value in _parameters(body)}
    else:
        try:
            arguments = decode_lenient(body)
        except ValueError:
            arguments = None
    if not isinstance(arguments, Mapping):
        return Section(end + len(closer), problem="its arguments are not a JSON object")
    return Section(end + len(closer), ((head[1], dump(arguments)),))


def _parameters(body: str) -> Iterator[tuple[str, str]]:
    """Names and texts of the complete elements; each character is scanned once, even if elements are left open."""
    end = 0
    while (head := _PARAMETER.search(body, end)) is not None:
        close = body.find(_PARAMETER_END, head.end())
        if close < 0:
            return
        yield head[1], body[head.end() : close].removesuffix("\n")
        end = close + len(_PARAMETER_END)


def _lenient_value(text: str) -> Any:
    try:
        return decode_lenient(text)
    except ValueError:
        return text


# The first key of an object (or of the first one in a list), and the keys with which a call may begin.
_FIRST_KEY = re.compile(r"""(?:\[\s*)?\{\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|[^"'\s])""")
_CALL_KEYS = frozenset(
    {"name", "function", "tool_calls", "tool_call", "function_call", "arguments", "parameters", "args", "type", "id"}
)
_FENCE = re.compile(r"```(?:json|tool_call|tool_code)?\s*(?=[{\[])")


@dataclass(frozen=True, slots=True)
class BareJsonReader:
    """Reads JSON with no marker, fenced or not: a call only if it names a tool that was offered."""

    find: CallFinder = calls_in
    keys: frozenset[str] = _CALL_KEYS
    """With which a call may begin."""

    def __call__(self, text: str, final: bool, names: Collection[str]) -> Section | None:
        start, fenced = 0, False
        if text.startswith("`"):
            fence = _FENCE.match(text)
            if fence is None:
                # "```" and a language, then JSON; anything else is an ordinary answer.
                if not final and re.fullmatch(r"`{1,3}[a-z_]{0,9}\s*", text):
                    return None
                return Section(1)
            start, fenced = fence.end(), True
        first = _FIRST_KEY.match(text, start)
        if first is not None and (first[1] or first[2]) not in self.keys:
            return Section(start + 1)  # an answer in JSON, not a call: not held back
        end = value_end(text, start)
        if end is None:
            return Section(len(text)) if final else None
        after = end
        if fenced:
            close = skip_space(text, end)
            if text.startswith("```", close):
                after = close + 3
            elif not final and may_become(text, close, "```"):
                return None
        calls = decoded(text[start:end], self.find)
        if calls is None and fenced:
            return Section(start)  # what the fence holds may be a call in marks of its own
        if calls is None or any(name not in names for name, _ in calls):
            return Section(after)
        return Section(after, calls)


read_bare_json = BareJsonReader()
