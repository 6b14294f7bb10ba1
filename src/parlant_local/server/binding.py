"""What a request binds its answer to: a schema, a grammar or a few texts, under the names of OpenAI, vLLM, llama-server and Ollama."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from parlant_local.errors import RequestRefusedError
from parlant_local.messages import json_value
from parlant_local.server.shapes.chat import Sampling

__all__ = ["binding_options"]


def binding_options(request: Sampling) -> dict[str, Any]:
    """``response_format`` or ``grammar`` for a backend. :class:`RequestRefusedError` where a request binds its answer twice, or to what
    can't be bound."""
    if request.guided_regex is not None:
        raise _unsupported("guided_regex", "a schema's `pattern`, or a grammar")
    found = {name: wish for name, wish in _wishes(request) if wish is not None}
    if len(found) > 1:
        raise RequestRefusedError(400, f"{' and '.join(found)} both bind the answer: give one.", code="bad_request")
    return next(iter(found.values()), {})


def _wishes(request: Sampling) -> list[tuple[str, dict[str, Any] | None]]:
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
    if form is None or form.type == "text":
        return None
    if form.type == "grammar":
        return _grammar(form.grammar or "")
    return {"response_format": form.model_dump(by_alias=True, exclude_none=True)}


def _structured(request: Sampling) -> dict[str, Any] | None:
    asked = request.structured_outputs
    if asked is None:
        return None
    if asked.regex is not None:
        raise _unsupported("structured_outputs.regex", "a schema's `pattern`, or a grammar")
    return (
        _schema(asked.json_, "structured_outputs.json")
        or _grammar(asked.grammar)
        or _choice(asked.choice)
        or (_ANY_JSON if asked.json_object else None)
    )


def _schema(given: Any, name: str) -> dict[str, Any] | None:
    if given is None:
        return None
    if isinstance(given, str):
        try:
            given = json_value(given)
        except ValueError:
            raise RequestRefusedError(400, f"{name} is text, but no JSON.", code="bad_request", param=name) from None
    if not isinstance(given, Mapping):
        raise RequestRefusedError(400, f"{name} must be a JSON schema.", code="bad_request", param=name)
    inner = given["schema"] if isinstance(given.get("schema"), Mapping) else given  # some wrap it as OpenAI does
    return {"response_format": {"type": "json_schema", "json_schema": {"schema": inner}}}


def _grammar(given: str | None) -> dict[str, Any] | None:
    return None if given is None else {"grammar": given}


def _choice(given: list[str] | None) -> dict[str, Any] | None:
    """A grammar of a few texts; JSON's way of writing a text is GBNF's, too."""
    if given is None:
        return None
    if not given or not all(given):
        raise RequestRefusedError(
            400, "guided_choice needs texts to choose from.", code="bad_request", param="guided_choice"
        )
    return {"grammar": "root ::= " + " | ".join(json.dumps(text, ensure_ascii=False) for text in given)}


def _unsupported(name: str, instead: str) -> RequestRefusedError:
    return RequestRefusedError(400, f"{name} is not supported: use {instead}.", code="unsupported", param=name)
