"""Keys of the model's choice, behind the declared ones of a call's arguments or of an object in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from parlant_local.engine.constraint.call_rules import CallRules
from parlant_local.engine.constraint.lexemes import MARKED_KEY, PLAIN_KEY, empty_together, free_keys, whole_pattern
from parlant_local.engine.constraint.marked import regex_of
from parlant_local.engine.parsing.syntax import TaggedBody
from parlant_local.errors import SchemaError

__all__ = ["Member", "open_member", "with_open_members"]

Member = Callable[[list[str], list[str], Any, Mapping[str, Any]], list[str]]
"""Alternatives of a member: its key's patterns, the names that it may not have, its value's schema, the definitions."""


def open_member(
    rules: CallRules, body: TaggedBody, branch: Mapping[str, Any], member: Member, definitions: Mapping[str, Any]
) -> str:
    """A member whose key the schema leaves open, written by ``member``; empty where there can be none."""
    key_text = MARKED_KEY if body.open else PLAIN_KEY
    declared_names = [regex_of(name) for name in branch.get("properties", {})]
    options: list[str] = []
    for pattern, value in free_keys(branch):
        patterns = [key_text, *([] if pattern is None else [whole_pattern(pattern)])]
        if not empty_together(patterns):
            options += member(patterns, declared_names, value, definitions)
    return rules.rule("free", " | ".join(dict.fromkeys(options))) if options else ""


def with_open_members(
    rules: CallRules, declared: str, open_member: str, branch: Mapping[str, Any], between: str
) -> str:
    """``declared``, then as many open members as the schema allows."""
    n_declared = len(branch.get("properties", {}))
    min_count = max(0, int(branch.get("minProperties", 0)) - n_declared)
    max_count = int(branch.get("maxProperties", n_declared)) - n_declared
    if min_count and not open_member:
        raise SchemaError(
            f"A tool's parameters need {min_count} keys of the model's choice, which the template's call syntax can't express.",
            keyword="minProperties",
            hint="Declare the keys as properties, or remove minProperties.",
        )
    if min_count > 1:  # a key could be repeated
        rules.unbound.add("minProperties")
    if not open_member or max_count < 1:
        return declared
    follows = f"{between} {open_member}".strip()
    if declared:
        return f"{declared} ({follows}){{{min_count},{max_count}}}"
    return f"{open_member} ({follows}){{{max(0, min_count - 1)},{max_count - 1}}}" if max_count > 1 else open_member
