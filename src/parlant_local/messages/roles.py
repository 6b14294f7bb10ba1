"""Message roles, under any client's name for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

__all__ = ["ROLES", "Role", "role_of"]

Role = Literal["system", "user", "assistant", "tool", "function"]

ROLES = frozenset(get_args(Role))
_ROLE_NAMES: Mapping[str, Role] = {
    **{role: role for role in get_args(Role)},
    "developer": "system",  # OpenAI's newer name
    "human": "user",
    "ai": "assistant",
    "bot": "assistant",
    "chatbot": "assistant",  # Cohere's
    "model": "assistant",  # Gemini's
    "ipython": "tool",  # Llama's
    "observation": "tool",  # GLM's
    "tool_response": "tool",
}
_LANGCHAIN = frozenset({"System", "Human", "AI", "Tool", "Function"})  # HumanMessage, AIMessageChunk, …


def role_of(given: Any) -> Role | None:
    """The role, by any client's name for it; ``None`` where it is unknown."""
    if not isinstance(given, str):
        return None
    kind, message, rest = given.partition("Message")
    if message and kind in _LANGCHAIN and rest in ("", "Chunk"):
        given = kind
    return _ROLE_NAMES.get(given.lower())
