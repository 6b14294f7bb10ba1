"""Small operations on JSON schemas and prompt sections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from parlant.core.engines.alpha.prompt_builder import BuiltInSection, PromptBuilder, PromptSection

from parlant_local.messages import json_value

__all__ = [
    "NotUnderstood",
    "by_answer",
    "const",
    "demand",
    "enum",
    "exactly",
    "filled",
    "inlined",
    "not_null",
    "nullable",
    "properties",
    "section",
    "section_json",
    "section_prop",
]

Schema = dict[str, Any]
_MAX_DEPTH = 24


class NotUnderstood(Exception):
    """The prompt's section has no known format."""


def inlined(schema: Mapping[str, Any]) -> Schema:
    """A private copy of ``schema`` with every ``$ref`` inlined; recursive schemas are refused."""
    definitions = schema.get("$defs", {})

    def walk(node: Any, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise NotUnderstood("the schema is recursive")
        if isinstance(node, Mapping):
            if isinstance(reference := node.get("$ref"), str):
                return walk(definitions[reference.rpartition("/")[2]], depth + 1)
            return {key: walk(value, depth + 1) for key, value in node.items() if key != "$defs"}
        if isinstance(node, list):
            return [walk(item, depth + 1) for item in node]
        return deepcopy(node)

    result: Schema = walk(schema, 0)
    return result


def section(prompt: PromptBuilder, name: str | BuiltInSection) -> PromptSection:
    found = prompt.sections.get(name)
    if found is None:
        raise NotUnderstood(f"there is no section {name!s}")
    return found


def section_prop(prompt: PromptBuilder, name: str | BuiltInSection, prop: str) -> Any:
    props = section(prompt, name).props
    if prop not in props:
        raise NotUnderstood(f"section {name!s} has no {prop}")
    return props[prop]


def section_json(prompt: PromptBuilder, name: str | BuiltInSection, prop: str) -> Any:
    """The JSON that a prop holds as text."""
    try:
        return json_value(section_prop(prompt, name, prop))
    except (TypeError, ValueError):
        raise NotUnderstood(f"{prop} of section {name!s} is not JSON") from None


def properties(schema: Schema) -> Schema:
    """The properties of an object schema, of its non-null side where it is optional."""
    found = not_null(schema).get("properties")
    if not isinstance(found, dict):
        raise NotUnderstood("an object was expected")
    return found


def not_null(schema: Schema) -> Schema:
    """The one alternative that is not null, or ``schema`` itself."""
    choices = schema.get("anyOf")
    if choices is None:
        return schema
    others = [choice for choice in choices if choice.get("type") != "null"]
    if len(others) != 1:
        raise NotUnderstood("one alternative beside null was expected")
    only: Schema = others[0]
    return only


def is_nullable(schema: Schema) -> bool:
    return any(choice.get("type") == "null" for choice in schema.get("anyOf", ()))


def nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _known(schema: Schema, name: str) -> Schema:
    props = properties(schema)
    if name not in props:
        raise NotUnderstood(f"the schema has no {name}")
    return props


def demand(schema: Schema, *names: str) -> None:
    """Make keys of ``schema`` required and non-null."""
    for name in names:
        props = _known(schema, name)
        props[name] = {key: value for key, value in not_null(props[name]).items() if key != "default"}
        target = not_null(schema)
        required = target.setdefault("required", [])
        if name not in required:
            target["required"] = [key for key in props if key in {*required, name}]


def filled(schema: Schema, *names: str) -> None:
    """Make text keys of ``schema`` required, non-null and not empty."""
    demand(schema, *names)
    for name in names:
        properties(schema)[name]["minLength"] = 1


def const(schema: Schema, name: str, value: str) -> None:
    """Fix a text key of ``schema`` to ``value``, and make it required."""
    props = _known(schema, name)
    if not_null(props[name]).get("type") != "string":
        raise NotUnderstood(f"{name} is not text")
    demand(schema, name)
    props[name] = {"const": value}


def enum(schema: Schema, name: str, values: Iterable[str], *, optional: bool = False) -> None:
    """Limit a text key of ``schema`` to ``values``; ``optional`` keeps null and absence allowed where they were."""
    known = list(dict.fromkeys(values))
    if not known:
        raise NotUnderstood(f"there is nothing to choose {name} from")
    props = _known(schema, name)
    if optional:
        was_null = is_nullable(props[name])
        props[name] = nullable({"type": "string", "enum": known}) if was_null else {"type": "string", "enum": known}
        return
    demand(schema, name)
    props[name] = {"type": "string", "enum": known}


def by_answer(schema: Schema, name: str, *, when_true: Sequence[str]) -> Schema:
    """``schema`` told apart by its boolean ``name``: where that is true, the keys ``when_true`` are required and non-null."""
    denied, affirmed = deepcopy(schema), deepcopy(schema)
    for variant, value in ((denied, False), (affirmed, True)):
        demand(variant, name)
        properties(variant)[name] = {"const": value}
    demand(affirmed, *when_true)
    return {"anyOf": [denied, affirmed]}


def exactly(items: Sequence[Schema]) -> Schema:
    """An array of these items in this order, no more and no fewer."""
    if not items:
        return {"type": "array", "maxItems": 0}
    return {
        "type": "array",
        "prefixItems": list(items),
        "items": False,
        "minItems": len(items),
        "maxItems": len(items),
    }
