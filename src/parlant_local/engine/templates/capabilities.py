"""What a chat template can express, found out by rendering small conversations and looking for what was put in."""

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

__all__ = ["EVERYTHING", "Capabilities", "probe"]

_RESULT = {"role": "tool", "name": NAMES[0], "tool_call_id": "needle001", "content": "needle-result"}
_MORE = {"role": "user", "content": "needle-more"}
_ARGUMENTS = {KEYS[0]: VALUES[0]}
# Arguments that a template merely printed, or put as JSON into JSON, show that it wants the other form.
_PRINTED = re.compile(rf"'{KEYS[0]}'\s*:|\\\"{KEYS[0]}")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What survives rendering."""

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
    """Call arguments are wanted as an object; else as JSON text."""
    null_content: bool
    """A message that is only calls has null content; else an empty text."""
    calls_beside_text: bool = True
    """Calls of a message that has text, too."""


EVERYTHING = Capabilities(
    system=True,
    late_systems=True,
    tools=True,
    tool_calls=True,
    tool_results=True,
    object_arguments=True,
    null_content=False,
)
"""What is taken for granted where a template could not be probed."""


def probe(render_all: RenderAll, *, with_tools: bool) -> Capabilities:
    """Renders about twenty conversations, ``with_tools`` or without. A template that fails on one can't express it."""
    system = {"role": "system", "content": "needle-system"}
    late = {"role": "system", "content": "needle-late"}
    said = answer("needle-answer")
    conversations: dict[str, Sequence[Mapping[str, Any]]] = {
        "system": [system, ASK],
        "late": [system, ASK, said, late, ASK],
        "tools": [ASK],
        "result": [ASK, said, _RESULT],
    }
    forms = list(itertools.product((True, False), (True, False)))
    for as_object, as_null in forms:
        call = _call(as_object, as_null)
        conversations[f"more {as_object} {as_null}"] = [ASK, call, _RESULT, _MORE]
        # Some templates want user and assistant to alternate strictly, and some no message behind a result.
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

    form = _form(texts, forms)
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


def _form(texts: Mapping[str, str | None], forms: Sequence[tuple[bool, bool]]) -> tuple[bool, bool] | None:
    """The form of arguments and content in which most conversations with calls are rendered, as they were meant."""

    def rendered(form: tuple[bool, bool]) -> int:
        return sum(_as_meant(texts, kind, *form) for kind in ("more", "result", "call"))

    best = max(forms, key=rendered)  # of several the first one
    return best if rendered(best) else None


def _as_meant(texts: Mapping[str, str | None], kind: str, as_object: bool, as_null: bool) -> bool:
    text = turn(texts[f"{kind} {as_object} {as_null}"])
    if text is None or not all(needle in text for needle in (NAMES[0], KEYS[0], VALUES[0])):
        return False
    return not _PRINTED.search(text) and not (as_null and _prints_none(text, turn(texts[f"{kind} {as_object} False"])))


def _prints_none(text: str, other: str | None) -> bool:
    """Whether the template writes a content that is null as the word."""
    return other is not None and NAMES[0] in other and text.count("None") > other.count("None")
