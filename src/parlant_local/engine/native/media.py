"""mtmd, llama.cpp's part for pictures and sounds: its functions and structures, found and checked when a projector is first loaded."""

from __future__ import annotations

import ctypes
import threading
from ctypes import POINTER, c_bool, c_char_p, c_float, c_int, c_int32, c_size_t, c_uint32, c_void_p
from typing import Any

from parlant_local.engine.native import log
from parlant_local.engine.native.graph import EvalCallback
from parlant_local.engine.native.llama import library
from parlant_local.engine.native.structs import LogCallback
from parlant_local.errors import ConfigurationError

__all__ = ["AUDIO", "IMAGE", "TEXT", "EvalCallback", "InputPart", "InputText", "media_library"]

TEXT, IMAGE, AUDIO = 0, 1, 2  # enum mtmd_input_chunk_type

_ProgressCallback = ctypes.CFUNCTYPE(c_bool, c_float, c_void_p)
_Projector = _Bitmap = _Chunk = _Chunks = _Context = _Model = c_void_p


class ProjectorParams(ctypes.Structure):
    """``mtmd_context_params``."""

    _fields_ = [
        ("use_gpu", c_bool),
        ("device", c_void_p),
        ("print_timings", c_bool),
        ("n_threads", c_int),
        ("image_marker", c_char_p),
        ("media_marker", c_char_p),
        ("flash_attn_type", c_int),
        ("warmup", c_bool),
        ("image_min_tokens", c_int),
        ("image_max_tokens", c_int),
        ("cb_eval", EvalCallback),
        ("cb_eval_user_data", c_void_p),
        ("batch_max_tokens", c_int32),
        ("progress_callback", _ProgressCallback),
        ("progress_callback_user_data", c_void_p),
    ]


class InputText(ctypes.Structure):
    """``mtmd_input_text``."""

    _fields_ = [("text", c_char_p), ("text_len", c_size_t), ("add_special", c_bool), ("parse_special", c_bool)]


class InputPart(ctypes.Structure):
    """``mtmd_input_part``: either of them."""

    _fields_ = [("text", POINTER(InputText)), ("bitmap", _Bitmap)]


_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "mtmd_log_set": (None, [LogCallback, c_void_p]),
    "mtmd_helper_log_set": (None, [LogCallback, c_void_p]),
    "mtmd_context_params_default": (ProjectorParams, []),
    "mtmd_init_from_file": (_Projector, [c_char_p, _Model, ProjectorParams]),
    "mtmd_free": (None, [_Projector]),
    "mtmd_support_vision": (c_bool, [_Projector]),
    "mtmd_support_audio": (c_bool, [_Projector]),
    "mtmd_get_audio_sample_rate": (c_int, [_Projector]),
    "mtmd_decode_use_mrope": (c_bool, [_Projector]),
    "mtmd_decode_use_non_causal": (c_bool, [_Projector, _Chunk]),
    "mtmd_bitmap_init": (_Bitmap, [c_uint32, c_uint32, c_char_p]),
    "mtmd_bitmap_init_from_audio": (_Bitmap, [c_size_t, POINTER(c_float)]),
    "mtmd_bitmap_set_id": (None, [_Bitmap, c_char_p]),
    "mtmd_bitmap_free": (None, [_Bitmap]),
    "mtmd_tokenize_from_parts": (c_int32, [_Projector, _Chunks, POINTER(POINTER(InputPart)), c_size_t, c_bool]),
    "mtmd_input_chunks_init": (_Chunks, []),
    "mtmd_input_chunks_size": (c_size_t, [_Chunks]),
    "mtmd_input_chunks_get": (_Chunk, [_Chunks, c_size_t]),
    "mtmd_input_chunks_free": (None, [_Chunks]),
    "mtmd_input_chunk_get_id": (c_char_p, [_Chunk]),
    "mtmd_input_chunk_get_type": (c_int, [_Chunk]),
    "mtmd_input_chunk_get_tokens_text": (POINTER(c_int32), [_Chunk, POINTER(c_size_t)]),
    "mtmd_input_chunk_get_n_tokens": (c_size_t, [_Chunk]),
    "mtmd_input_chunk_get_n_pos": (c_int32, [_Chunk]),
    "mtmd_input_chunk_copy": (_Chunk, [_Chunk]),
    "mtmd_input_chunk_free": (None, [_Chunk]),
    "mtmd_encode_chunk": (c_int32, [_Projector, _Chunk]),
    "mtmd_get_output_embd": (POINTER(c_float), [_Projector]),
    "mtmd_helper_decode_image_chunk": (
        c_int32,
        [_Projector, _Context, _Chunk, POINTER(c_float), c_int32, c_int32, c_int32, POINTER(c_int32), c_void_p, c_void_p],
    ),
}  # fmt: skip
# Defaults that mtmd sets itself, spread over the structure: one that moved gives another value here.
_DEFAULTS = {
    "use_gpu": True,
    "device": None,
    "print_timings": True,
    "n_threads": 4,
    "image_marker": None,
    "media_marker": b"<__media__>",
    "flash_attn_type": -1,
    "warmup": True,
    "image_min_tokens": -1,
    "image_max_tokens": -1,
    "cb_eval_user_data": None,
    "batch_max_tokens": 1024,
    "progress_callback_user_data": None,
}

_lock = threading.Lock()
_media: MediaLibrary | None = None


class MediaLibrary:
    """mtmd's functions under their C names."""

    def __init__(self) -> None:
        """Raises :class:`ConfigurationError` where the build in use has none of it, or another one than is known."""
        lib = library()
        lib.also(lib.build.media)
        missing = []
        for name, (result, arguments) in _SIGNATURES.items():
            if (function := lib.function(name, result, arguments)) is not None:
                setattr(self, name, function)
            else:
                missing.append(name)
        if missing:
            raise ConfigurationError(
                f"The llama.cpp of {lib.build} can't read pictures or sounds: it lacks {', '.join(missing)}.",
                hint=f"Reinstall it: `pip install --force-reinstall {lib.build.package}=={lib.build.version}`.",
            )
        values = self.mtmd_context_params_default()
        for field, expected in _DEFAULTS.items():
            if (value := getattr(values, field)) != expected:
                raise ConfigurationError(
                    f"The mtmd of {lib.build} is not the one that it is known by: {field} is {value!r}, not {expected!r}.",
                    hint=f"Reinstall it: `pip install --force-reinstall {lib.build.package}=={lib.build.version}`.",
                )
        self.mtmd_log_set(log.CALLBACK, None)
        self.mtmd_helper_log_set(log.CALLBACK, None)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name} is not declared in engine/native/media.py")


def media_library() -> MediaLibrary:
    """mtmd of the build that this process uses."""
    global _media
    with _lock:
        if _media is None:
            _media = MediaLibrary()
        return _media
