"""What a person should know before the agent starts: whether the model's context is large enough, and how long it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from parlant_local.catalog import LocalModelManager
from parlant_local.catalog.speed import prefill_operations
from parlant_local.errors import ModelNotFoundError
from parlant_local.settings import Settings
from parlant_local.shipped import is_shipped

__all__ = ["SHIPPED_NOTICE", "SMALLEST_CONTEXT", "expectations", "said_before"]

SHIPPED_NOTICE = "This model of a few megabytes only shows that the installation works; it serves simple agents in short English conversations, and no customers."
SMALLEST_CONTEXT = 16_384
_LONGEST_PROMPT = 12_000
"""Tokens of the shop's longest prompts, with their examples."""

# Prompt tokens that are not cached yet, counted in a demonstration: at its first start, in the first turn, in later ones.
_START, _FIRST, _LATER = 4_500, 8_500, 2_000
_SLOW_SECONDS = 20.0


def expectations(settings: Settings, model_id: str) -> Iterator[str]:
    """Lines to say about a model of the catalogue; nothing about others, and about the one that comes with the package."""
    try:
        record = LocalModelManager(settings=settings).find_adapted(model_id).record
    except ModelNotFoundError:  # another backend's
        return
    if record.shipped or record.path is None:
        return
    trained = record.context_length or 0
    context = min(trained, settings.engine.n_ctx or trained)
    if 0 < context < SMALLEST_CONTEXT:
        why = "" if context == trained else ", as engine.n_ctx says"
        yield (
            f"warning: {model_id} has a context of {context:,} tokens{why}, and this agent's prompts have up to about "
            f"{_LONGEST_PROMPT:,}: examples are left out of those that don't fit, and a turn may fail. Models with "
            f"{SMALLEST_CONTEXT:,} tokens or more have no such trouble."
        )
    operations = prefill_operations(settings.home, measure=False)
    parameters = record.active_parameters or record.parameters
    if operations and parameters:
        start, first, later = (count * 2 * parameters / operations for count in (_START, _FIRST, _LATER))
        if first >= _SLOW_SECONDS:
            yield (
                f"On this machine, expect about {_told(start)} for the first start, {_told(first)} for the first answer and "
                f"{_told(later)} for later ones, until the prompts are read; writing answers takes more."
            )


def said_before(model_id: str, lines: Sequence[str]) -> Callable[[str], bool]:
    """Tells which warnings of the service repeat what ``lines``, or the demonstration itself, say of the model."""
    about_context = any(line.startswith("warning: ") for line in lines)

    def is_repeated(message: str) -> bool:
        if is_shipped(model_id) and "only shows that the installation works" in message:
            return True
        return about_context and message.startswith(model_id) and " context " in message

    return is_repeated


def _told(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
