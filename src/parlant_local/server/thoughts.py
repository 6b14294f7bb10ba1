"""The options by which clients control reasoning, the most specific one first."""

from __future__ import annotations

from typing import Any

from parlant_local.server.shapes.chat import ChatRequest

__all__ = ["TEMPLATE_ARGUMENTS", "thought_options"]

_EFFORTS = {"minimal": 128, "low": 512, "medium": 2048, "high": 8192, "xhigh": 16384, "max": 32768}
TEMPLATE_ARGUMENTS = ("enable_thinking", "thinking")
"""The supported ``chat_template_kwargs``."""


def thought_options(request: ChatRequest) -> dict[str, Any]:
    asked, thinking = request.reasoning, request.thinking
    budget = asked.max_tokens if asked is not None else None
    if budget is None and thinking is not None and thinking.type != "disabled":
        budget = thinking.budget_tokens
    if budget is not None:
        return {"reasoning": "on" if budget else "off", "reasoning_tokens": budget}
    wanted = _wanted(request)
    effort = asked.effort if asked is not None and asked.effort is not None else request.reasoning_effort
    if effort is None and isinstance(request.think, str):
        effort = request.think
    if effort == "none" or wanted is False:
        return {"reasoning": "off"}
    if effort is not None:
        return {"reasoning": "on", "reasoning_tokens": _EFFORTS[effort]}
    return {"reasoning": "on"} if wanted else {}


def _wanted(request: ChatRequest) -> bool | None:
    if request.reasoning is not None and request.reasoning.enabled is not None:
        return request.reasoning.enabled
    if request.thinking is not None and request.thinking.type in ("enabled", "disabled"):
        return request.thinking.type == "enabled"
    given = request.chat_template_kwargs or {}
    values = [request.enable_thinking, request.think, *(given.get(name) for name in TEMPLATE_ARGUMENTS)]
    return next((value for value in values if isinstance(value, bool)), None)
