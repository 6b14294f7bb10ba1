"""Which catalogued model is the default where none is configured, and why."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from parlant_local.catalog import LocalModel, LocalModelManager
from parlant_local.errors import EngineError, InvalidModelError, ModelNotFoundError
from parlant_local.settings import Settings

__all__ = ["Choice", "choose_local"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A model id, and in one line why it was chosen."""

    model: str
    reason: str
    notice: str = ""
    """What the owner should know about it."""
    last_resort: bool = False
    """Whether any other model would have been better."""


def choose_local(settings: Settings, manager: LocalModelManager, *, loaded: Collection[str] = ()) -> Choice:
    """The configured model; else the largest catalogued chat model that fits in memory, the shipped one excluded; else the
    shipped one, with a notice. ``loaded``: ids of models that are loaded already.

    The part of :func:`~parlant_local.switching.choose_model` that knows of this process only. Looks at files.
    """
    if settings.model:
        return Choice(settings.model, f"it is configured ({settings.origin('model')})")
    available = manager.list_models()
    too_big: list[str] = []
    catalogued = [model for model in available if model.chats and not model.shipped]
    for model in sorted(catalogued, key=lambda item: item.parameters or 0, reverse=True):
        if model.id in loaded or (problem := _does_not_fit(model, settings)) is None:
            others = f"; too big for this machine: {', '.join(too_big)}" if too_big else ""
            return Choice(model.id, f"it is the largest chat model in the catalogue that fits in memory{others}")
        too_big.append(f"{model.id} ({problem})")
    shipped = next((model for model in available if model.shipped), None)
    if shipped is None:
        raise ModelNotFoundError(
            "No model is installed.",
            hint="`parlant-local recommend` suggests some; `parlant-local pull` downloads one.",
        )
    return Choice(
        shipped.id,
        f"no other model fits in memory: {'; '.join(too_big)}" if too_big else "no other model is installed",
        "It only shows that the installation works and serves no customers; `parlant-local recommend` suggests real models.",
        last_resort=True,
    )


def _does_not_fit(model: LocalModel, settings: Settings) -> str | None:
    """Why a model can't be loaded here, by its header and the free memory; ``None`` where it can."""
    from parlant_local.engine.sizing import plan
    from parlant_local.gguf_info import read_header

    assert model.path is not None
    try:
        plan(read_header(model.path), model.id, settings.engine)
    except (EngineError, InvalidModelError) as error:
        return error.message
    return None
