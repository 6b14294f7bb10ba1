"""A GGUF loaded by llama.cpp: weights, vocabulary and metadata. Reference-counted."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parlant_local.engine.loading import LoadControl
from parlant_local.engine.native import clear_log, library, recent_log, set_verbose
from parlant_local.engine.native.structs import ProgressCallback
from parlant_local.engine.repacking import is_mostly_repacked
from parlant_local.engine.vetting import Vetting, ensure_loadable
from parlant_local.engine.vetting.soundness import ensure_sound
from parlant_local.engine.vocabulary import Vocabulary
from parlant_local.engine.weights import Weights, share
from parlant_local.errors import (
    EngineClosedError,
    InvalidModelError,
    ModelLoadError,
    UnsupportedModelError,
)
from parlant_local.gguf_info import GGUFHeader, check_is_adapter, check_is_model, read_header
from parlant_local.observability import Logger, NullLogger
from parlant_local.paths import user_path

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from parlant_local.engine.layout import Layout
    from parlant_local.settings import EngineSettings

__all__ = ["LoadedModel"]


_UNVETTED = Vetting()
_ALL_LAYERS = 999


class LoadedModel(Vocabulary):
    """Weights and vocabulary. Vocabulary calls are safe from any thread while a reference is held."""

    def __init__(
        self,
        path: Path,
        settings: EngineSettings,
        *,
        vocabulary_only: bool = False,
        vetting: Vetting | None = _UNVETTED,
        layout: Layout | None = None,
        control: LoadControl | None = None,
        logger: Logger | None = None,
    ) -> None:
        """Loads the file; seconds to minutes, off the event loop. Raises :class:`ModelLoadError` and its subclasses, or
        :class:`EngineClosedError` where ``control`` was cancelled.

        ``vocabulary_only`` skips the weights: milliseconds, enough to tokenise and to read metadata. ``vetting`` says what
        is known of the file (None: this is the trial process), ``layout`` how it will be used.
        """
        control = control or LoadControl(path.name)
        mapped = settings.use_mmap is not False
        if vetting is not None:
            header = _check_files(path, settings, vocabulary_only=vocabulary_only)
            if settings.use_mmap is None and not vocabulary_only:
                mapped = _is_best_mapped(header, settings)
            if settings.vetting != "never":
                ensure_sound(settings.library, vetting.verdicts, control, logger or NullLogger())
            ensure_loadable(
                path,
                settings,
                vetting,
                layout=layout,
                vocabulary_only=vocabulary_only,
                control=control,
                logger=logger or NullLogger(),
            )
        lib = library(settings.library)
        set_verbose(settings.verbose)
        params = lib.llama_model_default_params()
        _offload(lib, params, settings.n_gpu_layers, layout)
        params.load_mode = _load_mode(lib, mapped, settings.use_mlock)
        params.vocab_only = vocabulary_only
        progress = ProgressCallback(lambda share, _: control.on_progress(share))
        params.progress_callback = progress

        def load() -> Any:
            clear_log()
            if pointer := lib.llama_model_load_from_file(os.fsencode(path), params):
                return pointer
            control.check()
            raise _load_error(path, recent_log())

        if layout is not None and not layout.gpu_layers:
            how = (str(settings.library), mapped, settings.use_mlock)
            self._weights = share(path, how, lib, control, load)
        else:
            self._weights = Weights(lib, load())
        self.path = path
        self._lib = lib
        self._pointer: Any = self._weights.pointer
        self._references = 1
        self._lock = threading.Lock()
        self._vocab: Any = lib.llama_model_get_vocab(self._pointer)
        self._adapters: list[Any] = []
        self.lora: dict[str, float] = dict(settings.lora)
        self._control: npt.NDArray[np.float32] | None = None
        try:
            if settings.control_vectors:
                from parlant_local.engine.control_vectors import combined  # the trial process starts without it

                self._control = combined(settings.control_vectors, self.n_layer, self.n_embd)
                self._control_layers = settings.control_vector_layers
            self._adapters += [self._weights.adapter(adapter, path.name) for adapter in settings.lora]
        except BaseException:
            self.release()
            raise

    # -- life ---------------------------------------------------------------------------------------------------------

    @property
    def pointer(self) -> Any:
        if self._pointer is None:
            raise EngineClosedError(f"The model {self.path.name} was unloaded.", hint="Create a new engine.")
        return self._pointer

    @property
    def vocab(self) -> Any:
        if self._vocab is None:  # llama.cpp would dereference a null pointer
            raise EngineClosedError(f"The model {self.path.name} was unloaded.", hint="Create a new engine.")
        return self._vocab

    @contextmanager
    def held(self) -> Iterator[LoadedModel]:
        """Keeps the model in memory while the block runs, even if it is closed meanwhile."""
        self.hold()
        try:
            yield self
        finally:
            self.release()

    def hold(self) -> LoadedModel:
        with self._lock:
            if self._pointer is None:
                raise EngineClosedError(f"The model {self.path.name} was unloaded.", hint="Create a new engine.")
            self._references += 1
        return self

    def release(self) -> None:
        with self._lock:
            self._references -= 1
            if self._references > 0 or self._pointer is None:
                return
            self._pointer = self._vocab = None
        self._weights.release()

    @property
    def users(self) -> int:
        """Models of this process that share these weights, this one included."""
        return max(1, self._weights.users)

    @property
    def changing(self) -> AbstractContextManager[Any]:
        """Held while a context of it is made, or prepares to compute: no adapter may be added meanwhile."""
        return self._weights.changing

    def adapt(self, context: Any) -> None:
        """Applies the adapters with their scales, and the control vectors, to a ``llama_context`` of this model."""
        if self._control is not None:
            self._steer(context, self._control)
        if not self._adapters:
            return
        count = len(self._adapters)
        handles = (ctypes.c_void_p * count)(*self._adapters)
        scales = (ctypes.c_float * count)(*self.lora.values())
        if self._lib.llama_set_adapters_lora(context, handles, count, scales) != 0:
            raise ModelLoadError(
                f"{self.path.name}: llama.cpp refused its LoRA adapters ({recent_log() or 'no reason given'}).",
                hint="Check that they were made for this model, or leave engine.lora empty.",
            )

    def _steer(self, context: Any, directions: npt.NDArray[np.float32]) -> None:
        first, last = self._control_layers or (1, self.n_layer - 1)
        values = directions.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        if self._lib.llama_set_adapter_cvec(context, values, directions.size, self.n_embd, first, last) != 0:
            raise ModelLoadError(
                f"{self.path.name}: llama.cpp refused its control vectors ({recent_log() or 'no reason given'})."
            )

    # -- facts --------------------------------------------------------------------------------------------------------

    @cached_property
    def metadata(self) -> Mapping[str, str]:
        """The GGUF's scalar keys, as text."""
        lib, pairs = self._lib, {}
        for index in range(lib.llama_model_meta_count(self.pointer)):
            key = _string(lib.llama_model_meta_key_by_index, self.pointer, index)
            pairs[key] = _string(lib.llama_model_meta_val_str_by_index, self.pointer, index)
        return pairs

    @cached_property
    def n_ctx_train(self) -> int:
        return int(self._lib.llama_model_n_ctx_train(self.pointer))

    @cached_property
    def n_embd(self) -> int:
        return int(self._lib.llama_model_n_embd(self.pointer))

    @cached_property
    def n_embd_out(self) -> int:
        return int(self._lib.llama_model_n_embd_out(self.pointer))

    @cached_property
    def n_layer(self) -> int:
        return int(self._lib.llama_model_n_layer(self.pointer))

    @cached_property
    def n_params(self) -> int:
        return int(self._lib.llama_model_n_params(self.pointer))

    @cached_property
    def description(self) -> str:
        return _string(self._lib.llama_model_desc, self.pointer)

    @cached_property
    def architecture(self) -> str:
        return self.metadata.get("general.architecture", "")

    @cached_property
    def chat_template(self) -> str | None:
        text: bytes | None = self._lib.llama_model_chat_template(self.pointer, None)
        return text.decode("utf-8", "replace") if text else None

    @cached_property
    def is_recurrent(self) -> bool:
        """Whether (part of) its memory is one state per sequence, which cannot be trimmed to an earlier position."""
        lib = self._lib
        return bool(lib.llama_model_is_recurrent(self.pointer) or lib.llama_model_is_hybrid(self.pointer))

    @cached_property
    def sliding_window(self) -> int:
        """Tokens of the attention window of its sliding layers; 0 for none."""
        return max(0, int(self._lib.llama_model_n_swa(self.pointer)))

    @cached_property
    def generates(self) -> bool:
        """Whether it can continue text (encoders such as BERT can't)."""
        if not self._lib.llama_model_has_decoder(self.pointer):
            return False
        return self.metadata.get(f"{self.architecture}.attention.causal", "true") != "false"

    @cached_property
    def n_cls_out(self) -> int:
        return int(self._lib.llama_model_n_cls_out(self.pointer))


def _check_files(path: Path, settings: EngineSettings, *, vocabulary_only: bool) -> GGUFHeader:
    """Rejects an invalid file before native code sees it."""
    header = read_header(path)
    check_is_model(header, vocabulary_only=vocabulary_only)
    for adapter in settings.lora:
        try:
            check_is_adapter(read_header(user_path(adapter)))
        except InvalidModelError as error:
            raise ModelLoadError(
                f"The LoRA adapter {adapter} can't be used: {error.message}", hint=error.hint
            ) from None
    return header


def _string(function: Any, *arguments: Any) -> str:
    """Calls a function that fills a buffer and returns the length it needs."""
    size = 256
    while True:
        buffer = ctypes.create_string_buffer(size)
        n = function(*arguments, buffer, size)
        if n < size:
            return buffer.value.decode("utf-8", "replace")
        size = n + 1


def _offload(lib: Any, params: Any, layers: int, layout: Layout | None) -> None:
    """The layers of ``layout``; without one, those of the settings."""
    if layout is None:
        params.n_gpu_layers = layers if layers >= 0 else _ALL_LAYERS
        return
    params.n_gpu_layers = layout.gpu_layers
    if len(layout.gpu_split) > 1:
        split = (ctypes.c_float * int(lib.llama_max_devices()))(*layout.gpu_split)
        params.tensor_split = split  # which the structure keeps alive


def _is_best_mapped(header: GGUFHeader, settings: EngineSettings) -> bool:
    from parlant_local.engine.sizing import on_gpu  # the trial process starts without it

    return on_gpu(settings) or not is_mostly_repacked(header)


def _load_mode(lib: Any, mapped: bool, locked: bool) -> int:
    modes = {
        (False, False): lib.LLAMA_LOAD_MODE_NONE,
        (True, False): lib.LLAMA_LOAD_MODE_MMAP,
        (False, True): lib.LLAMA_LOAD_MODE_MLOCK,
        (True, True): lib.LLAMA_LOAD_MODE_MMAP_MLOCK,
    }
    return int(modes[mapped, locked])


def _load_error(path: Path, reason: str) -> ModelLoadError | InvalidModelError:
    if "unknown model architecture" in reason:
        return UnsupportedModelError(
            f"{path.name}: this llama.cpp build does not support its architecture ({reason}).",
            hint="A later release may know it; or use another model.",
        )
    if "not within the file bounds" in reason or "corrupted" in reason or "failed to read" in reason:
        return InvalidModelError(
            f"{path.name} is truncated or corrupt ({reason}).", hint="Download it again: `parlant-local pull`."
        )
    return ModelLoadError(f"llama.cpp could not load {path}: {reason or 'no reason given'}.")
