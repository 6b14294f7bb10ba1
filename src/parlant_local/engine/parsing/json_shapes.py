"""Calls found in JSON by the keys that a template gives them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from parlant_local.engine.parsing.json_calls import CallFinder, call_of, calls_by_name, calls_in
from parlant_local.engine.parsing.sections import Call
from parlant_local.engine.parsing.syntax import ARGUMENTS, NAME, JsonCalls

__all__ = ["call_finder", "first_keys"]

Path = tuple[str, ...]


def call_finder(body: JsonCalls) -> CallFinder:
    """What finds the calls that ``body`` writes; where it finds none, the common shapes count."""
    if body.by_name:
        return calls_by_name
    shape = json.loads(body.shape)
    name, arguments = next(_paths(shape, NAME), None), next(_paths(shape, ARGUMENTS), None)
    return calls_in if name is None or arguments is None else partial(_calls_at, name, arguments)


def first_keys(body: JsonCalls) -> frozenset[str]:
    """The keys with which a call may begin."""
    shape = json.loads(body.shape)
    return frozenset(shape) if isinstance(shape, dict) else frozenset()


def _paths(shape: Any, hole: str) -> Iterator[Path]:
    if isinstance(shape, dict):
        for key, value in shape.items():
            if value == hole:
                yield (key,)
            yield from ((key, *rest) for rest in _paths(value, hole))


def _calls_at(name: Path, arguments: Path, value: Any) -> tuple[Call, ...] | None:
    found: list[Call] = []
    for item in value if isinstance(value, list) else [value]:
        named = _at(item, name)
        calls = call_of(named, _at(item, arguments)) if isinstance(named, str) and named else None
        if calls is None:
            return calls_in(value)
        found += calls
    return tuple(found) or None


def _at(value: Any, path: Path) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
