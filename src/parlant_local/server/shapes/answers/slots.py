"""Answers about kept prefixes, after llama-server's slots."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from parlant_local.server.shapes.answers.common import answer

__all__ = ["SlotAnswer", "SlotReport"]


@answer
class SlotReport(TypedDict):
    """A prefix that is kept; none of its text."""

    id: int
    """Its place: 0 is the one that was used last."""
    model: str
    n_ctx: int
    n_prompt_tokens: int
    bytes: int
    static: bool
    """Shared by several sessions."""
    on_disk: bool
    is_processing: bool


@answer
class SlotAnswer(TypedDict):
    id_slot: int
    filename: NotRequired[str]
    n_saved: NotRequired[int]
    n_written: NotRequired[int]
    n_restored: NotRequired[int]
    n_read: NotRequired[int]
    n_erased: NotRequired[int]
    timings: NotRequired[dict[str, float]]
