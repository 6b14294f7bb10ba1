"""llama.cpp's C structures, as far as this package fills or reads them. Their fields stand in the library's own order.

Source: ``include/llama.h`` of the builds that :mod:`builds` names; :mod:`checking` compares sizes and offsets with the library.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_bool, c_char_p, c_float, c_int, c_int8, c_int32, c_size_t, c_uint32, c_void_p
from typing import Any

__all__ = [
    "AbortCallback",
    "Batch",
    "ContextParams",
    "LogCallback",
    "ModelParams",
    "ProgressCallback",
    "context_params_with",
]

AbortCallback = ctypes.CFUNCTYPE(c_bool, c_void_p)
LogCallback = ctypes.CFUNCTYPE(None, c_int, c_char_p, c_void_p)
ProgressCallback = ctypes.CFUNCTYPE(c_bool, c_float, c_void_p)

_Fields = list[tuple[str, Any]]


class Batch(ctypes.Structure):
    """``llama_batch``: tokens with their positions and sequences; ``logits`` marks those whose outputs are wanted."""

    _fields_ = [  # as ctypes wants it
        ("n_tokens", c_int32),
        ("token", POINTER(c_int32)),
        ("embd", POINTER(c_float)),
        ("pos", POINTER(c_int32)),
        ("n_seq_id", POINTER(c_int32)),
        ("seq_id", POINTER(POINTER(c_int32))),
        ("logits", POINTER(c_int8)),
    ]


class ModelParams(ctypes.Structure):
    """``llama_model_params``."""

    _fields_ = [
        ("devices", c_void_p),
        ("tensor_buft_overrides", c_void_p),
        ("n_gpu_layers", c_int32),
        ("split_mode", c_int),
        ("load_mode", c_int),
        ("lazy_mode", c_int),
        ("main_gpu", c_int32),
        ("tensor_split", POINTER(c_float)),
        ("progress_callback", ProgressCallback),
        ("progress_callback_user_data", c_void_p),
        ("kv_overrides", c_void_p),
        ("vocab_only", c_bool),
        ("check_tensors", c_bool),
        ("use_extra_bufts", c_bool),
        ("no_host", c_bool),
        ("no_alloc", c_bool),
        ("load_mtp", c_bool),
    ]


_CONTEXT_NUMBERS: _Fields = [
    ("n_ctx", c_uint32),
    ("n_batch", c_uint32),
    ("n_ubatch", c_uint32),
    ("n_seq_max", c_uint32),
    ("n_rs_seq", c_uint32),
    ("n_outputs_max", c_uint32),
    ("n_outputs_max_per_seq", c_uint32),
    ("n_threads", c_int32),
    ("n_threads_batch", c_int32),
    ("ctx_type", c_int),
    ("rope_scaling_type", c_int),
    ("pooling_type", c_int),
    ("attention_type", c_int),
    ("flash_attn_type", c_int),
    ("rope_freq_base", c_float),
    ("rope_freq_scale", c_float),
    ("yarn_ext_factor", c_float),
    ("yarn_attn_factor", c_float),
    ("yarn_beta_fast", c_float),
    ("yarn_beta_slow", c_float),
    ("yarn_orig_ctx", c_uint32),
    ("defrag_thold", c_float),
    ("cb_eval", c_void_p),
    ("cb_eval_user_data", c_void_p),
    ("type_k", c_int),
    ("type_v", c_int),
]
_CONTEXT_SWITCHES: _Fields = [
    ("abort_callback", AbortCallback),
    ("abort_callback_data", c_void_p),
    ("embeddings", c_bool),
    ("offload_kqv", c_bool),
    ("no_perf", c_bool),
    ("op_offload", c_bool),
    ("swa_full", c_bool),
    ("kv_unified", c_bool),
    ("samplers", c_void_p),
    ("n_samplers", c_size_t),
    ("ctx_other", c_void_p),
]


class ContextParams(ctypes.Structure):
    """``llama_context_params`` of llama-cpp-python 0.3.36."""

    _fields_ = [*_CONTEXT_NUMBERS, *_CONTEXT_SWITCHES]


def context_params_with(*, before_abort: _Fields) -> type[ctypes.Structure]:
    """``llama_context_params`` of a build that has more fields before ``abort_callback``."""
    fields = [*_CONTEXT_NUMBERS, *before_abort, *_CONTEXT_SWITCHES]
    return type("ContextParams", (ctypes.Structure,), {"_fields_": fields})
