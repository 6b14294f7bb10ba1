"""What a chat template can express, probed by rendering small conversations and searching the output for their contents."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parlant_local.engine.templates.probing import (
    ASK,
    KEYS,
    NAMES,
    VALUES,
    Conversation,
    RenderAll,
    answer,
    calling,
    turn,
)

__all__ = ["ALL_CAPABILITIES", "Capabilities", "probe"]

_RESULT = {"role": "tool", "name": NAMES[0], "tool_call_id": "needle001", "content": "needle-result"}
_MORE = {"role": "user", "content": "needle-more"}
_ARGUMENTS = {KEYS[0]: VALUES[0]}
# Arguments printed as a Python object, or double-encoded as JSON, show that the template expects the other form.
_PRINTED = re.compile(rf"'{KEYS[0]}'\s*:|\\\"{KEYS[0]}")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Which parts of a conversation survive rendering."""

    system: bool
    """A system message at the start."""
    late_systems: bool
    """Further system messages in the middle of a conversation."""
    tools: bool
    """Descriptions of tools."""
    tool_calls: bool
    """Calls that the assistant made."""
    tool_results: bool
    object_arguments: bool
    """Whether call arguments are expected as an object; else as JSON text."""
    null_content: bool
    """Whether a message of calls only has null content; else an empty text."""
    calls_beside_text: bool = True
    """Calls of a message that also has text."""


ALL_CAPABILITIES = Capabilities(
    system=True,
    late_systems=True,
    tools=True,
    tool_calls=True,
    tool_results=True,
    object_arguments=True,
    null_content=False,
)
"""Assumed where a template could not be probed."""


def probe(render_all: RenderAll, *, with_tools: bool) -> Capabilities:
    """Renders about twenty conversations, ``with_tools`` or without. A template that fails on one can't express it."""
    system = {"role": "system", "content": "needle-system"}
    late = {"role": "system", "content": "needle-late"}
    reply = answer("needle-answer")
    conversations: dict[str, Sequence[Mapping[str, Any]]] = {
        "system": [system, ASK],
        "late": [system, ASK, reply, late, ASK],
        "tools": [ASK],
        "result": [ASK, reply, _RESULT],
    }
    forms = list(itertools.product((True, False), (True, False)))
    for as_object, as_null in forms:
        call = _call(as_object, as_null)
        conversations[f"more {as_object} {as_null}"] = [ASK, call, _RESULT, _MORE]
        # Some templates require strictly alternating roles, and some allow no message after a result.
        conversations[f"result {as_object} {as_null}"] = [ASK, call, _RESULT]
        conversations[f"call {as_object} {as_null}"] = [ASK, call]
        conversations[f"beside {as_object} {as_null}"] = [ASK, {**call, "content": "needle-beside"}]
    texts = dict(
        zip(
            conversations,
            render_all([Conversation(messages, prompt=True, tools=with_tools) for messages in conversations.values()]),
            strict=True,
        )
    )

    def shows(name: str, *needles: str) -> bool:
        text = texts[name]
        return text is not None and all(needle in text for needle in needles)

    form = _best_form(texts, forms)
    as_object, as_null = form or (True, False)
    result = f"result {as_object} {as_null}" if form else "result"
    return Capabilities(
        system=shows("system", "needle-system"),
        late_systems=shows("late", "needle-system", "needle-late"),
        tools=with_tools and shows("tools", "needle_tool"),
        tool_calls=form is not None,
        tool_results=shows(result, "needle-result"),
        object_arguments=as_object,
        null_content=as_null,
        calls_beside_text=form is None or shows(f"beside {as_object} {as_null}", NAMES[0]),
    )


def _call(as_object: bool, as_null: bool) -> dict[str, Any]:
    return calling(_ARGUMENTS if as_object else json.dumps(_ARGUMENTS), content=None if as_null else "")


def _best_form(texts: Mapping[str, str | None], forms: Sequence[tuple[bool, bool]]) -> tuple[bool, bool] | None:
    """The form of arguments and content in which most conversations with calls are rendered correctly."""

    def rendered(form: tuple[bool, bool]) -> int:
        return sum(_rendered_correctly(texts, kind, *form) for kind in ("more", "result", "call"))

    best = max(forms, key=rendered)  # the first of equals
    return best if rendered(best) else None


def _rendered_correctly(texts: Mapping[str, str | None], kind: str, as_object: bool, as_null: bool) -> bool:
    text = turn(texts[f"{kind} {as_object} {as_null}"])
    if text is None or not all(needle in text for needle in (NAMES[0], KEYS[0], VALUES[0])):
        return False
    return not _PRINTED.search(text) and not (as_null and _prints_none(text, turn(texts[f"{kind} {as_object} False"])))


def _prints_none(text: str, other: str | None) -> bool:
    """Whether the template prints null content as ``None``."""
    return other is not None and NAMES[0] in other and text.count("None") > other.count("None")
