"""llama.cpp's own quantization: of whole models, where the build has that, and of rows."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from ctypes import POINTER, c_bool, c_char_p, c_float, c_int, c_int32, c_int64, c_size_t, c_uint32, c_void_p
from typing import Any

import numpy as np
import numpy.typing as npt

from parlant_local.engine.native.checking import check_structure
from parlant_local.engine.native.llama import Library, clear_log, library
from parlant_local.engine.native.log import recent_log
from parlant_local.errors import ConfigurationError, EngineError

__all__ = ["Quantizer", "RowQuantizer"]

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

_NO_TYPE = 43  # GGML_TYPE_COUNT of these builds: "no override"


class _Importance(ctypes.Structure):
    """``llama_model_imatrix_data``."""

    _fields_ = [("name", c_char_p), ("data", POINTER(c_float)), ("size", c_size_t)]


class _Override(ctypes.Structure):
    """``llama_model_tensor_override``."""

    _fields_ = [("pattern", c_char_p), ("type", c_int)]


class _Params(ctypes.Structure):
    """``llama_model_quantize_params``."""

    _fields_ = [
        ("nthread", c_int32),
        ("ftype", c_int),
        ("output_tensor_type", c_int),
        ("token_embedding_type", c_int),
        ("allow_requantize", c_bool),
        ("quantize_output_tensor", c_bool),
        ("only_copy", c_bool),
        ("pure", c_bool),
        ("keep_split", c_bool),
        ("dry_run", c_bool),
        ("imatrix", POINTER(_Importance)),
        ("kv_overrides", c_void_p),
        ("tt_overrides", POINTER(_Override)),
        ("prune_layers", POINTER(c_int32)),
        ("max_buf_size", c_size_t),
    ]


# Spread over the structure: a field that moved gives another value here.
_DEFAULTS = {
    "nthread": 0,
    "output_tensor_type": _NO_TYPE,
    "token_embedding_type": _NO_TYPE,
    "allow_requantize": False,
    "quantize_output_tensor": True,
    "only_copy": False,
    "pure": False,
    "keep_split": False,
    "dry_run": False,
    "kv_overrides": None,
    "max_buf_size": 8 << 30,
}
_BUFFER_BYTES = 1 << 30


class Quantizer:
    """``llama_model_quantize``."""

    def __init__(self) -> None:
        """Raises :class:`ConfigurationError` where the build in use has none."""
        lib = library()
        defaults = lib.function("llama_model_quantize_default_params", _Params, [])
        run = lib.function("llama_model_quantize", c_uint32, [c_char_p, c_char_p, POINTER(_Params)])
        if defaults is None or run is None:
            raise ConfigurationError(
                f"The llama.cpp of {lib.build} can't quantize whole models.",
                hint='`pip install "parlant-local[native]"` installs one that can; it is compiled for this processor.',
            )
        self.llama_model_quantize_default_params = defaults
        self._run = run
        check_structure(lib.build, self, "llama_model_quantize_default_params", _Params, _DEFAULTS)

    @staticmethod
    def available(lib: Library) -> bool:
        return lib.function("llama_model_quantize", c_uint32, []) is not None

    def run(
        self,
        source: str,
        target: str,
        *,
        file_type: int,
        threads: int,
        requantize: bool = False,
        pure: bool = False,
        keep_output: bool = False,
        output_type: int | None = None,
        embedding_type: int | None = None,
        overrides: Sequence[tuple[str, int]] = (),
        importance: Mapping[str, Floats] | None = None,
    ) -> None:
        """Raises :class:`EngineError` with llama.cpp's own reason."""
        params = self.llama_model_quantize_default_params()
        params.nthread, params.ftype, params.max_buf_size = threads, file_type, _BUFFER_BYTES
        params.allow_requantize, params.pure, params.quantize_output_tensor = requantize, pure, not keep_output
        if output_type is not None:
            params.output_tensor_type = output_type
        if embedding_type is not None:
            params.token_embedding_type = embedding_type
        # The arrays live as long as the call, and end with an entry without a name.
        patterns = (_Override * (len(overrides) + 1))()
        for at, (pattern, kind) in enumerate(overrides):
            patterns[at].pattern, patterns[at].type = pattern.encode(), kind
        if overrides:
            params.tt_overrides = patterns
        weights = {name: np.ascontiguousarray(values, np.float32) for name, values in (importance or {}).items()}
        matrices = (_Importance * (len(weights) + 1))()
        for at, (name, values) in enumerate(weights.items()):
            matrices[at].name, matrices[at].size = name.encode(), values.size
            matrices[at].data = values.ctypes.data_as(POINTER(c_float))
        if weights:
            params.imatrix = matrices
        clear_log()
        if self._run(source.encode(), target.encode(), ctypes.byref(params)) != 0:
            raise EngineError(f"llama.cpp can't quantize it so: {recent_log() or 'it gave no reason'}.")


class RowQuantizer:
    """ggml's quantization of rows, which every build has."""

    def __init__(self) -> None:
        lib: Any = library()
        declared: dict[str, tuple[Any, list[Any]]] = {
            "ggml_quantize_chunk": (
                c_size_t,
                [c_int, POINTER(c_float), c_void_p, c_int64, c_int64, c_int64, POINTER(c_float)],
            ),
            "ggml_quantize_requires_imatrix": (c_bool, [c_int]),
            "ggml_row_size": (c_size_t, [c_int, c_int64]),
        }
        for name, (result, arguments) in declared.items():
            if (function := lib.function(name, result, arguments)) is None:
                raise ConfigurationError(f"The llama.cpp of {lib.build} lacks {name}.")
            setattr(self, name, function)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name} is not declared in engine/native/quantizing.py")

    def needs_importance(self, kind: int) -> bool:
        return bool(self.ggml_quantize_requires_imatrix(kind))

    def quantized(self, rows: Floats, kind: int, importance: Floats | None = None) -> Bytes:
        """``rows`` of weights as blocks of ``kind``, GGML's number of it. ``importance``: a value for each column."""
        rows = np.ascontiguousarray(rows, np.float32)
        count, width = rows.shape
        target = np.empty(count * int(self.ggml_row_size(kind, width)), np.uint8)
        weights = None
        if importance is not None:
            importance = np.ascontiguousarray(importance, np.float32)
            weights = importance.ctypes.data_as(POINTER(c_float))
        written = self.ggml_quantize_chunk(
            kind, rows.ctypes.data_as(POINTER(c_float)), target.ctypes.data, 0, count, width, weights
        )
        if int(written) != target.size:
            raise EngineError(f"ggml wrote {int(written):,} bytes instead of {target.size:,}.")
        return target
