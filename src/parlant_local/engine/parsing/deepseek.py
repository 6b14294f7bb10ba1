"""Parses calls of DeepSeek models."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from parlant_local.engine.parsing.json_calls import section_of
from parlant_local.engine.parsing.json_text import decode_lenient, dump, value_end
from parlant_local.engine.parsing.literals import skip_space
from parlant_local.engine.parsing.sections import Call, Section

__all__ = ["DEEPSEEK_OPENERS", "read_deepseek"]

_JOIN = r"(?:▁|_|\\_| )"
_BAR = r"[｜|]"
_CALL_BEGIN = re.compile(rf"<{_BAR}tool{_JOIN}call{_JOIN}begin{_BAR}>")
_CALL_END = re.compile(rf"<{_BAR}tool{_JOIN}call{_JOIN}end{_BAR}>")
_CALLS_BEGIN = re.compile(rf"<{_BAR}tool{_JOIN}calls{_JOIN}begin{_BAR}>")
_CALLS_END = re.compile(rf"<{_BAR}tool{_JOIN}calls{_JOIN}end{_BAR}>")
_SEPARATOR = re.compile(rf"<{_BAR}tool{_JOIN}sep{_BAR}>")
DEEPSEEK_OPENERS = tuple(
    f"<{bar}tool{join}{word}{join}begin{bar}>"
    for bar in "｜|"
    for join in ("▁", "_", "\\_", " ")
    for word in ("calls", "call")
)


def read_deepseek(text: str, final: bool, _names: Collection[str]) -> Section | None:
    """``…call begin… function ‹sep› name, fenced JSON …call end…`` (R1, V3), or ``name ‹sep› JSON`` (V3.1)."""
    head = _CALLS_BEGIN.match(text)
    index = head.end() if head else 0
    calls: list[Call] = []
    while True:
        index = skip_space(text, index)
        if end := _CALLS_END.match(text, index):
            return section_of(end.end(), calls)
        begin = _CALL_BEGIN.match(text, index)
        if begin is None:
            rest = text[index:]
            if not final and (not rest or (rest.startswith("<") and ">" not in rest)):
                return None
            return section_of(index if calls else max(index, 1), calls)
        found = _deepseek_call(text, begin.end(), final)
        if found is None:
            return None
        index, call = found
        if call is None:
            if calls:
                return Section(begin.start(), tuple(calls))
            return Section(index, problem="it is not a call")
        calls.append(call)


def _deepseek_call(text: str, start: int, final: bool) -> tuple[int, Call | None] | None:
    """The index after one call, and the call; None: more is needed."""
    separator = _SEPARATOR.search(text, start)
    stop = _CALL_END.search(text, start)
    if separator is None or (stop is not None and stop.start() < separator.start()):
        if stop is not None:
            return stop.end(), None
        return (len(text), None) if final else None
    name = text[start : separator.start()].strip()
    index = separator.end()
    if name in ("function", ""):
        line = text.find("\n", index)
        if line < 0:
            return (len(text), None) if final else None
        name, index = text[index:line].strip(), line + 1
    brace = text.find("{", index)
    if brace < 0 or (stop is not None and stop.start() < brace):
        if stop is not None:
            return stop.end(), None
        return (len(text), None) if final else None
    end = value_end(text, brace)
    if end is None:
        if not final:
            return None
        return (stop.end() if stop is not None else len(text)), None
    closing = re.compile(r"\s*(?:```)?\s*").match(text, end)
    after = closing.end() if closing else end
    if closed := _CALL_END.match(text, after):
        after = closed.end()
    elif not final and (after >= len(text) or (text[after] in "<`" and ">" not in text[after:])):
        return None
    else:
        after = end
    try:
        arguments = decode_lenient(text[brace:end])
    except ValueError:
        return after, None
    return after, (name, dump(arguments)) if name and isinstance(arguments, Mapping) else None
