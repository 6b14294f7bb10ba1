"""Calls after Llama's python tag."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection

from parlant_local.engine.parsing.json_calls import JsonCallReader
from parlant_local.engine.parsing.json_text import dump
from parlant_local.engine.parsing.literals import skip_space
from parlant_local.engine.parsing.sections import Section

__all__ = ["read_python_tag"]

_PYTHON_CALL = re.compile(r"\s*([A-Za-z_]\w*)\.call\(")
_CODE_TOOLS = ("code_interpreter", "python", "ipython")


def read_python_tag(text: str, final: bool, names: Collection[str]) -> Section | None:
    """After Llama's python tag: JSON, ``tool.call(key="value")``, or code for an interpreter tool."""
    opener = "<|python_tag|>"
    start = skip_space(text, len(opener))
    if start >= len(text):
        return Section(len(text), problem="it contains no call") if final else None
    if text[start] in "{[":
        return JsonCallReader(opener, "")(text, final, names)
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
    return Section(len(text), problem="it contains no call")
