"""Answers validated against the schema rules that the decoder could not enforce."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from parlant_local.backends.base import ChatParams
from parlant_local.engine.constraint.validation import Validator
from parlant_local.engine.constraint.workers import run_check
from parlant_local.errors import InvalidOutputError, TruncatedOutputError
from parlant_local.messages import ChatReply, ToolCall, json_value
from parlant_local.settings import ConstraintSettings

__all__ = ["check_structured", "verify"]


async def verify(
    content: str, calls: Sequence[ToolCall], params: ChatParams, bounds: ConstraintSettings, *, model: str
) -> None:
    """Raises :class:`InvalidOutputError` that names the place and the rule, and quotes nothing."""
    problem = await run_check(partial(_problem, content, calls, params, bounds))
    if problem is not None:
        raise InvalidOutputError(f"{model}: {problem}.", hint="Retry, or state the rule in the prompt as well.")


def _problem(content: str, calls: Sequence[ToolCall], params: ChatParams, bounds: ConstraintSettings) -> str | None:
    tools = {tool.name: tool.parameters for tool in params.tools}
    for call in calls:
        found = _violation(call.arguments, tools.get(call.name, {}), bounds)
        if found is not None:
            return f"the arguments of {call.name!r} do not match its parameters: {found}"
    wanted = params.response_format
    if calls or wanted.type != "json_schema":
        return None
    found = _violation(content, wanted.schema or {}, bounds)
    return None if found is None else f"the answer does not match the schema {wanted.name!r}: {found}"


def _violation(text: str, schema: Mapping[str, Any], bounds: ConstraintSettings) -> str | None:
    try:
        value = json_value(text)
    except ValueError:
        return "it is not JSON"
    return _validator(json.dumps(schema), bounds).violation(value)


@lru_cache(maxsize=32)
def _validator(schema: str, bounds: ConstraintSettings) -> Validator:
    return Validator(json.loads(schema), bounds, overlapping=True)


def check_structured(reply: ChatReply) -> None:
    """Raises where the answer is not JSON: truncated, or something else."""
    try:
        json_value(reply.content)
    except ValueError as error:
        used = reply.usage.completion_tokens
        if reply.finish_reason == "length":
            raise TruncatedOutputError(
                f"The answer was truncated after {used} tokens, before its JSON was complete.",
                used=used,
                limit=None,
                hint="Raise max_tokens.",
            ) from None
        raise InvalidOutputError(f"The answer is not JSON: {error}.") from None
