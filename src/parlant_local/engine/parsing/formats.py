"""Each family's tool-call format: its readers and its writer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from parlant_local.engine.parsing.deepseek import DEEPSEEK_OPENERS, read_deepseek
from parlant_local.engine.parsing.harmony import HARMONY_OPENERS
from parlant_local.engine.parsing.json_calls import JsonCallReader, function_tag, read_bare_json
from parlant_local.engine.parsing.json_text import dump
from parlant_local.engine.parsing.mistral import MISTRAL, read_mistral
from parlant_local.engine.parsing.python_tag import read_python_tag
from parlant_local.engine.parsing.sections import Call, Reader
from parlant_local.profiles import ToolFormat

__all__ = ["CALL_FORMATS", "CallFormat"]


@dataclass(frozen=True, slots=True)
class CallFormat:
    """One family's syntax."""

    name: ToolFormat
    openers: Mapping[str, Reader]
    write: Callable[[Sequence[Call]], str]
    """Writes calls in the family's format; arguments are JSON text."""
    weak: Mapping[str, Reader] = field(default_factory=dict)
    """Openers that also occur in prose: they only count at the beginning of an answer."""
    bare: Reader = read_bare_json
    """Reads JSON that no opener announces."""


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
_FUNCTION_TAG: dict[str, Reader] = {"<function=": function_tag}

CALL_FORMATS: dict[ToolFormat, CallFormat] = {
    "hermes": CallFormat(
        "hermes", {"<tool_call>": JsonCallReader("<tool_call>", "</tool_call>"), **_FUNCTION_TAG}, _write_hermes
    ),
    "llama": CallFormat("llama", {"<|python_tag|>": read_python_tag, **_FUNCTION_TAG}, _write_llama),
    "deepseek": CallFormat("deepseek", dict.fromkeys(DEEPSEEK_OPENERS, read_deepseek), _write_deepseek),
    "mistral": CallFormat("mistral", {MISTRAL: read_mistral}, _write_list(MISTRAL)),
    "granite": CallFormat(
        "granite",
        {
            "<|tool_call|>": JsonCallReader("<|tool_call|>", ""),
            "<tool_call>": JsonCallReader("<tool_call>", "</tool_call>"),
        },
        _write_list("<|tool_call|>"),
    ),
    "phi": CallFormat(
        "phi", {"<|tool_call|>": JsonCallReader("<|tool_call|>", "<|/tool_call|>")}, _write_list("<|tool_call|>")
    ),
    "lfm": CallFormat("lfm", {_LFM: JsonCallReader(_LFM, "<|tool_call_end|>")}, _write_list(_LFM)),
    "harmony": CallFormat("harmony", HARMONY_OPENERS, _write_harmony),
    "json": CallFormat("json", {"<tool_call>": JsonCallReader("<tool_call>", "</tool_call>")}, _write_json),
}
