"""The constraint of a request: a schema, a grammar or choices, under the names of OpenAI, vLLM, llama-server and Ollama."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from parlant_local.errors import RequestRefusedError
from parlant_local.messages import json_value
from parlant_local.server.shapes.chat import Sampling

__all__ = ["FORMAT_SCHEMAS", "OTHER_NAMES", "binding_options"]


def binding_options(request: Sampling) -> dict[str, Any]:
    """``response_format`` or ``grammar`` for a backend. :class:`RequestRefusedError` where a request has two constraints, or one that is
    not supported."""
    if request.guided_regex is not None:
        raise _unsupported("guided_regex", "a schema's `pattern`, or a grammar")
    for name, instead in OTHER_NAMES.items():
        if (request.model_extra or {}).get(name) is not None:
            raise _unsupported(name, instead)
    found = {name: wish for name, wish in _candidates(request) if wish is not None}
    if len(found) > 1:
        raise RequestRefusedError(400, f"{' and '.join(found)} can't be combined: give one.", code="bad_request")
    return next(iter(found.values()), {})


OTHER_NAMES = {
    "regex": "a schema's `pattern`, or `grammar`",
    "ebnf": "`grammar`",
    "structural_tag": "a schema, or tools",
    "response_schema": "`response_format`",
}
"""Other servers' names for constraints."""


def _candidates(request: Sampling) -> list[tuple[str, dict[str, Any] | None]]:
    return [
        ("response_format", _response_format(request)),
        ("guided_json", _schema(request.guided_json, "guided_json")),
        ("json_schema", _schema(request.json_schema, "json_schema")),
        ("format", _ANY_JSON if request.format == "json" else _schema(request.format, "format")),
        ("grammar", _grammar(request.grammar)),
        ("guided_grammar", _grammar(request.guided_grammar)),
        ("guided_choice", _choice(request.guided_choice)),
        ("structured_outputs", _structured(request)),
    ]


_ANY_JSON: dict[str, Any] = {"response_format": {"type": "json_object"}}


def _response_format(request: Sampling) -> dict[str, Any] | None:
    form = request.response_format
    if form is None:
        return None
    extra = form.model_extra or {}
    beside = {
        "json_schema": form.json_schema,
        "schema": form.schema_,
        **{name: extra.get(name) for name in FORMAT_SCHEMAS},
    }
    given = [name for name, value in beside.items() if value is not None]
    if form.type in ("text", "grammar") and given:
        raise _conflict(f"A response_format of type {form.type}", given[0])
    if form.type != "grammar" and form.grammar is not None:
        raise _conflict(f"A response_format of type {form.type}", "grammar")
    if len(given) > 1:
        raise RequestRefusedError(400, f"response_format has {' and '.join(given)}: give one.", code="bad_request")
    if form.type == "text":
        return None
    if form.type == "grammar":
        return _grammar(form.grammar or "")
    if given and given[0] in FORMAT_SCHEMAS:
        return _schema(extra[given[0]], f"response_format.{given[0]}")
    wanted = form.model_dump(by_alias=True, exclude_none=True)
    return {"response_format": wanted | {"type": "json_schema"} if given else wanted}


FORMAT_SCHEMAS = ("response_schema", "value")
"""The names of the schema in a ``json_object`` of Gemini's and TGI's clients."""


def _structured(request: Sampling) -> dict[str, Any] | None:
    asked = request.structured_outputs
    if asked is None:
        return None
    if asked.regex is not None:
        raise _unsupported("structured_outputs.regex", "a schema's `pattern`, or a grammar")
    if (asked.model_extra or {}).get("structural_tag") is not None:
        raise _unsupported("structured_outputs.structural_tag", "a schema, or tools")
    wishes = {
        "json": _schema(asked.json_, "structured_outputs.json"),
        "grammar": _grammar(asked.grammar),
        "choice": _choice(asked.choice),
        "json_object": _ANY_JSON if asked.json_object else None,
    }
    found = {name: wish for name, wish in wishes.items() if wish is not None}
    if len(found) > 1:
        raise RequestRefusedError(400, f"structured_outputs has {' and '.join(found)}: give one.", code="bad_request")
    return next(iter(found.values()), None)


def _schema(given: Any, name: str) -> dict[str, Any] | None:
    if given is None:
        return None
    if isinstance(given, str):
        try:
            given = json_value(given)
        except ValueError:
            raise RequestRefusedError(
                400, f"{name} is a string but not valid JSON.", code="bad_request", param=name
            ) from None
    if not isinstance(given, Mapping):
        raise RequestRefusedError(400, f"{name} must be a JSON schema.", code="bad_request", param=name)
    inner = given["schema"] if isinstance(given.get("schema"), Mapping) else given  # some clients wrap it like OpenAI
    return {"response_format": {"type": "json_schema", "json_schema": {"schema": inner}}}


def _grammar(given: str | None) -> dict[str, Any] | None:
    return None if given is None else {"grammar": given}


def _choice(given: list[str] | None) -> dict[str, Any] | None:
    """A grammar of choices; JSON string syntax is valid in GBNF too."""
    if given is None:
        return None
    if not given or not all(given):
        raise RequestRefusedError(
            400, "guided_choice needs at least one non-empty choice.", code="bad_request", param="guided_choice"
        )
    return {"grammar": "root ::= " + " | ".join(json.dumps(text, ensure_ascii=False) for text in given)}


def _conflict(what: str, name: str) -> RequestRefusedError:
    return RequestRefusedError(400, f"{what} can't have {name}.", code="bad_request", param="response_format")


def _unsupported(name: str, instead: str) -> RequestRefusedError:
    return RequestRefusedError(400, f"{name} is not supported: use {instead}.", code="unsupported", param=name)
