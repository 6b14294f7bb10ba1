"""Pictures in this server: which models make them, the jobs, and what is kept."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from parlant_local.errors import RequestRefusedError
from parlant_local.images import ImageBackend, ImageDirectory, ImageModel, ImageReply, ImageRequest, Picture
from parlant_local.images.limits import bounded
from parlant_local.server.draining import Drain
from parlant_local.server.events import Events
from parlant_local.server.images.formats import encoded
from parlant_local.server.images.gallery import Entry, Gallery, new_id
from parlant_local.server.images.jobs import Finished, Job, Jobs, Order
from parlant_local.server.images.reports import ended_earlier, job_report, kept_report
from parlant_local.server.logs import ServerLogger
from parlant_local.server.metrics import Metrics
from parlant_local.server.shapes.answers import ImageJob, KeptImage
from parlant_local.settings import Settings

__all__ = ["ImageService"]

_OPENAI_NAMES = ("dall-e", "gpt-image", "chatgpt-image")
_SWEEP_SECONDS = 60.0
_LEAST_SECONDS = 1.0  # a file that can't be removed is tried again, but not at once


class ImageService:
    """Belongs to one event loop."""

    def __init__(
        self, settings: Settings, directory: ImageDirectory, drain: Drain, metrics: Metrics, logger: ServerLogger
    ) -> None:
        self.settings, self.directory = settings, directory
        self.events = Events()
        self.gallery = Gallery(settings.home / "pictures", settings.images, logger)
        self.jobs = Jobs(settings.images, drain, logger, self._finish, self._publish, self._measure)
        self._metrics = metrics
        self._sweeper: asyncio.Task[None] | None = None
        self._kept = asyncio.Event()
        """Set by each picture that is kept: the next one that expires may be another than before."""

    async def start(self) -> None:
        await asyncio.to_thread(self.gallery.open)
        self._sweeper = asyncio.ensure_future(self._sweep())

    async def close(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper
        await self.jobs.close()
        await self.directory.close()

    # -- models -------------------------------------------------------------------------------------------------------

    def models(self) -> list[ImageModel]:
        return self.directory.models()

    def makes(self, name: str) -> bool:
        """Whether a model of this name makes pictures."""
        return any(model.id == name for model in self.models())

    def backend(self, name: str | None) -> tuple[str, ImageBackend]:
        """The listed id and its backend. OpenAI's own names mean the default one: some clients can send no others.

        Raises :class:`ModelNotFoundError`.
        """
        if name and name.lower().startswith(_OPENAI_NAMES) and not self.makes(name):
            name = None
        backend = self.directory.backend(name or None)
        return backend.model_info().id, backend

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def check(self, request: ImageRequest, model: str | None) -> tuple[str, ImageBackend, ImageRequest]:
        """The model's id, its backend, and the request with the defaults of the settings. Raises for what exceeds a limit or can't be
        done, before any work."""
        name, backend = self.backend(model)
        info = backend.model_info()
        asked = bounded(request, self.settings.images, defaults=info.controls)
        if asked.sources and not info.edits:
            raise RequestRefusedError(
                400, f"{name} takes no pictures to start from.", code="unsupported", param="image"
            )
        return name, backend, asked

    def start_job(self, request: ImageRequest, model: str | None, *, detached: bool, **form: Any) -> Job:
        """``form``: the rest of an :class:`~parlant_local.server.images.jobs.Order`. Raises as :meth:`check` does."""
        name, backend, asked = self.check(request, model)
        return self.jobs.start(Order(asked, name, backend, **form), detached=detached)

    def require_keeping(self) -> None:
        """Raises :class:`RequestRefusedError` where there would be nothing to show of a job."""
        if not self.gallery.keeps:
            raise RequestRefusedError(
                400,
                "This server keeps no pictures (images.keep_hours, images.keep_mb): take POST /v1/images/generations with "
                "`response_format: b64_json`.",
                code="unsupported",
            )

    def report(self, job: Job) -> ImageJob:
        return job_report(job, self.jobs.ahead(job), self._keep_seconds)

    def kept(self, entry: Entry) -> KeptImage:
        return kept_report(entry, self._keep_seconds)

    async def find_job(self, identity: str, owner: str) -> ImageJob | None:
        """A job of this owner, one of an earlier run included, as long as its pictures are kept."""
        job = self.jobs.find(identity)
        if job is not None:
            return self.report(job) if job.order.owner == owner else None
        entries = await asyncio.to_thread(self.entries_of, identity, owner)
        return ended_earlier(entries, self._keep_seconds) if entries else None

    def entries_of(self, identity: str, owner: str) -> list[Entry]:
        """The kept picture of this id, or those of the job; the newest first. Blocks."""
        return [entry for entry in self.gallery.entries(owner) if identity in (entry.id, entry.job)]

    async def remove(self, entries: list[Entry]) -> int:
        removed = await asyncio.to_thread(self.gallery.remove, entries)
        if entries:
            self.events.publish("removed", owner=entries[0].owner, ids=[entry.id for entry in entries])
        return removed

    async def told(self, owner: str) -> AsyncGenerator[dict[str, Any], None]:
        """An owner's events."""
        async for event in self.events.subscribe():
            if event.get("owner") == owner:
                yield {name: value for name, value in event.items() if name != "owner"}

    @property
    def _keep_seconds(self) -> float:
        return self.settings.images.keep_hours * 3600

    def _publish(self, job: Job) -> None:
        self.events.publish("job", owner=job.order.owner, job=self.report(job))

    def _measure(self, job: Job, seconds: float) -> None:
        self._metrics.made(job.order.model, job.state, len(job.pictures), seconds)

    # -- pictures -----------------------------------------------------------------------------------------------------

    async def _finish(self, job: Job, reply: ImageReply) -> list[Finished]:
        return [await self._finished(job, reply, picture) for picture in reply.pictures]

    async def _finished(self, job: Job, reply: ImageReply, picture: Picture) -> Finished:
        order = job.order
        data = await encoded(picture, order.model, order.form, order.quality)
        if not (order.keep and self.gallery.keeps):
            return Finished(data, picture.width, picture.height, picture.seed, None)
        asked = order.request
        entry = Entry(
            id=new_id(),
            job=job.id,
            owner=order.owner,
            created=self.gallery.now(),
            form=order.form,
            size=len(data),
            width=picture.width,
            height=picture.height,
            model=order.model,
            prompt=asked.prompt,
            negative_prompt=asked.negative_prompt,
            seed=picture.seed,
            steps=reply.steps if reply.steps is not None else asked.steps,
            guidance=reply.guidance if reply.guidance is not None else asked.guidance,
            sampler=reply.sampler or asked.sampler,
            strength=asked.strength,
            edited=job.edited,
            seconds=round(reply.seconds, 3),
        )
        await asyncio.to_thread(self.gallery.add, entry, data)
        self._kept.set()
        return Finished(data, picture.width, picture.height, picture.seed, entry)

    async def _sweep(self) -> None:
        while True:
            left = self.gallery.next_expiry()
            self._kept.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(
                    _SWEEP_SECONDS if left is None else min(max(left, _LEAST_SECONDS), _SWEEP_SECONDS)
                ):
                    await self._kept.wait()
                    continue
            await asyncio.to_thread(self.gallery.sweep)
