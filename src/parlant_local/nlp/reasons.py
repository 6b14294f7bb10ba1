"""Where an answer gives its reasons: before the decisions of an object, after them, or nowhere; whose words they are; or one
more, where the host asks for none.

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

_ADDED = "rationale"
"""The host's own word for a reason, and no field of a schema that gets one."""


def is_reason(name: str) -> bool:
    """Whether the host calls so what only explains a decision."""
    return _REASON.search(name) is not None


def placed(schema: Mapping[str, Any], reasons: Reasons, quote: str | None = None) -> Mapping[str, Any]:
    """A copy of ``schema`` with its reasons there; ``schema`` itself where it has none, or none to be moved. ``quote``: what
    quoted reasons say; where there is nothing to quote, they stay as asked."""
    if reasons == "quoted" and quote is None:
        return schema
    changed = _walked(schema, reasons, quote)
    return schema if _same(changed, schema) else changed


def _walked(node: Any, reasons: Reasons, quote: str | None) -> Any:
    if isinstance(node, list):
        return [_walked(item, reasons, quote) for item in node]
    if not isinstance(node, Mapping):
        return node
    found = {
        key: value if key in ("const", "enum", "default") else _walked(value, reasons, quote)
        for key, value in node.items()
    }
    known = found.get("properties")
    if isinstance(known, dict) and reasons == "added":
        return _with_reason(found, known)
    if isinstance(known, dict) and any(map(is_reason, known)):
        required = set(node.get("required", ()))
        found["properties"] = _ordered(known, required, reasons, quote)
        if reasons == "quoted":
            required |= {name for name in known if is_reason(name) and _is_text(known[name])}
            found["required"] = [name for name in found["properties"] if name in required]
    return found


def _ordered(known: Mapping[str, Any], required: set[str], reasons: Reasons, quote: str | None) -> dict[str, Any]:
    movable = [name for name in known if is_reason(name) and (reasons != "quoted" or _is_text(known[name]))]
    given = {name: known[name] for name in movable}
    rest = {name: part for name, part in known.items() if name not in given}
    if reasons == "none":
        return {
            name: part if name not in given else _empty(part)
            for name, part in known.items()
            if name not in given or name in required
        }
    if reasons == "after":
        return rest | given
    if reasons == "quoted":
        given = {name: {"const": quote} for name in given}
    fixed = {name: part for name, part in rest.items() if isinstance(part, dict) and "const" in part}
    return fixed | given | rest


def _with_reason(found: dict[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """An object that decides without a word, with a reason ahead of its first decision."""
    names = list(known)
    first = next((place for place, part in enumerate(known.values()) if _is_boolean(part)), None)
    if first is None or any(map(is_reason, names)):
        return found
    names.insert(first, _ADDED)
    required = {_ADDED, *found.get("required", ())}
    properties = {name: known.get(name, {"type": "string"}) for name in names}
    return {**found, "properties": properties, "required": [name for name in names if name in required]}


def _is_boolean(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "boolean"


def _is_text(part: Mapping[str, Any]) -> bool:
    return any(choice.get("type") == "string" for choice in part.get("anyOf", [part]))


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
