"""The input of a kept response, as OpenAI lists it: items with ids, in pages."""

from __future__ import annotations

from typing import Any

from parlant_local.errors import RequestRefusedError
from parlant_local.messages import role_of, shown
from parlant_local.server.doors.response_store import KeptResponse
from parlant_local.server.shapes.answers.responses import InputItems
from parlant_local.server.shapes.chat import ChatMessage

__all__ = ["input_items"]

_MOST = 100


def input_items(kept: KeptResponse, *, after: str | None, limit: int, order: str) -> InputItems:
    """Raises :class:`RequestRefusedError` for a place or an order that there is not."""
    if not 1 <= limit <= _MOST:
        raise RequestRefusedError(400, f"limit may be 1 to {_MOST}.", code="invalid_value", param="limit")
    if order not in ("asc", "desc"):
        raise RequestRefusedError(400, "order may be asc or desc.", code="invalid_value", param="order")
    listed = [
        _listed(item, f"{kept.body['id'].partition('_')[2][:24]}{index}") for index, item in enumerate(kept.items)
    ]
    if order == "desc":
        listed.reverse()
    first = 0
    if after is not None:
        place = next((index for index, item in enumerate(listed) if item["id"] == after), None)
        if place is None:
            raise RequestRefusedError(400, f"There is no item {shown(after)}.", code="invalid_value", param="after")
        first = place + 1
    page = listed[first : first + limit]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": first + limit < len(listed),
    }


def _listed(item: ChatMessage, number: str) -> dict[str, Any]:
    """With an id, and its text as a part."""
    value = item.model_dump(exclude_none=True)
    if item.role is None:
        return {"status": "completed", **value, "id": value.get("id") or f"item_{number}"}
    kind = "output_text" if role_of(item.role) == "assistant" else "input_text"
    content = value.get("content") or []
    parts = [content] if isinstance(content, str | dict) else content
    value["content"] = [{"type": kind, "text": part} if isinstance(part, str) else part for part in parts]
    return {"status": "completed", **value, "type": "message", "id": value.get("id") or f"msg_{number}"}
