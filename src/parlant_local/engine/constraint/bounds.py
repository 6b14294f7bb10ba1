"""Limits on a schema or grammar, checked before anything parses it: size, depth, encoding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parlant_local.errors import SchemaError
from parlant_local.settings.constraints import ConstraintSettings

__all__ = ["check_json", "check_text", "exceeded", "shown"]

_MAX_SHOWN = 80


def check_json(schema: Any, bounds: ConstraintSettings) -> None:
    """Raises :class:`SchemaError` for a schema that is too large or deep, or isn't JSON. Iterative: no depth overflows the stack."""
    budget = bounds.max_kb * 1024
    stack: list[tuple[Any, int]] = [(schema, 1)]
    while stack:
        value, depth = stack.pop()
        if depth > bounds.max_depth:
            raise exceeded("The schema nests more than {} levels", "max_depth", bounds.max_depth)
        if isinstance(value, Mapping):
            name: Any
            for name, inner in value.items():
                if not isinstance(name, str):
                    raise SchemaError(f"The schema is not JSON: a name in it is {shown(name)}.", keyword="properties")
                budget -= _size(name)
                stack.append((inner, depth + 1))
        elif isinstance(value, list | tuple):
            budget -= len(value)
            if budget >= 0:
                stack.extend((inner, depth + 1) for inner in value)
        budget -= _size(value)
        if budget < 0:
            raise exceeded("The schema has more than {} KiB", "max_kb", bounds.max_kb)


def check_text(text: str, bounds: ConstraintSettings) -> None:
    """The same for a grammar."""
    if len(text) > bounds.max_grammar_kb * 1024:
        raise exceeded("The grammar has more than {} KiB", "max_grammar_kb", bounds.max_grammar_kb, keyword="grammar")
    if not _is_encodable(text):
        raise SchemaError("The grammar holds an unpaired surrogate, which is not valid text.", keyword="grammar")


def exceeded(message: str, setting: str, limit: int | str, *, keyword: str = "") -> SchemaError:
    """The error for something beyond a limit; it names the limit and its setting."""
    return SchemaError(
        f"{message.format(limit)} (engine.constraints.{setting}).",
        keyword=keyword,
        hint="Ask for less, or raise the setting.",
    )


def shown(value: Any) -> str:
    """``value`` for a message: short, however large it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits
        return "a value too large to show"
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _size(value: Any) -> int:
    if isinstance(value, str):
        if not _is_encodable(value):
            raise SchemaError(
                f"The schema holds an unpaired surrogate, which is not valid text: {ascii(value)[:_MAX_SHOWN]}."
            )
        return len(value) + 3
    if isinstance(value, int):
        return value.bit_length() // 3 + 1
    return 2


def _is_encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
