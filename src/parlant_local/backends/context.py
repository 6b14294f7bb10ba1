"""What a backend is created with when a reference names it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel

from parlant_local.observability import Logger
from parlant_local.settings import Settings

__all__ = ["BackendContext"]

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class BackendContext:
    """What a backend may need when it is created from a reference."""

    prefix: str
    """The reference's prefix: the backend's name, or that of a configured endpoint."""
    settings: Settings
    logger: Logger
    allow_remote: bool
    """Whether prompts may leave this machine; the switcher checks it for every call as well."""

    def options(self, model: type[M]) -> M:
        """The owner's settings for this backend, ``plugins.<prefix>``, checked by ``model``."""
        return self.settings.plugin(self.prefix, model)
