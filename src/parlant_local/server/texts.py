"""Inputs that may come as text or as token ids, one or several."""

from __future__ import annotations

from typing import Any

from parlant_local.server.context import Context
from parlant_local.server.problems import Refused

__all__ = ["texts_of"]


async def texts_of(
    context: Context, model: str, given: str | list[str] | list[int] | list[list[int]], most: int, param: str
) -> list[str]:
    """The texts; token ids are turned into text by the model that is going to read them."""
    if isinstance(given, str):
        return [given]
    items: list[Any] = list(given)
    if not items:
        raise Refused(400, f"{param} is empty.", code="empty_input", param=param)
    if isinstance(items[0], int):
        items = [items]
    if len(items) > most:
        raise Refused(400, f"{param} has {len(items)} items; {most} are allowed.", code="too_many_inputs", param=param)
    if isinstance(items[0], str):
        return items
    async with context.models.engine(model) as (_, backend):
        return [await backend.engine.detokenize(tokens) for tokens in items]
