"""Reads the pictures and sounds of prompts on a thread of their own, so that text goes on meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from parlant_local.engine.media.inputs import MediaPrompt
from parlant_local.engine.media.projector import Projector
from parlant_local.engine.media.spans import Spans
from parlant_local.engine.model import LoadedModel
from parlant_local.errors import BadRequestError

__all__ = ["MediaReader", "ReadPrompt"]


@dataclass(frozen=True, slots=True)
class ReadPrompt:
    """Token ids, with stand-ins where embeddings belong, and these."""

    tokens: npt.NDArray[np.int32]
    spans: Spans


class MediaReader:
    """Reads for one model. The projector is loaded when the first picture or sound comes."""

    def __init__(self, path: Path | None, model: LoadedModel, load: Callable[[Path], Projector], micro_batch: int) -> None:
        self._path = path
        self._model = model
        self._load = load
        self._micro_batch = micro_batch
        self._projector: Projector | None = None
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="parlant-local-media")

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

    async def read(self, prompt: MediaPrompt) -> ReadPrompt:
        """Reads a prompt; cancelling the task stops the encoder within some operations."""
        abandoned = threading.Event()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, prompt, abandoned)
        except asyncio.CancelledError:
            abandoned.set()
            raise

    def _read(self, prompt: MediaPrompt, abandoned: threading.Event) -> ReadPrompt:
        projector, model = self.projector(), self._model
        if not prompt.parts or not isinstance(prompt.parts[-1], str) or not prompt.parts[-1]:
            raise BadRequestError("A prompt has to end with text.", hint="Put the question behind the picture.")
        first = model.bos if model.add_bos and model.bos >= 0 else None
        tokens, spans = projector.read(prompt.parts, abandoned.is_set, first=first)
        for span in spans:
            if span.length > self._micro_batch and projector.whole_at_once(span.chunk.pointer):
                raise BadRequestError(
                    f"A picture has {span.length} embeddings, which {model.path.name} reads at once; engine.n_ubatch is "
                    f"{self._micro_batch}.",
                    hint=f"Set engine.n_ubatch to {span.length} or more.",
                )
        return ReadPrompt(tokens, spans)

    def close(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            projector, self._projector = self._projector, None
        if projector is not None:
            projector.close()
