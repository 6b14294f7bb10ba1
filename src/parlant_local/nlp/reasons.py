"""Where an answer gives its reasons: before the decisions of an object, after them, or nowhere.

The host parses answers by name, so the order of an object's keys is free; that of lists is not, and stays. Reasons are known by
their names: what the host's schemas call so it keeps at most to show it again. Where alternatives (``anyOf``) tell answers
apart, each is put in order. What can't be moved: a decision that is a list's length, or which of a list's items are there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from parlant_local.settings.calls import Reasons

__all__ = ["is_reason", "placed"]

_REASON = re.compile(
    r"(?:^|_)(?:rationale|tldr|subtleties|insights)(?:_|$)|^(?:evaluate|acceptable_source|comparison)_"
)


def is_reason(name: str) -> bool:
    """Whether the host calls so what only explains a decision."""
    return _REASON.search(name) is not None


def placed(schema: Mapping[str, Any], reasons: Reasons) -> Mapping[str, Any]:
    """A copy of ``schema`` with its reasons there; ``schema`` itself where it has none, or none to be moved."""
    changed = _walked(schema, reasons)
    return schema if _same(changed, schema) else changed


def _walked(node: Any, reasons: Reasons) -> Any:
    if isinstance(node, list):
        return [_walked(item, reasons) for item in node]
    if not isinstance(node, Mapping):
        return node
    found = {
        key: value if key in ("const", "enum", "default") else _walked(value, reasons) for key, value in node.items()
    }
    known = found.get("properties")
    if isinstance(known, dict) and any(map(is_reason, known)):
        found["properties"] = _ordered(known, set(node.get("required", ())), reasons)
    return found


def _ordered(known: Mapping[str, Any], required: set[str], reasons: Reasons) -> dict[str, Any]:
    given = {name: part for name, part in known.items() if is_reason(name)}
    rest = {name: part for name, part in known.items() if name not in given}
    if reasons == "none":
        return {
            name: part if name not in given else _empty(part)
            for name, part in known.items()
            if name not in given or name in required
        }
    if reasons == "after":
        return rest | given
    fixed = {name: part for name, part in rest.items() if isinstance(part, dict) and "const" in part}
    return fixed | given | rest


def _empty(part: Mapping[str, Any]) -> dict[str, Any]:
    kinds = [choice.get("type") for choice in part.get("anyOf", [part])]
    return {"type": "array", "maxItems": 0} if "array" in kinds and "string" not in kinds else {"const": ""}


def _same(one: Any, other: Any) -> bool:
    """With the order of keys, which ``==`` does not see."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
