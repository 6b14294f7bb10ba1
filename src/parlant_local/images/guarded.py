"""A backend behind the owner's rules: bounds, who may wait, and what may leave this machine."""

from __future__ import annotations

from parlant_local.errors import CloudNotAllowedError, QueueFullError
from parlant_local.images.base import ImageBackend, ImageModel, ImageReply, ImageRequest, OnProgress
from parlant_local.images.limits import bounded
from parlant_local.observability import Logger
from parlant_local.settings import Settings

__all__ = ["GuardedImages"]


class GuardedImages(ImageBackend):
    """Delegates to ``inner``. Every door goes through it, so that all keep the same rules."""

    def __init__(self, inner: ImageBackend, settings: Settings, logger: Logger) -> None:
        self.inner = inner
        self.remote_calls = 0
        """Prompts that left this machine."""
        self._settings, self._logger = settings, logger
        self._inside = 0

    async def generate(self, request: ImageRequest, on_progress: OnProgress | None = None) -> ImageReply:
        """Raises :class:`BadRequestError`, :class:`CloudNotAllowedError` and :class:`QueueFullError` before any work."""
        info = self.inner.model_info()
        asked, remote = bounded(request, self._settings.images, defaults=info.controls), info.remote
        if remote:
            self._check_leave()
        limit = self._settings.images.max_queue
        if self._inside > limit:  # one of them is not waiting
            raise QueueFullError(
                f"{limit} requests for pictures are waiting already (images.max_queue).",
                limit=limit,
                hint="Try again later.",
            )
        self._inside += 1
        try:
            if remote:
                self.remote_calls += 1
                self._logger.info(f"remote call: target={self.model_info().id} pictures={asked.count}")
            return await self.inner.generate(asked, on_progress)
        finally:
            self._inside -= 1

    def _check_leave(self) -> None:
        name = self.inner.model_info().id
        if self._settings.offline:
            raise CloudNotAllowedError(
                f"{name} is not on this machine, and offline mode is on.", hint="Set PARLANT_LOCAL_OFFLINE=false."
            )
        if self._settings.switcher.allow_cloud == "never":
            raise CloudNotAllowedError(
                f"{name} is not on this machine, and sending prompts off this machine is disabled.",
                hint="Set PARLANT_LOCAL_SWITCHER__ALLOW_CLOUD to fallback or always.",
            )

    def model_info(self) -> ImageModel:
        return self.inner.model_info()

    async def load(self) -> None:
        if self.inner.model_info().remote:
            self._check_leave()
        await self.inner.load()

    async def close(self) -> None:
        await self.inner.close()
