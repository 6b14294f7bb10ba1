"""The syntax of families whose templates don't show it: Granite 3, LFM2, harmony, edited templates of the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from parlant_local.engine.parsing.syntax import ARGUMENTS, NAME, CallSyntax, JsonBody, JsonCalls, TaggedBody
from parlant_local.profiles import ToolFormat

__all__ = ["FAMILY_SYNTAX", "LFM", "PYTHONIC"]

LFM = CallSyntax(
    f"<|tool_call_start|>[{NAME}(",
    f"), {NAME}(",
    ")]<|tool_call_end|>",
    TaggedBody(
        open="",
        assign={"string": "='", "number": "=", "boolean": "=", "null": "=", "array": "=", "object": "="},
        close="",
        between=", ",
        quote="'",
        words={"true": "True", "false": "False", "null": "None"},
        nested="python",
    ),
    empty="()]<|tool_call_end|>",
    tail="(",
)
PYTHONIC = replace(LFM, first=f"[{NAME}(", last=")]", empty="()]")
"""A Python list with nothing around it, as Llama 3.2 and 4 write it, too."""
_DEEPSEEK_CALL = f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>{NAME}\n```json\n"

FAMILY_SYNTAX: Mapping[ToolFormat, CallSyntax] = {
    "hermes": CallSyntax("<tool_call>\n", "\n</tool_call>\n<tool_call>\n", "\n</tool_call>", JsonCalls()),
    "llama": CallSyntax("", None, "", JsonCalls(f'{{"name": "{NAME}", "parameters": "{ARGUMENTS}"}}')),
    "deepseek": CallSyntax(
        f"<｜tool▁calls▁begin｜>{_DEEPSEEK_CALL}",
        f"\n```<｜tool▁call▁end｜>\n{_DEEPSEEK_CALL}",
        "\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        JsonBody(),
    ),
    "mistral": CallSyntax("[TOOL_CALLS][", ", ", "]", JsonCalls(listed=True)),
    "granite": CallSyntax("<|tool_call|>[", ", ", "]", JsonCalls(listed=True)),
    "phi": CallSyntax("<|tool_call|>[", ", ", "]<|/tool_call|>", JsonCalls(listed=True)),
    "lfm": LFM,
    "harmony": CallSyntax(
        f"<|start|>assistant<|channel|>commentary to=functions.{NAME} <|constrain|>json<|message|>",
        None,
        "",
        JsonBody(),
    ),
}
