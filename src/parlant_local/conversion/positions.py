"""How a decoder's positions are told to llama.cpp: metadata, and factors as tensors. What it can't be told is refused by name."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from parlant_local.conversion.decoder_config import Config
from parlant_local.conversion.gguf_writing import Tensor, Value
from parlant_local.conversion.quantizing import as_f32
from parlant_local.errors import InvalidModelError

__all__ = ["factor_tensors", "is_long", "position_metadata", "rotated"]

Floats = npt.NDArray[np.float32]

_LONG = ("longrope", "su", "yarn")
"""What Phi's files call it; a scaling with factors of its own for long and for short contexts."""
_USUAL = {"beta_fast": 32.0, "beta_slow": 1.0, "truncate": True}


def is_long(config: Config) -> bool:
    return config.rope.long_factor is not None


def rotated(config: Config) -> int:
    """How many values of a head are turned."""
    share = config.rope.partial_rotary_factor or config.partial_rotary_factor or 1.0
    return int(config.head * share)


def position_metadata(arch: str, config: Config, theta: float) -> dict[str, Value]:
    rope = config.rope
    found: dict[str, Value] = {
        f"{arch}.rope.freq_base": rope.rope_theta or config.rope_theta or theta,
        f"{arch}.rope.dimension_count": rotated(config),
    }
    if is_long(config) and arch == "phi3":
        return found | _long(arch, config)
    if rope.kind in ("linear", "yarn"):
        _check_usual(config)
        found |= {f"{arch}.rope.scaling.type": rope.kind, f"{arch}.rope.scaling.factor": rope.factor or 1.0}
        if rope.kind == "yarn":
            original = rope.original_max_position_embeddings or config.max_position_embeddings
            found[f"{arch}.rope.scaling.original_context_length"] = original
    elif rope.kind not in ("default", "llama3") or is_long(config):
        raise InvalidModelError(
            f"Its positions are scaled by {rope.kind!r}; default, linear, yarn, llama3 and Phi's longrope are known."
        )
    return found


def factor_tensors(config: Config) -> dict[str, Tensor]:
    if is_long(config):
        rope = config.rope
        return {
            "rope_factors_long.weight": _factors(config, rope.long_factor),
            "rope_factors_short.weight": _factors(config, rope.short_factor),
        }
    return {"rope_freqs.weight": _tensor(_llama3_factors(config))} if config.rope.kind == "llama3" else {}


def _long(arch: str, config: Config) -> dict[str, Value]:
    rope = config.rope
    original = config.original_max_position_embeddings or rope.original_max_position_embeddings
    if rope.kind not in _LONG or original is None:
        raise InvalidModelError(
            f"Its positions are scaled by {rope.kind!r} with factors"
            f"{'' if original else ', without original_max_position_embeddings'}; Phi's longrope is known."
        )
    factor = rope.factor or config.max_position_embeddings / original
    attention = rope.attention_factor
    if attention is None:
        attention = math.sqrt(1 + math.log(factor) / math.log(original)) if factor > 1 else 1.0
    return {
        f"{arch}.rope.scaling.original_context_length": original,
        f"{arch}.rope.scaling.attn_factor": float(attention),
    }


def _check_usual(config: Config) -> None:
    """llama.cpp computes the rest from the factor, as everybody does who says nothing else."""
    given = config.rope.model_dump(include={"attention_factor", "mscale", "mscale_all_dim", *_USUAL}, exclude_none=True)
    if other := next((key for key, value in given.items() if value != _USUAL.get(key)), None):
        raise InvalidModelError(f"Its positions are scaled with {other} {given[other]}, which is not known.")


def _factors(config: Config, factors: Sequence[float] | None) -> Tensor:
    if factors is None or len(factors) != rotated(config) // 2 or min(factors, default=0) <= 0:
        raise InvalidModelError(
            f"Its positions have {len(factors or ())} factors for {rotated(config) // 2} frequencies (rope_scaling)."
        )
    return _tensor(np.asarray(factors, np.float32))


def _tensor(values: Floats) -> Tensor:
    return Tensor(values.shape, "F32", lambda: as_f32(values))


def _llama3_factors(config: Config) -> Floats:
    """By how much each frequency is slowed: the slow ones by the factor, the fast ones not, and those between by a mean."""
    rope, size = config.rope, config.head
    original, factor = rope.original_max_position_embeddings or 8192, rope.factor or 1.0
    theta = rope.rope_theta or config.rope_theta or 10_000.0
    wavelengths = 2 * math.pi * theta ** (np.arange(0, size, 2, dtype=np.float64) / size)
    smooth = (original / wavelengths - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor)
    between = 1 / ((1 - smooth) / factor + smooth)
    slow, fast = wavelengths > original / rope.low_freq_factor, wavelengths < original / rope.high_freq_factor
    return np.where(fast, 1.0, np.where(slow, factor, between)).astype(np.float32)
