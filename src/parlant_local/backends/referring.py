"""References to backends: which one serves ``<prefix>/<name>``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from parlant_local.backends.base import Backend, ModelInfo
from parlant_local.backends.context import BackendContext
from parlant_local.backends.registry import BACKENDS, FOR_CLIENTS, IN_PROCESS
from parlant_local.settings import Settings

__all__ = ["Placement", "clients_may_name", "place", "split_reference"]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a reference leads. Nothing is opened before ``open``."""

    info: ModelInfo
    open: Callable[[], Backend]


def split_reference(reference: str, settings: Settings) -> tuple[str, str] | None:
    """Prefix and name of a model that another backend serves; ``None`` for one of the catalogue."""
    prefix, slash, name = reference.partition("/")
    if not slash or not name or (prefix == IN_PROCESS and prefix not in settings.endpoints):
        return None
    return (prefix, name) if prefix in settings.endpoints or prefix in BACKENDS else None


def clients_may_name(prefix: str, settings: Settings) -> bool:
    """Whether a client of the server may choose one of its models."""
    return prefix in FOR_CLIENTS or prefix in settings.endpoints


def place(name: str, context: BackendContext) -> Placement:
    """Raises what the backend raises for ``name``, and :class:`PluginError` for a plug-in that fails."""
    kind = BACKENDS.get("openai" if context.prefix in context.settings.endpoints else context.prefix)
    return Placement(
        BACKENDS.attributed(context.prefix, lambda: kind.info_of(name, context)),
        lambda: BACKENDS.attributed(context.prefix, lambda: kind.from_reference(name, context)),
    )
