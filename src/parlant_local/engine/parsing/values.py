"""Types argument values that are not written as JSON by the tool's schema, where the text is ambiguous."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from typing import Any

from parlant_local.engine.parsing.json_text import decode_lenient, dump, strict
from parlant_local.engine.parsing.syntax import Kind, kind_of
from parlant_local.engine.patterns import matches
from parlant_local.errors import SchemaError
from parlant_local.settings.constraints import DEFAULT_BOUNDS

__all__ = ["Kinds", "kinds_of", "property_schema", "typed_value"]

Kinds = frozenset[str]
_ALL_KINDS: Kinds = frozenset({"string", "number", "boolean", "null", "array", "object"})
_MAX_DEPTH = 8
_SPACE = " \t\r\n"  # JSON's
_MAX_PYTHON = 100_000


def property_schema(parameters: Mapping[str, Any], key: str) -> Any:
    """The schema of one argument of a tool; True where there is none."""
    try:
        found = list(_schemas_of(parameters, key, parameters, _MAX_DEPTH))
    except (LookupError, TypeError, AttributeError, SchemaError):
        return True
    return True if not found else found[0] if len(found) == 1 else {"anyOf": found}


def _schemas_of(schema: Any, key: str, root: Mapping[str, Any], depth: int) -> Iterator[Any]:
    """The schemas that a schema, or one of its alternatives, has for a key."""
    resolved = _followed(schema, root)
    if depth == 0 or not isinstance(resolved, Mapping):
        return
    alternatives = [part for word in ("anyOf", "oneOf", "allOf") for part in resolved.get(word) or ()]
    named = [part for part in alternatives for part in _schemas_of(part, key, root, depth - 1)]
    if key in (resolved.get("properties") or {}):
        yield _followed(resolved["properties"][key], root)
    elif fitting := [
        part
        for pattern, part in (resolved.get("patternProperties") or {}).items()
        if matches(pattern, key, DEFAULT_BOUNDS)
    ]:
        yield from (_followed(part, root) for part in fitting)
    elif not named and "additionalProperties" in resolved:
        yield _followed(resolved["additionalProperties"], root)
    yield from named


def _followed(schema: Any, root: Mapping[str, Any]) -> Any:
    for _ in range(_MAX_DEPTH):
        if not (isinstance(schema, Mapping) and isinstance(reference := schema.get("$ref"), str)):
            return schema
        target: Any = root
        for part in reference.removeprefix("#").strip("/").split("/"):
            if part:
                target = target[part.replace("~1", "/").replace("~0", "~")]
        schema = target
    return True


def kinds_of(schema: Any, root: Mapping[str, Any], depth: int = _MAX_DEPTH) -> tuple[Kinds, bool]:
    """The JSON types that a schema allows, and whether numbers must be integers. All types where it doesn't restrict them."""
    if not isinstance(schema, Mapping) or depth <= 0:
        return _ALL_KINDS, False
    try:
        schema = _followed(schema, root)
    except (LookupError, TypeError, AttributeError):
        return _ALL_KINDS, False
    if not isinstance(schema, Mapping):
        return _ALL_KINDS, False
    found, whole = _ALL_KINDS, False
    if "const" in schema:
        found = frozenset({kind_of(schema["const"])})
    elif isinstance(schema.get("enum"), list | tuple):
        found = frozenset(kind_of(value) for value in schema["enum"])
    elif "type" in schema:
        named = schema["type"]
        names = [named] if isinstance(named, str) else list(named) if isinstance(named, list | tuple) else []
        whole = "integer" in names and "number" not in names
        found = frozenset("number" if name == "integer" else str(name) for name in names) or _ALL_KINDS
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), list | tuple) and schema[key]:
            inner = [kinds_of(branch, root, depth - 1) for branch in schema[key]]
            found &= frozenset().union(*(kinds for kinds, _ in inner))
            whole = whole or all(one for kinds, one in inner if "number" in kinds)
    for branch in schema.get("allOf") or ():
        kinds, one = kinds_of(branch, root, depth - 1)
        found, whole = found & kinds, whole or one
    return found, whole


def typed_value(text: str, schema: Any, root: Mapping[str, Any], kind: Kind | None = None) -> Any:
    """The value of ``text``. ``kind``: its type, where the marks tell.

    Text stays text where the schema requires a string; otherwise it is parsed as JSON, or as a Python literal, if the schema
    allows the result.
    """
    stripped = text.strip(_SPACE)
    listed = _listed(schema, root)
    if text not in listed and stripped in listed:
        text = stripped  # models put lines around values of their own accord
    if kind == "string":
        return text
    kinds, whole = kinds_of(schema, root)
    if kind is None and kinds == {"string"}:
        return text
    for reading in (strict, _python, _loose):
        try:
            value = reading(stripped)
        except ValueError:
            continue
        if text in listed and dump(value) not in map(dump, listed):
            continue
        if whole and isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
            value = int(value)
        if kind_of(value) in kinds:
            return value
    if kind_of(text) in kinds or kinds == _ALL_KINDS:
        return text
    return text if stripped else _empty_value(kinds, text)


def _listed(schema: Any, root: Mapping[str, Any], depth: int = _MAX_DEPTH) -> list[Any]:
    """The values that a schema enumerates; empty where it allows others, too."""
    try:
        schema = _followed(schema, root)
    except (LookupError, TypeError, AttributeError):
        return []
    if not isinstance(schema, Mapping) or depth == 0:
        return []
    if "const" in schema:
        return [schema["const"]]
    if isinstance(schema.get("enum"), list | tuple):
        return list(schema["enum"])
    for word in ("anyOf", "oneOf"):
        if isinstance(schema.get(word), list | tuple):
            parts = [_listed(part, root, depth - 1) for part in schema[word]]
            return [value for part in parts for value in part] if all(parts) else []
    return []


def _empty_value(kinds: Kinds, text: str) -> Any:
    """An empty value where text is not allowed."""
    return None if "null" in kinds else text


def _python(text: str) -> Any:
    """A value in Python notation."""
    words = {"True": True, "False": False, "None": None, "TRUE": True, "FALSE": False}
    if text in words:
        return words[text]
    if not text.startswith(("[", "{", "(")) or len(text) > _MAX_PYTHON:
        raise ValueError("not Python")
    try:
        value = ast.literal_eval(text)
        return json.loads(json.dumps(value, allow_nan=False))
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        raise ValueError("not Python") from None


def _loose(text: str) -> Any:
    if not text.startswith(("[", "{")):
        raise ValueError("not JSON")
    return decode_lenient(text)
