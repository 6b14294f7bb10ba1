"""Which texts of an answer its tightened schema fixed, so that they were not sampled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["fixed_texts"]


def fixed_texts(schema: Mapping[str, Any], answer: Any) -> list[str]:
    """Texts in ``answer`` that stand in ``schema`` as constants. The schema has no references, as tightened ones don't."""
    if "const" in schema:
        return [answer] if isinstance(answer, str) and answer == schema["const"] else []
    if "anyOf" in schema:
        # The alternative that was taken is the one whose constants are there.
        return max((fixed_texts(branch, answer) for branch in schema["anyOf"]), key=len, default=[])
    if isinstance(answer, dict):
        known = schema.get("properties", {})
        return [text for key, value in answer.items() if key in known for text in fixed_texts(known[key], value)]
    if isinstance(answer, list):
        first = schema.get("prefixItems", [])
        rest = schema.get("items") or {}
        return [
            text
            for position, value in enumerate(answer)
            for text in fixed_texts(first[position] if position < len(first) else rest, value)
        ]
    return []
