"""Checks a library against its declarations before it is used: a field that moved would be read from the wrong place in silence."""

from __future__ import annotations

import ctypes
import platform
from typing import Any

from parlant_local.engine.native.builds import Build
from parlant_local.engine.native.structs import ModelParams
from parlant_local.errors import ConfigurationError

__all__ = ["check_structure", "check_structures"]

# Defaults that llama.cpp sets itself, spread over each structure: one that moved gives another value here.
_CONTEXT_DEFAULTS = {
    "n_batch": 2048,
    "n_ubatch": 512,
    "n_seq_max": 1,
    "ctx_type": 0,
    "rope_scaling_type": -1,
    "pooling_type": -1,
    "attention_type": -1,
    "flash_attn_type": -1,
    "rope_freq_base": 0.0,
    "rope_freq_scale": 0.0,
    "yarn_ext_factor": -1.0,
    "cb_eval": None,
    "cb_eval_user_data": None,
    "type_k": 1,
    "type_v": 1,
    "abort_callback_data": None,
    "embeddings": False,
    "offload_kqv": True,
    "op_offload": True,
    "kv_unified": False,
    "samplers": None,
    "n_samplers": 0,
    "ctx_other": None,
}
_MODEL_DEFAULTS = {
    "devices": None,
    "tensor_buft_overrides": None,
    "main_gpu": 0,
    "progress_callback_user_data": None,
    "kv_overrides": None,
    "vocab_only": False,
    "check_tensors": False,
    "use_extra_bufts": True,
    "no_alloc": False,
}
_SLACK = 256  # bytes beyond a structure that are watched
_PATTERNS = (0xA5, 0x5A)


def check_structures(build: Build, library: Any) -> None:
    """Raises :class:`ConfigurationError` where a structure of ``library`` is not laid out as declared for ``build``."""
    for function, structure, defaults in (
        ("llama_model_default_params", ModelParams, _MODEL_DEFAULTS),
        ("llama_context_default_params", build.context_params, _CONTEXT_DEFAULTS),
    ):
        check_structure(build, library, function, structure, defaults)


def check_structure(
    build: Build, library: Any, function: str, structure: type[ctypes.Structure], defaults: dict[str, Any]
) -> None:
    """Of one structure, which ``function`` of ``library`` returns with its defaults."""
    if problem := _size_problem(library, function, structure) or _default_problem(library, function, defaults):
        raise ConfigurationError(
            f"The llama.cpp of {build} is not the one that it is known by: {problem}.",
            hint=f"Reinstall it: `pip install --force-reinstall {build.package}=={build.version}`.",
        )


def _size_problem(library: Any, function: str, structure: type[ctypes.Structure]) -> str | None:
    """What ``function`` writes beyond, or short of, ``structure``.

    It returns its structure through an address that the caller gives: on x86-64 that is the first argument, so memory with a
    pattern can be given and looked at afterwards. Elsewhere the defaults have to do.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return None
    address = ctypes.cast(getattr(library, function), ctypes.c_void_p).value
    assert address is not None
    own = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(address)
    size = ctypes.sizeof(structure)
    untouched = set(range(size + _SLACK))
    for pattern in _PATTERNS:
        memory = (ctypes.c_uint8 * (size + _SLACK))(*([pattern] * (size + _SLACK)))
        own(ctypes.addressof(memory))
        untouched &= {at for at in range(size + _SLACK) if memory[at] == pattern}
    written = max(set(range(size + _SLACK)) - untouched, default=-1) + 1
    last = structure._fields_[-1][0]
    end = getattr(structure, last).offset + getattr(structure, last).size
    return None if end <= written <= size else f"{function} writes {written} bytes, not {size}"


def _default_problem(library: Any, function: str, defaults: dict[str, Any]) -> str | None:
    values = getattr(library, function)()
    for field, expected in defaults.items():
        if (value := getattr(values, field)) != expected:
            return f"{function}'s {field} is {value}, not {expected}"
    return None
