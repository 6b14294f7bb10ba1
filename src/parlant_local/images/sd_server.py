"""stable-diffusion.cpp's ``sd-server``, by its own API: jobs that are queued, asked about, and cancelled."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from parlant_local.backends.failures import from_status
from parlant_local.errors import (
    BackendError,
    InvalidOutputError,
    ParlantLocalError,
    TargetDownError,
    TransientError,
)
from parlant_local.images.answers import picture_bytes
from parlant_local.images.base import (
    ImageBackend,
    ImageModel,
    ImageProgress,
    ImageReply,
    ImageRequest,
    OnProgress,
    Picture,
)
from parlant_local.images.connection import EndpointConnection
from parlant_local.images.pictures import most_bytes, need_decoder, picture_of
from parlant_local.images.png import size_of
from parlant_local.images.sd_wire import Capabilities, Job, Told, img_gen_body, told_by
from parlant_local.images.sources import read_sources
from parlant_local.observability import Logger
from parlant_local.settings.images import ImageSettings

__all__ = ["SdServerImages"]

_SEEDS = 2**31
_ASK_SECONDS = 120.0
"""For an answer that no drawing goes into; pictures go both ways."""
_CANCEL_SECONDS = 5.0
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 1.0
_LOST_ANSWERS = 3
"""Questions about a job that may fail one after the other: much work may be in it."""
_SMALL = 1 << 20


class SdServerImages(ImageBackend):
    """Its model draws one job at a time. A job that is being drawn can't be stopped: the server finishes it, for nobody.

    It does not tell how many steps are done.
    """

    def __init__(
        self,
        id: str,
        connection: EndpointConnection,
        capabilities: Capabilities,
        settings: ImageSettings,
        logger: Logger,
    ) -> None:
        self._id, self._connection, self._capabilities = id, connection, capabilities
        self._settings, self._logger = settings, logger
        self._api = f"{connection.root}/sdcpp/v1"

    async def generate(self, request: ImageRequest, on_progress: OnProgress | None = None) -> ImageReply:
        need_decoder()
        asked = await read_sources(request, self._settings)
        if asked.sources and asked.width is None:  # the server would take its default size
            width, height = size_of(asked.sources[0])
            asked = replace(asked, width=width, height=height)
        self._capabilities.check(asked, self._id)
        # Drawn here: the server's own default is one seed for all.
        seed = asked.seed if asked.seed is not None else random.randrange(_SEEDS)
        pictures: list[Picture] = []
        told = Told()
        seconds = 0.0
        for done in range(0, asked.count, self._capabilities.limits["max_batch_count"]):
            count = min(asked.count - done, self._capabilities.limits["max_batch_count"])

            def report(queued: int, drawn: int = done) -> None:
                if on_progress is not None:
                    on_progress(ImageProgress(0, 0, drawn + 1, asked.count, queued))

            job, took = await self._drawn(img_gen_body(asked, seed=seed + done, count=count), report)
            more, told = await self._pictures(job, seed + done, count)
            pictures, seconds = pictures + more, seconds + took
        if len(pictures) < asked.count:
            self._logger.warning(f"{self._id} made {len(pictures)} of {asked.count} pictures.")
        return ImageReply(
            tuple(pictures),
            model=self._id,
            steps=told.steps or asked.steps,
            guidance=told.guidance if told.guidance is not None else asked.guidance,
            sampler=told.sampler or asked.sampler,
            seconds=seconds,
        )

    def model_info(self) -> ImageModel:
        known = self._capabilities
        return ImageModel(
            self._id,
            name=known.model,
            remote=self._connection.remote,
            edits=known.edits,
            width=known.width,
            height=known.height,
            loaded=True,
        )

    async def close(self) -> None:
        await self._connection.close()

    async def _drawn(self, body: dict[str, Any], report: Callable[[int], None]) -> tuple[Job, float]:
        """The finished job, and the seconds that it was drawn for. Cancelling cancels it there, where it still waits."""
        submission = asyncio.ensure_future(self._submitted(body))
        try:
            job = await asyncio.shield(submission)
            return await self._finished(job, report)
        except (asyncio.CancelledError, TargetDownError):
            await self._give_up(submission)
            raise

    async def _submitted(self, body: dict[str, Any]) -> Job:
        _, data = await self._connection.post(f"{self._api}/img_gen", body, limit=_SMALL, timeout=_ASK_SECONDS)
        return self._job(data)

    async def _finished(self, job: Job, report: Callable[[int], None]) -> tuple[Job, float]:
        asked, begun, wait, lost = time.monotonic(), None, _FIRST_WAIT, 0
        while job.status in ("queued", "generating"):
            if job.status == "generating" and begun is None:
                begun = time.monotonic()
            report(job.queued)
            if begun is not None and time.monotonic() - begun > self._settings.timeout_seconds:
                raise TargetDownError(
                    f"{self._id} was not done after {self._settings.timeout_seconds:g} s (images.timeout_seconds).",
                    hint="Raise it, or ask for a smaller picture or fewer steps.",
                )
            await asyncio.sleep(wait)
            wait = min(wait * 1.5, _LONGEST_WAIT)
            try:
                job, lost = await self._asked(job.id), 0
            except BackendError as error:
                lost, wait = lost + 1, _LONGEST_WAIT
                if lost > _LOST_ANSWERS or not (error.status is None or isinstance(error, TransientError)):
                    raise
                self._logger.debug(f"{self._id} did not answer about its job: {error}")
        if job.status == "completed":
            return job, time.monotonic() - (asked if begun is None else begun)
        if job.status == "failed":
            raise from_status(self._id, 500, job.problem)
        if job.status == "cancelled":
            raise TransientError(f"The job was cancelled at {self._id}, by somebody else.")
        raise TransientError(f"{self._id} sent a response that does not match its API.")

    async def _asked(self, job: str) -> Job:
        limit = _SMALL + self._settings.max_count * most_bytes(self._settings) * 4 // 3
        try:
            _, data = await self._connection.get(f"{self._api}/jobs/{job}", limit=limit, timeout=_ASK_SECONDS)
        except BackendError as error:
            if error.status in (404, 410):
                raise TargetDownError(
                    f"{self._id} no longer knows the job.",
                    status=error.status,
                    hint="It was restarted, most likely; try again.",
                ) from None
            raise
        return self._job(data)

    def _job(self, data: Any) -> Job:
        if (job := Job.of(data)) is None:
            raise TransientError(f"{self._id} sent a response that does not match its API.")
        return job

    async def _give_up(self, submission: asyncio.Future[Job]) -> None:
        """Waits shortly for a submission under way: its job has no name before."""
        with suppress(ParlantLocalError, TimeoutError):
            async with asyncio.timeout(_CANCEL_SECONDS):
                job = (await submission).id
                await self._connection.post(f"{self._api}/jobs/{job}/cancel", {}, limit=_SMALL, timeout=_CANCEL_SECONDS)
                return
        self._logger.debug(f"{self._id} goes on with a job that nobody waits for.")

    async def _pictures(self, job: Job, seed: int, count: int) -> tuple[list[Picture], Told]:
        if not job.pictures:
            raise InvalidOutputError(f"{self._id} finished without a picture.")
        # A model that draws in layers returns several of each; the first is the whole.
        layers = max(1, len(job.pictures) // count)
        made: list[Picture] = []
        told = Told()
        for number, text in enumerate(job.pictures[::layers][:count]):
            data = await picture_bytes(text, self._id)
            told = told_by(data)
            made.append(
                await picture_of(data, self._id, self._settings, seed=seed + number if told.seed is None else told.seed)
            )
        return made, told
