"""Parses calls of Mistral models."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from parlant_local.engine.parsing.json_calls import JsonCallReader
from parlant_local.engine.parsing.json_text import decode_lenient, dump, value_end
from parlant_local.engine.parsing.literals import skip_space
from parlant_local.engine.parsing.sections import Section

__all__ = ["MISTRAL", "read_mistral"]

MISTRAL = "[TOOL_CALLS]"
_NAMED = re.compile(r"\s*([A-Za-z0-9_.\-]++)\s*+(?:\[CALL_ID\][A-Za-z0-9_.\-\s]*+)?(?:\[ARGS\])?\s*+(?=\{)")
_HEAD_PREFIX = re.compile(r"[A-Za-z0-9_.\-\s\[\]]*")


def read_mistral(text: str, final: bool, names: Collection[str]) -> Section | None:
    """``[TOOL_CALLS][{…}]``, or ``[TOOL_CALLS]name[ARGS]{…}`` of newer models."""
    start = skip_space(text, len(MISTRAL))
    if start >= len(text):
        return Section(len(text), problem="it contains no call") if final else None
    if text[start] in "{[" and not text.startswith("[ARGS]", start):
        return JsonCallReader(MISTRAL, "")(text, final, names)
    head = _NAMED.match(text, len(MISTRAL))
    if head is None:
        if not final and _HEAD_PREFIX.fullmatch(text, len(MISTRAL)):
            return None
        return Section(len(MISTRAL), problem="its name or arguments are missing")
    end = value_end(text, head.end())
    if end is None:
        return Section(len(text), problem="its JSON is incomplete") if final else None
    try:
        arguments = decode_lenient(text[head.end() : end])
    except ValueError:
        arguments = None
    if not isinstance(arguments, Mapping):
        return Section(end, problem="its arguments are not a JSON object")
    return Section(end, ((head[1], dump(arguments)),))
