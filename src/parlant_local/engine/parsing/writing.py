"""Writes calls in a template's own syntax."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from parlant_local.engine.parsing.json_text import dump
from parlant_local.engine.parsing.sections import Call
from parlant_local.engine.parsing.syntax import (
    ARGUMENTS,
    CALLED,
    ID,
    INDEX,
    KEY,
    NAME,
    CallSyntax,
    JsonBody,
    JsonCalls,
    TaggedBody,
    kind_of,
)

__all__ = ["fill", "write_calls", "written_value"]

_ID = "abcdefghi"


def write_calls(syntax: CallSyntax, calls: Sequence[Call]) -> str:
    """The text of one or several calls; where the template supports one call only, each in a section of its own."""
    text = ""
    for number, (name, arguments) in enumerate(calls):
        if number == 0:
            text = fill(syntax.first, name, syntax.index_base)
        elif syntax.again is not None:
            text += fill(syntax.again.replace(CALLED, calls[number - 1][0]), name, syntax.index_base + number)
        else:
            text += fill(syntax.last, calls[number - 1][0]) + "\n" + fill(syntax.first, name, syntax.index_base)
        text += _arguments(syntax, name, arguments, syntax.index_base + number)
    return text + fill(syntax.last, calls[-1][0])


def fill(literal: str, name: str, index: int = 0, key: str = "") -> str:
    """A literal with its placeholders filled."""
    return (
        literal.replace(NAME, name).replace(CALLED, name).replace(INDEX, str(index)).replace(ID, _ID).replace(KEY, key)
    )


def _arguments(syntax: CallSyntax, name: str, arguments: str, index: int) -> str:
    match syntax.body:
        case JsonBody():
            return arguments
        case JsonCalls(shape=shape):
            return dump(_filled(json.loads(shape), name, json.loads(arguments), index))
        case TaggedBody() as body:
            given = json.loads(arguments)
            return body.between.join(_tagged(body, key, value) for key, value in given.items())


def _filled(shape: Any, name: str, arguments: Any, index: int) -> Any:
    if isinstance(shape, dict):
        return {(name if key == NAME else key): _filled(item, name, arguments, index) for key, item in shape.items()}
    return (
        {NAME: name, ARGUMENTS: arguments, ID: _ID, INDEX: str(index)}.get(shape, shape)
        if isinstance(shape, str)
        else shape
    )


def _tagged(body: TaggedBody, key: str, value: Any) -> str:
    close = body.close.replace(KEY, key)
    assign = body.assign[kind_of(value)]
    if isinstance(value, str):
        text = value
        if body.wrap[0] and any(mark in value for mark in "<&]"):
            text = body.wrap[0] + value + body.wrap[1]
        return f"{body.open}{key}{assign}{text}{body.quote}{close}"
    return f"{body.open}{key}{assign}{written_value(value, body)}{close}"


def written_value(value: Any, body: TaggedBody) -> str:
    """A value in the notation of ``body``."""
    if body.nested == "braces":
        return _braces(value, body)
    if body.nested == "elements" and isinstance(value, dict | list):
        return _elements(value, body)
    word = dump(value)
    return body.words.get(word, word)


def _braces(value: Any, body: TaggedBody) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_braces(item, body)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_braces(item, body) for item in value) + "]"
    if isinstance(value, str):
        return body.quote + value + body.quote
    word = dump(value)
    return body.words.get(word, word)


def _elements(value: Any, body: TaggedBody) -> str:
    before, after, closing = body.element
    pairs = value.items() if isinstance(value, dict) else ((body.item, item) for item in value)
    written = []
    for key, item in pairs:
        inner = (
            _elements(item, body)
            if isinstance(item, dict | list)
            else item
            if isinstance(item, str)
            else written_value(item, body)
        )
        written.append(f"{before}{key}{after}{inner}{closing}{key}{after}")
    return "".join(written)
