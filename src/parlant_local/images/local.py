"""Pictures made on this machine, by stable-diffusion.cpp in a process of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from importlib.util import find_spec
from typing import Any, Protocol

from parlant_local.catalog import LocalModelManager
from parlant_local.cores import usable_cores
from parlant_local.engine.pool_memory import PoolMemory
from parlant_local.errors import (
    BadRequestError,
    ConfigurationError,
    EngineClosedError,
    EngineError,
    EngineFailedError,
    InsufficientMemoryError,
    ModelLoadError,
    StallError,
)
from parlant_local.gguf_info import available_memory
from parlant_local.images.architectures import SAMPLERS, memory_for
from parlant_local.images.base import (
    ImageBackend,
    ImageModel,
    ImageProgress,
    ImageReply,
    ImageRequest,
    OnProgress,
    Picture,
)
from parlant_local.images.child import Answer, Child
from parlant_local.images.files import ModelFiles, find_files
from parlant_local.images.job import job_of, usual_size
from parlant_local.images.sources import read_sources
from parlant_local.observability import Logger, NullLogger
from parlant_local.settings import Settings
from parlant_local.settings.images import ImageModelSettings

__all__ = ["LocalImages", "Room"]

_PACKAGE = "stable_diffusion_cpp"
_INSTALL = 'pip install "parlant-local[images]" (it compiles stable-diffusion.cpp: a C++ compiler and some minutes)'
_MIB = 1024 * 1024
_MEMORY_WORDS = ("alloc", "out of memory", "not enough memory")


class Room(Protocol):
    """Where models find memory: a pool that lets one give way to another."""

    def __call__(self, name: str, guest: LocalImages) -> AbstractAsyncContextManager[object]: ...


class LocalImages(ImageBackend):
    """One model. Jobs take turns; the process is started for the first one, and anew after one that was cancelled or failed.

    ``room``: what a job is counted in while the model is loaded. None: it is only checked that there is enough memory.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        *,
        manager: LocalModelManager | None = None,
        room: Room | None = None,
        logger: Logger | None = None,
    ) -> None:
        self._name, self._settings = name, settings
        self._model = settings.images.models.get(name) or ImageModelSettings()
        self._manager = manager or LocalModelManager(logger, settings=settings)
        self._room, self._logger = room, logger or NullLogger()
        self._files: ModelFiles | None = None
        self._child: Child | None = None
        self._turn = asyncio.Lock()
        self._largest = (0, 0)
        self._peak = 0

    def model_info(self) -> ImageModel:
        files = self._files
        size = None if files is None else usual_size(files, self._model)
        return ImageModel(
            id=self._name,
            name=self._name.rpartition("/")[2],
            architecture=None if files is None else files.architecture,
            edits=self._model.edits != "none" and (files is None or files.encodes),
            width=size and size[0],
            height=size and size[1],
            memory_bytes=None if files is None else self.memory().ram,
            loaded=self._child is not None and self._child.alive,
        )

    def memory(self) -> PoolMemory:
        """What it takes: the estimate for the largest picture that was asked for, or what it was seen to take. Its files are known."""
        if self._model.memory_mb is not None:
            return PoolMemory(self._model.memory_mb * _MIB)
        assert self._files is not None
        width, height = self._largest
        estimate = memory_for(self._files, width, height, flash_attention=self._model.flash_attention)
        return PoolMemory(max(estimate, self._peak))

    async def load(self) -> None:
        await self._inspect(None)
        async with self._in_room(), self._turn:
            await self._running()

    async def generate(self, request: ImageRequest, on_progress: OnProgress | None = None) -> ImageReply:
        files = await self._inspect(request)
        request = await read_sources(request, self._settings.images)
        if request.sources and not self.model_info().edits:
            raise BadRequestError(
                f"{self._name} can't start from a picture.",
                hint="It needs a VAE with its encoder, and images.models.NAME.edits other than none.",
                field="image",
            )
        job = job_of(request, files, self._model)
        if job["sampler"] not in (None, *SAMPLERS):
            raise BadRequestError(
                f"There is no sampler {job['sampler']!r}.", hint=f"These are: {', '.join(SAMPLERS)}.", field="sampler"
            )
        blobs = [*request.sources, *filter(None, [request.mask])]
        self._largest = max(self._largest, (job["width"], job["height"]), key=lambda size: size[0] * size[1])
        async with self._in_room(), self._turn:
            return await self._draw(job, blobs, on_progress)

    async def close(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            await asyncio.to_thread(child.end)

    # -- before the job -----------------------------------------------------------------------------------------------

    async def _inspect(self, request: ImageRequest | None) -> ModelFiles:
        if find_spec(_PACKAGE) is None:
            raise ConfigurationError(
                f"{self._name} makes pictures with stable-diffusion.cpp, which is not installed.", hint=_INSTALL
            )
        if self._files is None:
            self._files = await asyncio.to_thread(find_files, self._name, self._model, self._manager)
        if request is None:
            self._largest = max(self._largest, usual_size(self._files, self._model))
        return self._files

    def _in_room(self) -> AbstractAsyncContextManager[object]:
        return nullcontext() if self._room is None else self._room(self._name, self)

    # -- the process --------------------------------------------------------------------------------------------------

    async def _running(self) -> Child:
        """The process with its model, started where there is none."""
        if self._child is not None and self._child.alive:
            return self._child
        self._check_memory()
        started = time.monotonic()
        child = self._child = await asyncio.to_thread(Child, asyncio.get_running_loop())
        try:
            await child.send({"options": self._options()})
            while (answer := await self._next(child))[0]["at"] != "loaded":
                self._raise_failure(child, answer[0], f"{self._name} could not be loaded")
        except BaseException as error:
            closed = not await self._give_up(child)
            if isinstance(error, EngineFailedError):
                raise self._failure(
                    f"{self._name} could not be loaded", error.message, ModelLoadError, closed
                ) from None
            raise
        self._note_peak(answer)
        self._logger.info(f"Loaded {self._name} in {time.monotonic() - started:.1f} s, in the process {child.pid}.")
        return child

    def _options(self) -> dict[str, object]:
        assert self._files is not None
        model = self._model
        return {
            **self._files.options,
            "n_threads": model.threads or usable_cores(),
            "vae_decode_only": not self._files.encodes,
            "diffusion_flash_attn": model.flash_attention,
            "offload_params_to_cpu": model.offload,
        }

    async def _draw(self, job: dict[str, Any], blobs: Sequence[bytes], on_progress: OnProgress | None) -> ImageReply:
        child: Child | None = None
        limit = self._settings.images.timeout_seconds
        try:
            async with asyncio.timeout(limit) as deadline:
                child = await self._running()
                started = time.monotonic()
                await child.send(job, blobs)
                while (answer := await self._next(child))[0]["at"] != "done":
                    self._raise_failure(child, answer[0], f"{self._name} could not draw")
                    _tell(answer[0], job, on_progress)
        except BaseException as error:
            # It knows no cancelling, and what failed is not to be trusted.
            closed = child is not None and not await self._give_up(child)
            if isinstance(error, EngineFailedError):
                raise self._failure(
                    f"The process of {self._name} failed", error.message, EngineFailedError, closed
                ) from None
            if isinstance(error, TimeoutError) and deadline.expired():
                raise EngineError(
                    f"{self._name} took longer than {limit:g} s (images.timeout_seconds).",
                    hint="Ask for fewer steps or a smaller picture, or raise it.",
                ) from None
            raise
        self._note_peak(answer)
        return self._reply(job, answer, time.monotonic() - started)

    async def _next(self, child: Child) -> Answer:
        """The next answer. What the library logs is a sign of life too: it reports no steps while it reads a prompt or decodes."""
        patience = self._settings.images.stall_seconds
        asked = time.monotonic()
        while True:
            left = max(asked, child.last_sign) + patience - time.monotonic()
            if left <= 0:
                raise StallError(
                    f"{self._name} showed no progress for {patience:g} s (images.stall_seconds); its process was ended.",
                    hint="Ask for a smaller picture, or raise it.",
                )
            try:
                return await child.receive(left)
            except TimeoutError:
                continue

    async def _give_up(self, child: Child) -> bool:
        """Ends the process, also while the task is being cancelled: its memory is free before anything else happens.

        False where :meth:`close` was faster.
        """
        ours = self._child is child
        if ours:
            self._child = None
        await asyncio.shield(asyncio.to_thread(child.end))
        return ours

    # -- what came of it ----------------------------------------------------------------------------------------------

    def _check_memory(self) -> None:
        needed, available = self.memory().ram, available_memory()
        if needed > available:
            raise InsufficientMemoryError(
                f"{self._name} needs about {needed // _MIB} MiB for a picture of {self._largest[0]} x {self._largest[1]} pixels; "
                f"{available // _MIB} MiB are available.",
                needed=needed,
                available=available,
                hint=f"Ask for a smaller picture, use a smaller quantization, or set images.models.{self._name}.memory_mb.",
            )

    def _raise_failure(self, child: Child, answer: dict[str, Any], what: str) -> None:
        if answer["at"] != "failed":
            return
        if answer["missing"]:
            raise ConfigurationError(f"stable-diffusion.cpp can't be used: {answer['text']}.", hint=_INSTALL)
        raise self._failure(
            what, child.last_words() or answer["text"], ModelLoadError if "load" in what else EngineError
        )

    def _failure(self, what: str, words: str, kind: Callable[..., EngineError], closed: bool = False) -> EngineError:
        if closed:
            return EngineClosedError(f"{self._name} was closed.", hint="Send the request again to load it.")
        message = f"{what}: {words.rstrip('.')}."
        if any(word in words.lower() for word in _MEMORY_WORDS) or "SIGKILL" in words:
            return InsufficientMemoryError(
                message,
                needed=self.memory().ram,
                available=available_memory(),
                hint="The system may have ended it for want of memory: ask for a smaller picture, or use a smaller quantization.",
            )
        return kind(message, hint=f"Check the files of images.models.{self._name}." if kind is ModelLoadError else "")

    def _note_peak(self, answer: Answer) -> None:
        self._peak = max(self._peak, answer[0].get("peak") or 0)

    def _reply(self, job: dict[str, Any], answer: Answer, seconds: float) -> ImageReply:
        head, files = answer
        sizes = head["sizes"]
        pictures = tuple(
            Picture(data, width, height, seed=job["seed"] + number)
            for number, (data, (width, height)) in enumerate(zip(files, sizes, strict=True))
        )
        return ImageReply(
            pictures,
            model=self._name,
            steps=job["steps"],
            guidance=job["guidance"],
            sampler=head["sampler"],
            seconds=seconds,
        )


def _tell(answer: dict[str, Any], job: dict[str, Any], on_progress: OnProgress | None) -> None:
    if on_progress is not None and answer["at"] == "drawing":
        picture = max(1, answer["picture"])
        on_progress(ImageProgress(answer["step"], answer["steps"], picture=picture, count=job["count"]))
