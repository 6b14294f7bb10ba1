"""The model beside the model that turns pictures and sounds into embeddings (``mmproj``): loaded, asked, released."""

from __future__ import annotations

import ctypes
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from parlant_local.engine.media.inputs import Image, Media, Sound
from parlant_local.engine.media.spans import Span, stand_ins
from parlant_local.engine.model import LoadedModel
from parlant_local.engine.native import clear_log, recent_log
from parlant_local.engine.native.media import IMAGE, TEXT, EvalCallback, InputPart, media_library
from parlant_local.errors import BadRequestError, EngineError, ModelLoadError

__all__ = ["Projector", "ReadMedia", "Stopped"]

_MIB = 1024 * 1024
_KNOWN_BYTES = 256 * _MIB  # of embeddings that are kept, since clients send a picture again with each turn
_OBSERVED = 32  # of so many operations one ends a stretch after which the encoder can be stopped

Embeddings = npt.NDArray[np.float32]


class Stopped(Exception):
    """The encoder was stopped: nobody waits for its result."""


@dataclass(frozen=True, slots=True)
class ReadMedia:
    """What stands for a picture or sound in a prompt; its spans count from its own beginning."""

    tokens: npt.NDArray[np.int32]
    spans: tuple[Span, ...]

    @property
    def size(self) -> int:
        """Bytes of embeddings."""
        return sum(span.embeddings.nbytes for span in self.spans)


class Projector:
    """A loaded projector of ``model``. Its calls block and are made one at a time, from any thread."""

    def __init__(self, path: Path, model: LoadedModel, *, threads: int, gpu: bool) -> None:
        """Takes up to seconds. Raises :class:`ModelLoadError` where ``path`` is no projector of this model."""
        self.path = path
        self.size = path.stat().st_size
        self._lib = media_library()
        self._lock = threading.Lock()
        self._model = model.hold()
        self._width = int(model._lib.llama_model_n_embd_inp(model.pointer))
        self._known: OrderedDict[bytes, ReadMedia] = OrderedDict()
        self._stopped: Callable[[], bool] = lambda: False
        self._operations = 0
        self._observe = EvalCallback(self._on_operation)  # the library keeps its address
        params = self._lib.mtmd_context_params_default()
        params.use_gpu = gpu
        params.print_timings = False
        params.warmup = False
        params.n_threads = threads
        params.cb_eval = self._observe
        clear_log()
        self._pointer: Any = self._lib.mtmd_init_from_file(os.fsencode(path), model.pointer, params)
        if not self._pointer:
            reason = recent_log()
            model.release()
            raise ModelLoadError(
                f"{path.name} can't be used with {model.path.name} ({reason or 'no reason given'}).",
                hint="Take the mmproj file that was published with this model.",
            )
        self.sees = bool(self._lib.mtmd_support_vision(self._pointer))
        self.hears = bool(self._lib.mtmd_support_audio(self._pointer))
        self.sample_rate = int(self._lib.mtmd_get_audio_sample_rate(self._pointer)) if self.hears else 0
        self._several_axes = bool(self._lib.mtmd_decode_use_mrope(self._pointer))

    @property
    def pointer(self) -> Any:
        return self._pointer

    def close(self) -> None:
        with self._lock:
            if self._pointer is not None:
                self._lib.mtmd_free(self._pointer)
                self._pointer = None
                self._model.release()

    def whole_at_once(self, chunk: Any) -> bool:
        """Whether its embeddings attend to each other in both directions, so that one micro-batch has to hold them."""
        return bool(self._lib.mtmd_decode_use_non_causal(self._pointer, chunk))

    def read(self, media: Media, stopped: Callable[[], bool]) -> ReadMedia:
        """What stands for ``media`` in a prompt: ids, with stand-ins where embeddings belong, and these.

        ``stopped`` is asked while the encoder works: raises :class:`Stopped`. Raises :class:`BadRequestError` for what the projector
        can't read.
        """
        self._check(media)
        with self._lock:
            if self._pointer is None:
                raise EngineError(f"The projector {self.path.name} was unloaded.")
            if (found := self._known.pop(media.digest, None)) is None:
                found = self._read(media, stopped)
            self._known[media.digest] = found
            while len(self._known) > 1 and sum(each.size for each in self._known.values()) > _KNOWN_BYTES:
                self._known.popitem(last=False)
            return found

    def _check(self, media: Media) -> None:
        name = self._model.path.name
        if isinstance(media, Image) and not self.sees:
            raise BadRequestError(f"{name} reads no pictures.", hint="Use a model that sees.")
        if isinstance(media, Sound) and not self.hears:
            raise BadRequestError(f"{name} reads no sounds.", hint="Use a model that hears.")
        if isinstance(media, Sound) and media.rate != self.sample_rate:
            raise BadRequestError(
                f"{name} reads {self.sample_rate} samples a second, not {media.rate}.",
                hint="Decode the sound at that rate.",
            )

    def _read(self, media: Media, stopped: Callable[[], bool]) -> ReadMedia:
        lib = self._lib
        bitmap, chunks = self._bitmap(media), lib.mtmd_input_chunks_init()
        try:
            clear_log()
            part = InputPart(None, bitmap)
            parts = (ctypes.POINTER(InputPart) * 1)(ctypes.pointer(part))
            status = lib.mtmd_tokenize_from_parts(self._pointer, chunks, parts, 1, False)
            if status != 0:
                raise BadRequestError(
                    f"{self.path.name} could not read a picture or sound ({recent_log() or f'status {status}'}).",
                    hint="Send another size or format.",
                )
            return self._collect(media.digest, chunks, stopped)
        finally:
            lib.mtmd_input_chunks_free(chunks)
            lib.mtmd_bitmap_free(bitmap)

    def _bitmap(self, media: Media) -> Any:
        if isinstance(media, Image):
            return self._lib.mtmd_bitmap_init(media.width, media.height, np.ascontiguousarray(media.pixels).tobytes())
        samples = np.ascontiguousarray(media.samples)
        return self._lib.mtmd_bitmap_init_from_audio(
            samples.size, samples.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        )

    def _collect(self, digest: bytes, chunks: Any, stopped: Callable[[], bool]) -> ReadMedia:
        """The chunks that the library made: marks as tokens, and a picture whole or in tiles."""
        lib = self._lib
        ids: list[npt.NDArray[np.int32]] = []
        spans: list[Span] = []
        size = 0
        for index in range(lib.mtmd_input_chunks_size(chunks)):
            chunk = lib.mtmd_input_chunks_get(chunks, index)
            kind = lib.mtmd_input_chunk_get_type(chunk)
            length = int(lib.mtmd_input_chunk_get_n_tokens(chunk))
            if kind == TEXT:
                ids.append(self._tokens(chunk, length))
            else:
                positions = int(lib.mtmd_input_chunk_get_n_pos(chunk))
                held = 1 if self._several_axes and kind == IMAGE else positions  # all of a picture is at one time
                embeddings = self._encode(chunk, length, stopped)
                spans.append(Span(size, length, positions, held, Chunk(lib, chunk), embeddings))
                ids.append(stand_ins(b"%s/%d" % (digest, index), length))
            size += length
        return ReadMedia(np.concatenate(ids), tuple(spans))

    def _tokens(self, chunk: Any, length: int) -> npt.NDArray[np.int32]:
        count = ctypes.c_size_t()
        pointer = self._lib.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(count))
        return np.ctypeslib.as_array(pointer, (length,)).copy() if length else np.empty(0, np.int32)

    # -- decoding (on the engine's thread) ----------------------------------------------------------------------------

    def decode(self, context: Any, span: Span, sequence: int, position: int, batch: int, after: ctypes.c_int32) -> int:
        """``llama_decode`` of a span's embeddings, in batches of up to ``batch``; its status."""
        embeddings = span.embeddings.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        return int(
            self._lib.mtmd_helper_decode_image_chunk(
                self._pointer,
                context,
                span.chunk.pointer,
                embeddings,
                position,
                sequence,
                batch,
                ctypes.byref(after),
                None,
                None,
            )
        )

    # -- encoding -----------------------------------------------------------------------------------------------------

    def _encode(self, chunk: Any, length: int, stopped: Callable[[], bool]) -> Embeddings:
        self._stopped, self._operations = stopped, 0
        clear_log()
        status = self._lib.mtmd_encode_chunk(self._pointer, chunk)
        if stopped():
            raise Stopped
        if status != 0:
            raise EngineError(
                f"{self.path.name} failed to encode a picture or sound ({recent_log() or f'status {status}'})."
            )
        output = self._lib.mtmd_get_output_embd(self._pointer)
        return np.ctypeslib.as_array(output, (length, self._width)).copy()

    def _on_operation(self, _tensor: int | None, asked: bool, _data: int | None) -> bool:
        """ggml asks (``asked``) after which operations it is to stop for a look, and then whether to go on."""
        if not asked:
            return not self._stopped()
        self._operations += 1
        return self._operations % _OBSERVED == 0


class Chunk:
    """A chunk of its own, which decoding needs for its positions."""

    def __init__(self, lib: Any, chunk: Any) -> None:
        self._lib = lib
        self.pointer = lib.mtmd_input_chunk_copy(chunk)

    def __del__(self) -> None:
        self._lib.mtmd_input_chunk_free(self.pointer)
