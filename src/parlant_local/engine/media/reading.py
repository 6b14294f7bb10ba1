"""Reads the pictures and sounds of prompts on a thread of their own, so that text goes on meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from parlant_local.engine.media.inputs import Media
from parlant_local.engine.media.projector import Projector, Stopped
from parlant_local.engine.media.spans import ReadPrompt, Span, Spans
from parlant_local.engine.model import LoadedModel
from parlant_local.errors import BadRequestError, EngineClosedError

__all__ = ["MediaReader", "Senses"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Senses:
    """What a model reads besides text."""

    sees: bool = False
    hears: bool = False
    sample_rate: int = 0
    """Samples a second that it expects of a sound."""


def _nothing(path: Path) -> Projector:
    raise EngineClosedError(f"{path.name} was unloaded.")


class MediaReader:
    """Reads for one model. The projector is loaded when the first picture or sound comes."""

    def __init__(
        self, path: Path | None, model: LoadedModel, load: Callable[[Path], Projector], micro_batch: int
    ) -> None:
        self._path = path
        self._model = model
        self._load = load
        self._micro_batch = micro_batch
        self._projector: Projector | None = None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="parlant-local-media")

    @property
    def memory_bytes(self) -> int:
        """Of the projector, once it is loaded; embeddings that are kept have a limit of their own."""
        return 0 if self._projector is None else self._projector.size

    def projector(self) -> Projector:
        """Loads it if need be. Raises :class:`BadRequestError` where the model has none."""
        with self._lock:
            if self._projector is None:
                if self._path is None:
                    raise BadRequestError(
                        f"{self._model.path.name} reads text only.", hint="Use a model that comes with an mmproj file."
                    )
                self._projector = self._load(self._path)
            return self._projector

    async def senses(self) -> Senses:
        """What the model reads besides text; loads its projector, if it has one."""
        if self._path is None:
            return Senses()
        projector = await self._on_thread(self.projector)
        return Senses(projector.sees, projector.hears, projector.sample_rate)

    async def read(self, parts: Sequence[Sequence[int] | Media]) -> ReadPrompt:
        """A prompt of token ids with pictures and sounds between them. Cancelling the task stops the encoder within some operations."""
        abandoned = threading.Event()
        try:
            return await self._on_thread(partial(self._read, parts, abandoned))
        except asyncio.CancelledError:
            abandoned.set()
            raise

    async def _on_thread(self, work: Callable[[], T]) -> T:
        if self._closing.is_set():
            raise self._closed()
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _closed(self) -> EngineClosedError:
        return EngineClosedError(f"{self._model.path.name} was unloaded while a picture or sound was read.")

    def _read(self, parts: Sequence[Sequence[int] | Media], abandoned: threading.Event) -> ReadPrompt:
        if not parts or isinstance(parts[-1], Media) or not len(parts[-1]):
            raise BadRequestError("A prompt has to end with text.", hint="Put the question behind the picture.")
        if self._closing.is_set():
            raise self._closed()
        projector = self.projector()
        ids: list[npt.NDArray[np.int32]] = []
        spans: list[Span] = []
        size = 0
        for part in parts:
            if isinstance(part, Media):
                try:
                    read = projector.read(part, lambda: abandoned.is_set() or self._closing.is_set())
                except Stopped:
                    if self._closing.is_set():
                        raise self._closed() from None
                    raise asyncio.CancelledError from None  # as its task was
                self._check_sizes(projector, read.spans)
                spans += [span.moved(size) for span in read.spans]
                ids.append(read.tokens)
            else:
                ids.append(np.asarray(part, dtype=np.int32))
            size += ids[-1].size
        return ReadPrompt(np.concatenate(ids), Spans(spans))

    def _check_sizes(self, projector: Projector, spans: Sequence[Span]) -> None:
        for span in spans:
            if span.length > self._micro_batch and projector.whole_at_once(span.chunk.pointer):
                raise BadRequestError(
                    f"A picture has {span.length} embeddings, which {self._model.path.name} reads at once; engine.n_ubatch is "
                    f"{self._micro_batch}.",
                    hint=f"Set engine.n_ubatch to {span.length} or more.",
                )

    def close(self) -> None:
        """Stops the encoder and frees the projector."""
        self._closing.set()
        self._thread.shutdown(wait=True)  # what waits for it fails at once, as what is being read
        with self._lock:
            projector, self._projector = self._projector, None
            self._load = _nothing  # it leads back to what owns this
        if projector is not None:
            projector.close()
