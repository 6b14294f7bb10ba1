"""The model beside the model that turns pictures and sounds into embeddings (``mmproj``): loaded, asked, released."""

from __future__ import annotations

import ctypes
import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from parlant_local.engine.media.inputs import Image, Media, Sound
from parlant_local.engine.media.spans import Span, Spans, stand_ins
from parlant_local.engine.model import LoadedModel
from parlant_local.engine.native import clear_log, recent_log
from parlant_local.engine.native.media import IMAGE, TEXT, EvalCallback, InputPart, InputText, media_library
from parlant_local.errors import BadRequestError, EngineError, ModelLoadError

__all__ = ["Projector", "Stopped"]

_MIB = 1024 * 1024
_CACHE_BYTES = 256 * _MIB
_OBSERVED = 32  # of so many operations one ends a stretch after which the encoder can be stopped

Embeddings = npt.NDArray[np.float32]


class Stopped(Exception):
    """The encoder was stopped: nobody waits for its result."""


class Projector:
    """A loaded projector of ``model``. Its calls block and are made one at a time, from any thread."""

    def __init__(self, path: Path, model: LoadedModel, *, threads: int, gpu: bool) -> None:
        """Takes up to seconds. Raises :class:`ModelLoadError` where ``path`` is no projector of this model."""
        self.path = path
        self._lib = media_library()
        self._lock = threading.Lock()
        self._model = model.hold()
        self._width = int(model._lib.llama_model_n_embd_inp(model.pointer))
        self._cached: OrderedDict[bytes, Embeddings] = OrderedDict()
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

    def read(
        self, parts: Sequence[str | Media], stopped: Callable[[], bool], *, first: int | None = None
    ) -> tuple[npt.NDArray[np.int32], Spans]:
        """Token ids of ``parts``, in which special tokens count as such, with stand-ins where embeddings belong, and those.

        ``first``: the token to begin with, never doubled. ``stopped`` is asked while the encoder works: raises :class:`Stopped`. Raises :class:`BadRequestError` for what the projector
        can't read.
        """
        for part in parts:
            self._check(part)
        with self._lock:
            if self._pointer is None:
                raise EngineError(f"The projector {self.path.name} was unloaded.")
            return self._read(parts, stopped, first)

    def _check(self, part: str | Media) -> None:
        if isinstance(part, Image) and not self.sees:
            raise BadRequestError(f"{self._model.path.name} reads no pictures.", hint="Use a model that sees.")
        if isinstance(part, Sound) and not self.hears:
            raise BadRequestError(f"{self._model.path.name} reads no sounds.", hint="Use a model that hears.")
        if isinstance(part, Sound) and part.rate != self.sample_rate:
            raise BadRequestError(
                f"{self._model.path.name} reads {self.sample_rate} samples a second, not {part.rate}.",
                hint="Decode the sound at that rate.",
            )

    def _read(
        self, parts: Sequence[str | Media], stopped: Callable[[], bool], first: int | None
    ) -> tuple[npt.NDArray[np.int32], Spans]:
        lib = self._lib
        bitmaps = [self._bitmap(part) for part in parts if not isinstance(part, str)]
        chunks = lib.mtmd_input_chunks_init()
        try:
            clear_log()
            given = _Parts(parts, bitmaps)
            status = lib.mtmd_tokenize_from_parts(self._pointer, chunks, given.pointers, len(parts), False)
            if status != 0:
                raise BadRequestError(
                    f"{self.path.name} could not read a picture or sound ({recent_log() or f'status {status}'}).",
                    hint="Send another size or format.",
                )
            return self._collect(chunks, stopped, first)
        finally:
            lib.mtmd_input_chunks_free(chunks)
            for bitmap in bitmaps:
                lib.mtmd_bitmap_free(bitmap)

    def _bitmap(self, media: Media) -> Any:
        if isinstance(media, Image):
            bitmap = self._lib.mtmd_bitmap_init(media.width, media.height, np.ascontiguousarray(media.pixels).tobytes())
        else:
            samples = np.ascontiguousarray(media.samples)
            pointer = samples.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            bitmap = self._lib.mtmd_bitmap_init_from_audio(samples.size, pointer)
        self._lib.mtmd_bitmap_set_id(bitmap, media.digest.hex().encode())
        return bitmap

    def _collect(
        self, chunks: Any, stopped: Callable[[], bool], first: int | None
    ) -> tuple[npt.NDArray[np.int32], Spans]:
        """Tokens and spans. A picture may become several chunks, with tokens between them; each is known by its number among them."""
        lib = self._lib
        ids: list[npt.NDArray[np.int32]] = []
        spans: list[Span] = []
        numbers: Counter[bytes] = Counter()
        size = 0
        if first is not None and not self._begins_with(chunks, first):
            ids.append(np.array([first], np.int32))
            size = 1
        for index in range(lib.mtmd_input_chunks_size(chunks)):
            chunk = lib.mtmd_input_chunks_get(chunks, index)
            kind = lib.mtmd_input_chunk_get_type(chunk)
            length = int(lib.mtmd_input_chunk_get_n_tokens(chunk))
            if kind == TEXT:
                ids.append(self._tokens(chunk, length))
            else:
                media = lib.mtmd_input_chunk_get_id(chunk)
                key = b"%s/%d" % (media, numbers[media])
                numbers[media] += 1
                positions = int(lib.mtmd_input_chunk_get_n_pos(chunk))
                held = 1 if self._several_axes and kind == IMAGE else positions  # all of a picture is at one time
                embeddings = self._embeddings(key, chunk, length, stopped)
                spans.append(Span(size, length, positions, held, Chunk(lib, chunk), embeddings))
                ids.append(stand_ins(key, length))
            size += length
        return np.concatenate(ids) if ids else np.empty(0, np.int32), Spans(spans)

    def _begins_with(self, chunks: Any, token: int) -> bool:
        lib = self._lib
        if not lib.mtmd_input_chunks_size(chunks):
            return False
        chunk = lib.mtmd_input_chunks_get(chunks, 0)
        length = int(lib.mtmd_input_chunk_get_n_tokens(chunk))
        return bool(length and lib.mtmd_input_chunk_get_type(chunk) == TEXT and self._tokens(chunk, length)[0] == token)

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

    def _embeddings(self, key: bytes, chunk: Any, length: int, stopped: Callable[[], bool]) -> Embeddings:
        if (found := self._cached.pop(key, None)) is None:
            found = self._encode(chunk, length, stopped)
        self._cached[key] = found
        while len(self._cached) > 1 and sum(each.nbytes for each in self._cached.values()) > _CACHE_BYTES:
            self._cached.popitem(last=False)
        return found

    def _encode(self, chunk: Any, length: int, stopped: Callable[[], bool]) -> Embeddings:
        self._stopped, self._operations = stopped, 0
        clear_log()
        status = self._lib.mtmd_encode_chunk(self._pointer, chunk)
        if stopped():
            raise Stopped
        if status != 0:
            raise EngineError(f"{self.path.name} failed to encode a picture or sound ({recent_log() or f'status {status}'}).")
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


class _Parts:
    """``mtmd_input_part``s, and what they point to."""

    def __init__(self, parts: Sequence[str | Media], bitmaps: Sequence[Any]) -> None:
        left = iter(bitmaps)
        self._texts = [part.encode() if isinstance(part, str) else None for part in parts]
        self._inputs = [None if text is None else InputText(text, len(text), False, True) for text in self._texts]
        self._parts = [
            InputPart(None, next(left)) if each is None else InputPart(ctypes.pointer(each), None) for each in self._inputs
        ]
        self.pointers = (ctypes.POINTER(InputPart) * len(parts))(*map(ctypes.pointer, self._parts))
