"""How each family writes tool calls, and how what it wrote is read."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from parlant_local.engine.parsing.harmony import HARMONY_OPENERS
from parlant_local.engine.parsing.json_text import decode_lenient, dump, value_end
from parlant_local.engine.parsing.sections import Call, Reader, Section
from parlant_local.profiles import ToolFormat

__all__ = ["BARE", "CALL_FORMATS", "CallFormat", "calls_in", "json_calls"]


@dataclass(frozen=True, slots=True)
class CallFormat:
    """One family's syntax."""

    name: ToolFormat
    openers: Mapping[str, Reader]
    write: Callable[[Sequence[Call]], str]
    """Calls as the family writes them; arguments are JSON text."""
    weak: Mapping[str, Reader] = field(default_factory=dict)
    """Openers that prose may hold, too: they count at the beginning of an answer only."""


def calls_in(value: Any) -> tuple[Call, ...] | None:
    """The calls that a decoded JSON value stands for, in any of the common shapes; None if it is something else."""
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
    arguments: Any = next((value[key] for key in ("arguments", "parameters", "args") if key in value), {})
    if isinstance(arguments, str):
        try:
            arguments = decode_lenient(arguments or "{}")
        except ValueError:
            return None
    if arguments is None:
        arguments = {}
    return ((name, dump(arguments)),) if isinstance(arguments, Mapping) else None


def _calls_by_name(value: Any) -> tuple[Call, ...] | None:
    found: list[Call] = []
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, Mapping) or not item or not all(isinstance(inner, Mapping) for inner in item.values()):
            return calls_in(value)
        found += [(str(name), dump(arguments)) for name, arguments in item.items()]
    return tuple(found) or None


# -- reading ----------------------------------------------------------------------------------------------------------


def _skip_space(text: str, index: int) -> int:
    while index < len(text) and text[index].isspace():
        index += 1
    return index


def _awaits(text: str, index: int, marker: str) -> bool:
    """Whether what stands at ``index`` may still become ``marker``."""
    rest = text[index:]
    return len(rest) < len(marker) and marker.startswith(rest)


def json_calls(opener: str, closer: str, *, by_name: bool = False) -> Reader:
    """JSON after ``opener``, one value or several, and ``closer`` where there is one (models forget it).

    ``by_name``: a call is an object with one key, its name.
    """

    def read(text: str, final: bool, names: Collection[str]) -> Section | None:
        index = len(opener)
        calls: list[Call] = []
        while True:
            index = _skip_space(text, index)
            if index >= len(text):
                break
            if closer and text.startswith(closer, index):
                return _ended(index + len(closer), calls)
            if text.startswith("<function=", index) or _awaits(text, index, "<function="):
                inner = _function_tag(text[index:], final, names)
                if inner is None:
                    return None
                if not inner.calls:
                    return Section(index + inner.length, problem=inner.problem)
                calls += inner.calls
                index += inner.length
                continue
            if calls and text[index] in ",;":
                index += 1
                continue
            if text[index] not in "{[":
                if closer and calls and not final and _awaits(text, index, closer):
                    return None
                # Words where a call should stand: what was read counts, the words are content.
                return _ended(index if calls else len(opener), calls)
            end = value_end(text, index)
            if end is None:
                if not final:
                    return None
                stop = text.find(closer, index) if closer else -1
                length = stop + len(closer) if stop >= 0 else len(text)
                return (
                    Section(length, tuple(calls), "its JSON has no end") if not calls else Section(index, tuple(calls))
                )
            found = _decoded(text[index:end], by_name=by_name)
            if found is None:
                after = _skip_space(text, end)
                if closer and not final and (after >= len(text) or _awaits(text, after, closer)):
                    return None
                whole = after + len(closer) if closer and text.startswith(closer, after) else end
                return Section(whole, problem="it is no call in JSON") if not calls else Section(index, tuple(calls))
            calls += found
            index = end
            if not closer:
                after = _skip_space(text, index)
                if after < len(text) and text[after] not in "{[,;":
                    return _ended(index, calls)
        return _ended(len(text), calls) if final else None

    return read


def _ended(length: int, calls: Sequence[Call]) -> Section:
    return Section(length, tuple(calls)) if calls else Section(length, problem="it holds no call")


def _decoded(text: str, *, by_name: bool = False) -> tuple[Call, ...] | None:
    try:
        value = decode_lenient(text)
        return _calls_by_name(value) if by_name else calls_in(value)
    except ValueError:
        return None


_FUNCTION = re.compile(r"<function=([^>\s]+)>")
_PARAMETER = re.compile(r"<parameter=([^>\s]+)>\n?")
_PARAMETER_END = "</parameter>"


def _function_tag(text: str, final: bool, _names: Collection[str]) -> Section | None:
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
        arguments = {key: _loose_value(value) for key, value in _parameters(body)}
    else:
        try:
            arguments = decode_lenient(body)
        except ValueError:
            arguments = None
    if not isinstance(arguments, Mapping):
        return Section(end + len(closer), problem="its arguments are no JSON object")
    return Section(end + len(closer), ((head[1], dump(arguments)),))


def _parameters(body: str) -> Iterator[tuple[str, str]]:
    """Names and texts of the whole elements; each character is looked at once, whatever is left open."""
    end = 0
    while (head := _PARAMETER.search(body, end)) is not None:
        close = body.find(_PARAMETER_END, head.end())
        if close < 0:
            return
        yield head[1], body[head.end() : close].removesuffix("\n")
        end = close + len(_PARAMETER_END)


def _loose_value(text: str) -> Any:
    try:
        return decode_lenient(text)
    except ValueError:
        return text


_PYTHON_CALL = re.compile(r"\s*([A-Za-z_]\w*)\.call\(")
_CODE_TOOLS = ("code_interpreter", "python", "ipython")


def _python_tag(text: str, final: bool, names: Collection[str]) -> Section | None:
    """After Llama's python tag: JSON, ``tool.call(key="value")``, or code for an interpreter tool."""
    opener = "<|python_tag|>"
    start = _skip_space(text, len(opener))
    if start >= len(text):
        return Section(len(text), problem="it holds no call") if final else None
    if text[start] in "{[":
        return json_calls(opener, "")(text, final, names)
    if not final:
        return None
    body = text[len(opener) :]
    if call := _PYTHON_CALL.match(body):
        try:
            node = ast.parse(body.strip(), mode="eval").body
            assert isinstance(node, ast.Call)
            arguments = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords if keyword.arg}
            return Section(len(text), ((call[1], dump(arguments)),))
        except (SyntaxError, ValueError, AssertionError, TypeError, MemoryError, RecursionError):
            return Section(len(text), problem="its arguments can't be read")
    if (tool := next((name for name in _CODE_TOOLS if name in names), None)) is not None:
        return Section(len(text), ((tool, dump({"code": body.strip()})),))
    return Section(len(text), problem="it holds no call")


_JOIN = r"(?:▁|_|\\_| )"
_BAR = r"[｜|]"
_CALL_BEGIN = re.compile(rf"<{_BAR}tool{_JOIN}call{_JOIN}begin{_BAR}>")
_CALL_END = re.compile(rf"<{_BAR}tool{_JOIN}call{_JOIN}end{_BAR}>")
_CALLS_BEGIN = re.compile(rf"<{_BAR}tool{_JOIN}calls{_JOIN}begin{_BAR}>")
_CALLS_END = re.compile(rf"<{_BAR}tool{_JOIN}calls{_JOIN}end{_BAR}>")
_SEPARATOR = re.compile(rf"<{_BAR}tool{_JOIN}sep{_BAR}>")
_DEEPSEEK_OPENERS = tuple(
    f"<{bar}tool{join}{word}{join}begin{bar}>"
    for bar in "｜|"
    for join in ("▁", "_", "\\_", " ")
    for word in ("calls", "call")
)


def _deepseek(text: str, final: bool, _names: Collection[str]) -> Section | None:
    """``…call begin… function ‹sep› name, fenced JSON …call end…`` (R1, V3), or ``name ‹sep› JSON`` (V3.1)."""
    head = _CALLS_BEGIN.match(text)
    index = head.end() if head else 0
    calls: list[Call] = []
    while True:
        index = _skip_space(text, index)
        if end := _CALLS_END.match(text, index):
            return _ended(end.end(), calls)
        begin = _CALL_BEGIN.match(text, index)
        if begin is None:
            rest = text[index:]
            if not final and (not rest or (rest.startswith("<") and ">" not in rest)):
                return None
            return _ended(index if calls else max(index, 1), calls)
        found = _deepseek_call(text, begin.end(), final)
        if found is None:
            return None
        index, call = found
        if call is None:
            if calls:
                return Section(begin.start(), tuple(calls))
            return Section(index, problem="it is no call")
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


_MISTRAL = "[TOOL_CALLS]"
_MISTRAL_NAMED = re.compile(r"\s*([A-Za-z0-9_.\-]++)\s*+(?:\[CALL_ID\][A-Za-z0-9_.\-\s]*+)?(?:\[ARGS\])?\s*+(?=\{)")
_MISTRAL_BEGUN = re.compile(r"[A-Za-z0-9_.\-\s\[\]]*")


def _mistral(text: str, final: bool, names: Collection[str]) -> Section | None:
    """``[TOOL_CALLS][{…}]``, or ``[TOOL_CALLS]name[ARGS]{…}`` of newer models."""
    start = _skip_space(text, len(_MISTRAL))
    if start >= len(text):
        return Section(len(text), problem="it holds no call") if final else None
    if text[start] in "{[" and not text.startswith("[ARGS]", start):
        return json_calls(_MISTRAL, "")(text, final, names)
    head = _MISTRAL_NAMED.match(text, len(_MISTRAL))
    if head is None:
        if not final and _MISTRAL_BEGUN.fullmatch(text, len(_MISTRAL)):
            return None
        return Section(len(_MISTRAL), problem="its name or arguments are missing")
    end = value_end(text, head.end())
    if end is None:
        return Section(len(text), problem="its JSON has no end") if final else None
    try:
        arguments = decode_lenient(text[head.end() : end])
    except ValueError:
        arguments = None
    if not isinstance(arguments, Mapping):
        return Section(end, problem="its arguments are no JSON object")
    return Section(end, ((head[1], dump(arguments)),))


# The first key of an object (or of the first one in a list), and the keys with which a call may begin.
_FIRST_KEY = re.compile(r"""(?:\[\s*)?\{\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|[^"'\s])""")
_CALL_KEYS = frozenset(
    {"name", "function", "tool_calls", "tool_call", "function_call", "arguments", "parameters", "args", "type", "id"}
)
_FENCE = re.compile(r"```(?:json|tool_call|tool_code)?\s*(?=[{\[])")


def BARE(text: str, final: bool, names: Collection[str]) -> Section | None:  # a reader like the others
    """JSON with no marker, fenced or not: a call only if it names a tool that was offered."""
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
    if first is not None and (first[1] or first[2]) not in _CALL_KEYS:
        return Section(start + 1)  # an answer in JSON: no reason to hold it back
    end = value_end(text, start)
    if end is None:
        return Section(len(text)) if final else None
    after = end
    if fenced:
        close = _skip_space(text, end)
        if text.startswith("```", close):
            after = close + 3
        elif not final and _awaits(text, close, "```"):
            return None
    calls = _decoded(text[start:end])
    if calls is None or any(name not in names for name, _ in calls):
        return Section(after)
    return Section(after, calls)


# -- writing ----------------------------------------------------------------------------------------------------------


def _write_hermes(calls: Sequence[Call]) -> str:
    return "\n".join(
        f'<tool_call>\n{{"name": {dump(name)}, "arguments": {args}}}\n</tool_call>' for name, args in calls
    )


def _write_llama(calls: Sequence[Call]) -> str:
    return "; ".join(f'{{"name": {dump(name)}, "parameters": {args}}}' for name, args in calls)


def _write_deepseek(calls: Sequence[Call]) -> str:
    body = "\n".join(
        f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n{args}\n```<｜tool▁call▁end｜>"
        for name, args in calls
    )
    return f"<｜tool▁calls▁begin｜>{body}<｜tool▁calls▁end｜>"


def _write_list(opener: str) -> Callable[[Sequence[Call]], str]:
    def write(calls: Sequence[Call]) -> str:
        return f"{opener}[{', '.join(_object(call) for call in calls)}]"

    return write


def _object(call: Call) -> str:
    return f'{{"name": {dump(call[0])}, "arguments": {call[1]}}}'


def _write_harmony(calls: Sequence[Call]) -> str:
    return "".join(
        f"<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{args}<|call|>" for name, args in calls
    )


def _write_json(calls: Sequence[Call]) -> str:
    return _object(calls[0]) if len(calls) == 1 else f"[{', '.join(_object(call) for call in calls)}]"


_LFM = "<|tool_call_start|>"
_FUNCTION_TAG: dict[str, Reader] = {"<function=": _function_tag}

CALL_FORMATS: dict[ToolFormat, CallFormat] = {
    "hermes": CallFormat(
        "hermes", {"<tool_call>": json_calls("<tool_call>", "</tool_call>"), **_FUNCTION_TAG}, _write_hermes
    ),
    "llama": CallFormat("llama", {"<|python_tag|>": _python_tag, **_FUNCTION_TAG}, _write_llama),
    "deepseek": CallFormat("deepseek", dict.fromkeys(_DEEPSEEK_OPENERS, _deepseek), _write_deepseek),
    "mistral": CallFormat("mistral", {_MISTRAL: _mistral}, _write_list(_MISTRAL)),
    "granite": CallFormat(
        "granite",
        {
            "<|tool_call|>": json_calls("<|tool_call|>", ""),
            "<tool_call>": json_calls("<tool_call>", "</tool_call>"),
        },
        _write_list("<|tool_call|>"),
    ),
    "phi": CallFormat(
        "phi", {"<|tool_call|>": json_calls("<|tool_call|>", "<|/tool_call|>")}, _write_list("<|tool_call|>")
    ),
    "lfm": CallFormat("lfm", {_LFM: json_calls(_LFM, "<|tool_call_end|>")}, _write_list(_LFM)),
    "harmony": CallFormat("harmony", HARMONY_OPENERS, _write_harmony),
    "json": CallFormat("json", {"<tool_call>": json_calls("<tool_call>", "</tool_call>")}, _write_json),
}
