"""What a backend offers beyond the protocol where this process runs its model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from parlant_local.backends.base import Backend
from parlant_local.messages import MessageLike, Tool

if TYPE_CHECKING:
    from parlant_local.engine import LlamaEngine

__all__ = ["InProcessBackend", "RenderedPrompt"]


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """The exact text that a model gets, and its token ids (with BOS, where the vocabulary wants one)."""

    prompt: str
    tokens: tuple[int, ...]


class InProcessBackend(Backend):
    @property
    @abstractmethod
    def engine(self) -> LlamaEngine:
        """The engine behind it, once loaded."""

    @abstractmethod
    async def render(
        self,
        messages: str | MessageLike | Iterable[MessageLike],
        tools: Iterable[Tool | Mapping[str, Any]] | None = None,
        *,
        add_generation_prompt: bool = True,
        continue_final: bool = False,
    ) -> RenderedPrompt:
        """The exact prompt that :meth:`chat` sends for these messages by default, and its tokens."""
