"""Answers that must be JSON: requested in the prompt where an endpoint has no other way, and always validated."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from parlant_local.errors import InvalidOutputError, OutputError, TruncatedOutputError
from parlant_local.messages import ChatReply, Message, ResponseFormat

if TYPE_CHECKING:
    from parlant_local.engine.constraint.validation import Validator

__all__ = ["checked", "checked_apart", "corrected", "instruct", "parse_structured", "strict_schema"]

_MAX_STARTS = 64


def checked(reply: ChatReply, wanted: ResponseFormat, *, limit: int | None, delivered: bool = False) -> ChatReply:
    """``reply`` with its content reduced to the JSON that was asked for, or a typed error.

    Answers that call tools instead are left alone. Alternatives are judged too. What was ``delivered`` already, piece by
    piece, must be JSON as it stands, unless it was cut: its end said so.
    """
    try:
        return _checked(reply, wanted, limit=limit, delivered=delivered)
    except OutputError as error:
        error.usage = reply.usage
        if isinstance(error, TruncatedOutputError):
            error.answer = reply
        raise


def _checked(reply: ChatReply, wanted: ResponseFormat, *, limit: int | None, delivered: bool) -> ChatReply:
    if wanted.type == "text" or (reply.tool_calls and not reply.content):
        return reply
    if reply.finish_reason == "length":
        if delivered:
            return reply
        used = reply.usage.completion_tokens
        raise TruncatedOutputError(
            f"{reply.model or 'The model'} was truncated at {used} tokens, before its JSON was complete.",
            used=used,
            limit=limit,
            hint="Raise max_tokens, or ask for less.",
        )
    alternatives = tuple(_checked(item, wanted, limit=limit, delivered=delivered) for item in reply.alternatives)
    content = parse_structured(reply.content, wanted)
    if delivered and content != reply.content.strip():
        raise InvalidOutputError(f"The answer does not match the schema {wanted.name!r}: it has text around the JSON.")
    return replace(reply, content=content, alternatives=alternatives)


async def checked_apart(
    reply: ChatReply, wanted: ResponseFormat, *, limit: int | None, delivered: bool = False
) -> ChatReply:
    """:func:`checked` off the event loop: how long it takes is up to schema and answer."""
    if wanted.type == "text":
        return reply
    from parlant_local.engine.constraint.workers import run_check

    return await run_check(partial(checked, reply, wanted, limit=limit, delivered=delivered))


def parse_structured(text: str, wanted: ResponseFormat) -> str:
    """The last JSON in ``text`` that fits ``wanted``, code fences and text around it removed.

    Raises :class:`InvalidOutputError`, whose message names the place and the rule but quotes nothing.
    """
    problem = "it holds no JSON object"
    fitting: str | None = None
    for candidate, value in _json_values(text):
        if wanted.type == "json_object" and not isinstance(value, dict):
            continue
        if (found := _violation(value, wanted)) is None:
            fitting = candidate
        else:
            problem = found
    if fitting is None:
        raise InvalidOutputError(f"The answer does not match the schema {wanted.name!r}: {problem}.")
    return fitting


def _json_values(text: str) -> list[tuple[str, Any]]:
    stripped = text.strip()
    try:
        return [(stripped, _DECODER.decode(stripped))]
    except (ValueError, RecursionError):
        pass
    found: list[tuple[str, Any]] = []
    position = 0
    for _ in range(_MAX_STARTS):
        starts = [start for mark in "{[" if (start := text.find(mark, position)) >= 0]
        if not starts:
            break
        start = min(starts)
        try:
            value, end = _LENIENT.raw_decode(text, start)
        except (ValueError, RecursionError):
            position = start + 1
            continue
        found.append((_spelled(text[start:end], value), value))
        position = end
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _spelled(text: str, value: Any) -> str:
    """``text`` itself, or ``value`` written anew where it holds raw line breaks in strings, as some grammars allow."""
    try:
        _DECODER.decode(text)
    except ValueError:
        return json.dumps(value, ensure_ascii=False)
    return text


_DECODER = json.JSONDecoder(parse_constant=_no_constant)
_LENIENT = json.JSONDecoder(parse_constant=_no_constant, strict=False)


def _violation(value: Any, wanted: ResponseFormat) -> str | None:
    if wanted.type != "json_schema":
        return None
    return _validator(json.dumps(wanted.schema)).violation(value)


@lru_cache(maxsize=64)
def _validator(schema: str) -> Validator:
    from parlant_local.engine.constraint.validation import Validator

    return Validator(json.loads(schema), overlapping=True)


def instruct(messages: Sequence[Message], wanted: ResponseFormat) -> tuple[Message, ...]:
    """``messages`` with the instruction to write JSON at the end, where it breaks no shared prefix."""
    if wanted.type == "json_schema":
        schema = json.dumps(wanted.schema, ensure_ascii=False, separators=(",", ":"))
        wish = f"Answer with one JSON value that fits this JSON Schema, and with nothing else:\n{schema}"
    else:
        wish = "Answer with one JSON object, and with nothing else."
    last = messages[-1]
    if last.role == "user":
        return (*messages[:-1], replace(last, content=f"{last.content or ''}\n\n{wish}"))
    return (*messages, Message.user(wish))


def corrected(messages: Sequence[Message], problem: str) -> tuple[Message, ...]:
    """``messages`` once more, with what was wrong with the answer to them."""
    wish = f"Your last answer was rejected: {problem} Answer again."
    last = messages[-1]
    if last.role == "user":
        return (*messages[:-1], replace(last, content=f"{last.content or ''}\n\n{wish}"))
    return (*messages, Message.user(wish))


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """``schema`` in the subset that OpenAI's strict mode takes, or ``None`` where it can't be expressed.

    Strict mode wants closed objects with every key required and no defaults. What fits the result fits ``schema``,
    save for keys that ``schema`` would have let out; dictionaries with free keys have no strict form.
    """
    try:
        strict = _strict(schema)
    except _NotExpressibleError:
        return None
    return strict if strict.get("type") == "object" else None


class _NotExpressibleError(Exception):
    """Part of a schema has no strict form."""


_DROPPED = frozenset({"default", "title", "examples", "$schema", "$id", "$comment", "deprecated", "readOnly"})
_REFUSED = frozenset(
    {"allOf", "not", "if", "then", "else", "patternProperties", "propertyNames", "dependentSchemas", "prefixItems",
     "dependentRequired", "contains", "unevaluatedProperties", "unevaluatedItems", "uniqueItems", "minProperties"}
)  # fmt: skip


def _strict(schema: Any) -> dict[str, Any]:
    if not isinstance(schema, Mapping) or _REFUSED & set(schema):
        raise _NotExpressibleError
    if "$ref" in schema:
        return {"$ref": schema["$ref"]}
    result: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _DROPPED:
            continue
        if key in ("properties", "$defs", "definitions"):
            result[key] = {name: _strict(part) for name, part in value.items()}
        elif key == "items":
            result[key] = _strict(value)
        elif key in ("anyOf", "oneOf"):
            result["anyOf"] = [_strict(part) for part in value]
        else:
            result[key] = value
    if "properties" in result or schema.get("type") == "object":
        if schema.get("additionalProperties") not in (None, False) or not result.get("properties"):
            raise _NotExpressibleError
        result |= {"type": "object", "additionalProperties": False, "required": list(result["properties"])}
    elif not ({"type", "anyOf", "enum", "const"} & set(result)):
        raise _NotExpressibleError
    return result
