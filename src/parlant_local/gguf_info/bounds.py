"""Bounds on header values. llama.cpp aborts the process over many of these where it should reject the file."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from parlant_local.errors import InvalidModelError
from parlant_local.gguf_info.header import Elided, GGUFHeader

__all__ = ["MAX_LAYERS", "check_bounds"]

MAX_LAYERS = 512  # LLAMA_MAX_LAYERS
_MAX_EXPERTS = 1024  # LLAMA_MAX_EXPERTS
_MAX_WIDTH = 1 << 20  # wider than any layer of any model
_MAX_INT32 = (1 << 31) - 1

# key after the architecture prefix -> minimum and maximum; an array has one value per layer
_RANGES: dict[str, tuple[int, int]] = {
    "block_count": (1, MAX_LAYERS),
    "decoder_block_count": (0, MAX_LAYERS),
    "leading_dense_block_count": (0, MAX_LAYERS),
    "nextn_predict_layers": (0, MAX_LAYERS),
    "context_length": (1, _MAX_INT32),
    "vocab_size": (1, 1 << 22),
    "embedding_length": (1, _MAX_WIDTH),
    "embedding_length_out": (1, _MAX_WIDTH),
    "feed_forward_length": (0, 16 * _MAX_WIDTH),
    "expert_feed_forward_length": (0, 16 * _MAX_WIDTH),
    "expert_shared_feed_forward_length": (0, 16 * _MAX_WIDTH),
    "attention.head_count": (0, 1 << 14),
    "attention.head_count_kv": (0, 1 << 14),
    "attention.key_length": (1, 1 << 16),
    "attention.value_length": (1, 1 << 16),
    "attention.key_length_mla": (1, 1 << 16),
    "attention.value_length_mla": (1, 1 << 16),
    "attention.key_length_swa": (1, 1 << 16),
    "attention.value_length_swa": (1, 1 << 16),
    "attention.q_lora_rank": (0, _MAX_WIDTH),
    "attention.kv_lora_rank": (0, _MAX_WIDTH),
    "attention.sliding_window": (0, _MAX_INT32),
    "pooling_type": (0, 4),
    "rope.dimension_count": (0, 1 << 16),
    "rope.dimension_count_swa": (0, 1 << 16),
    "rope.scaling.original_context_length": (0, _MAX_INT32),
    "expert_count": (0, _MAX_EXPERTS),
    "expert_used_count": (0, _MAX_EXPERTS),
    "expert_shared_count": (0, _MAX_EXPERTS),
    "expert_group_count": (0, _MAX_EXPERTS),
    "expert_group_used_count": (0, _MAX_EXPERTS),
    "ssm.conv_kernel": (0, 1 << 10),
    "ssm.inner_size": (0, _MAX_WIDTH),
    "ssm.state_size": (0, 1 << 16),
    "ssm.time_step_rank": (0, 1 << 16),
    "ssm.group_count": (0, 1 << 16),
    "shortconv.l_cache": (1, 1 << 10),
    "wkv.head_size": (1, 1 << 16),
    "token_shift_count": (0, 1 << 10),
}
_PER_LAYER = frozenset({"feed_forward_length", "attention.head_count", "attention.head_count_kv"})
_EPSILONS = ("attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon", "attention.group_norm_epsilon")
_FREQUENCIES = ("rope.freq_base", "rope.freq_base_swa", "rope.scaling.factor", "rope.scale_linear")
_SCALINGS = ("none", "linear", "yarn", "longrope")
_ARCHITECTURE = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_DENSE_WITH_ONE_EXPERT = ("hunyuan-dense", "hunyuan_vl")


def check_bounds(header: GGUFHeader) -> None:
    """Raises :class:`InvalidModelError`, naming the key, where a value is out of bounds. Missing keys are accepted."""
    metadata, architecture = header.metadata, header.architecture
    if "general.architecture" in metadata and not _ARCHITECTURE.match(architecture):
        _refuse("general.architecture", metadata["general.architecture"], "a short name")
    for key, (smallest, largest) in _RANGES.items():
        name = f"{architecture}.{key}"
        if name in metadata:
            for value in _integers(header, name):
                if not smallest <= value <= largest:
                    _refuse(name, value, f"{smallest} to {largest}")
    _check_floats(header)
    _check_layers(header)
    _check_heads(header)
    _check_experts(header)


def _refuse(name: str, value: object, expected: str) -> None:
    raise InvalidModelError(
        f"{name} is {value!r:.80}; it must be {expected}.", hint="The file is corrupt or malicious."
    )


def _integers(header: GGUFHeader, name: str) -> Iterator[int]:
    value = header.metadata[name]
    values = value if isinstance(value, tuple) else (value,)
    for item in values:
        if isinstance(item, bool | Elided) or not isinstance(item, int):
            _refuse(name, value, "a whole number, or one per layer")
        else:
            yield item


def _check_floats(header: GGUFHeader) -> None:
    for key in (*_EPSILONS, *_FREQUENCIES):
        name = f"{header.architecture}.{key}"
        value = header.metadata.get(name)
        if isinstance(value, float) and not (math.isfinite(value) and value >= 0):
            _refuse(name, value, "a finite number of 0 or more")
    scaling = header.text(f"{header.architecture}.rope.scaling.type")
    if scaling is not None and scaling not in _SCALINGS:
        _refuse(f"{header.architecture}.rope.scaling.type", scaling, f"one of {', '.join(_SCALINGS)}")


def _check_layers(header: GGUFHeader) -> None:
    layers = header.block_count
    if layers is None:
        return
    for key in _PER_LAYER:
        name = f"{header.architecture}.{key}"
        value = header.metadata.get(name)
        if isinstance(value, tuple) and len(value) != layers:
            _refuse(name, f"{len(value)} numbers", f"one for each of {layers} layers")
    if (header.of_architecture("nextn_predict_layers") or 0) > layers:
        _refuse(f"{header.architecture}.nextn_predict_layers", "more", f"at most {layers}, the number of layers")


def _check_heads(header: GGUFHeader) -> None:
    """Head counts must divide evenly: llama.cpp's kernels assert it."""
    heads = header.head_count or ()
    kv_heads = header.head_count_kv or ()
    prefix = f"{header.architecture}.attention"
    pairs = zip(
        heads * len(kv_heads) if len(heads) == 1 else heads,
        kv_heads * len(heads) if len(kv_heads) == 1 else kv_heads,
        strict=False,
    )
    for head, kv in pairs:
        if head and kv and head % kv:
            _refuse(f"{prefix}.head_count_kv", kv, f"a divisor of the {head} heads")
    width, key_length = header.embedding_length, header.of_architecture("attention.key_length")
    per_layer = isinstance(header.metadata.get(f"{prefix}.key_length"), tuple)
    if len(heads) != 1 or not heads[0] or width is None or per_layer:
        return
    if key_length is None and width % heads[0]:
        _refuse(f"{prefix}.head_count", heads[0], f"a divisor of embedding_length, which is {width}")
    widest = max(key_length or width // heads[0], header.of_architecture("attention.key_length_mla") or 0)
    rotated = header.of_architecture("rope.dimension_count") or 0
    if rotated % 2 or rotated > widest:
        _refuse(f"{header.architecture}.rope.dimension_count", rotated, f"even, and at most a head's {widest}")


def _check_experts(header: GGUFHeader) -> None:
    """What llama.cpp asserts about experts and their groups."""
    name = header.architecture
    count = header.expert_count
    used = max(header.numbers(f"{name}.expert_used_count") or (0,))
    groups = header.of_architecture("expert_group_count") or 0
    if count <= 1 and name in _DENSE_WITH_ONE_EXPERT:
        return
    if used > count or (count and not used):
        _refuse(
            f"{name}.expert_used_count",
            used,
            f"1 to {count}, the number of experts" if count else "0, as it has no experts",
        )
    if groups and groups >= count:
        _refuse(f"{name}.expert_group_count", groups, f"less than {count}, the number of experts")
    if groups > 1:
        chosen = header.of_architecture("expert_group_used_count") or 0
        if count % groups:
            _refuse(f"{name}.expert_group_count", groups, f"a divisor of the {count} experts")
        if not 0 < chosen < groups:
            _refuse(f"{name}.expert_group_used_count", chosen, f"less than {groups}, the number of groups, and not 0")
