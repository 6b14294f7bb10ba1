"""Which models make pictures here, and what serves each."""

from __future__ import annotations

from parlant_local.errors import ModelNotFoundError
from parlant_local.images.base import ImageBackend, ImageModel
from parlant_local.observability import Logger, NullLogger
from parlant_local.settings import Settings

__all__ = ["ImageDirectory"]


class ImageDirectory:
    """Opens one backend per model, at its first use. Belongs to one event loop."""

    def __init__(self, settings: Settings, logger: Logger | None = None) -> None:
        self._settings, self._logger = settings, logger or NullLogger()
        self._open: dict[str, ImageBackend] = {}

    def models(self) -> list[ImageModel]:
        """Those that a request may name; the default one first."""
        return []

    def backend(self, name: str | None = None) -> ImageBackend:  # noqa: ARG002  # its body is being written
        """The backend of a model, or of the default one. Nothing is loaded yet."""
        raise ModelNotFoundError("No model here makes pictures.", hint="Name one in the settings: images.model.")

    async def close(self) -> None:
        while self._open:
            await self._open.popitem()[1].close()
