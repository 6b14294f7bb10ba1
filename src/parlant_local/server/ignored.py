"""Fields of a request that nobody here understands: named in a header and in the log, so that nothing is dropped in silence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from parlant_local.contents import PART_WORDS
from parlant_local.server.shapes.chat import ChatRequest, Part
from parlant_local.server.thoughts import TEMPLATE_ARGUMENTS

__all__ = ["HEADER", "ignored_in"]

HEADER = "x-parlant-local-ignored"
_MOST = 20
_MOST_CHARACTERS = 64
_ODD = re.compile(r"[^A-Za-z0-9_.\-]")


def ignored_in(body: BaseModel) -> list[str]:
    """Their names, bounded in number and length, and without what a header or a terminal would take amiss."""
    names = dict.fromkeys(_ODD.sub("?", name[:_MOST_CHARACTERS]) for name in _names(body, ""))
    found = list(names)
    return found if len(found) <= _MOST else [*found[:_MOST], f"and-{len(found) - _MOST}-more"]


def _names(model: BaseModel, place: str) -> Iterator[str]:
    for name, value in (model.model_extra or {}).items():
        if value not in (None, [], {}) and not (isinstance(model, Part) and name in PART_WORDS):  # said to be absent
            yield f"{place}{name}"
    for name in type(model).model_fields:
        value = getattr(model, name)
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, BaseModel):
                yield from _names(item, f"{place}{name}.")
    if isinstance(model, ChatRequest):
        given: dict[str, Any] = model.chat_template_kwargs or {}
        yield from (f"chat_template_kwargs.{name}" for name in given if name not in TEMPLATE_ARGUMENTS)
