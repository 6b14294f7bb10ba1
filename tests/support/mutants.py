"""GGUF files gone wrong: a valid one taken apart, changed by chance as a careful enemy would, and put together again."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from parlant_local.gguf_info.types import SCALAR_FORMATS, TENSOR_TYPES

__all__ = ["KINDS", "changed", "mutant"]

_STRING, _ARRAY = 8, 9
_NUMBERS = (
    0,
    1,
    2,
    3,
    7,
    31,
    64,
    255,
    511,
    512,
    513,
    1024,
    1025,
    65_536,
    20_000_000,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
)
_FLOATS = (0.0, -1.0, 1e-30, 1e30, float("nan"), float("inf"), float("-inf"))
_TEXTS = (
    "", "llama", "qwen2", "gemma3", "bert", "mamba", "mamba2", "rwkv6", "rwkv7", "gpt2", "t5", "deepseek2", "lfm2", "clip", "falcon",
    "phi3", "jamba", "granitehybrid", "qwen2moe", "openelm", "wavtokenizer-dec", "gemma3n", "plamo2", "modern-bert", "none",
    "linear", "yarn", "longrope", "spm", "bpe", "no_vocab", "rwkv", "plamo2", "gemma4", "default", "llama-bpe", "deepseek-llm",
    "tekken", "kimi-k2", "adapter", "\x1b[2J", "\0", "a" * 5000,
)  # fmt: skip
_EXTRA_KEYS = (
    "pooling_type", "expert_count", "expert_used_count", "expert_group_count", "expert_group_used_count", "nextn_predict_layers",
    "attention.sliding_window", "attention.key_length", "attention.value_length", "attention.key_length_mla", "rope.scaling.type",
    "rope.scaling.factor", "rope.dimension_count", "rope.freq_base", "rope.dimension_sections", "attention.causal", "wkv.head_size",
    "ssm.state_size", "ssm.group_count", "ssm.time_step_rank", "attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon",
    "attention.max_alibi_bias", "attention.clamp_kqv", "attention.group_norm_groups", "vocab_size", "embedding_length_out",
    "classifier.output_labels", "decoder_start_token_id", "attention.relative_buckets_count", "full_attention_interval",
    "interleave_moe_layer_step", "moe_every_n_layers", "n_deepstack_layers", "attention.shared_kv_layers", "logit_scale",
    "attention.temperature_length", "rope.scaling.original_context_length", "final_logit_softcapping", "attn_logit_softcapping",
)  # fmt: skip


@dataclass
class _Key:
    name: bytes
    kind: int
    value: object
    """A number, bytes, or (element kind, list)."""


@dataclass
class _Tensor:
    name: bytes
    shape: list[int]
    kind: int
    offset: int


@dataclass
class _File:
    keys: list[_Key]
    tensors: list[_Tensor]
    data: bytes
    version: int = 3
    magic: bytes = b"GGUF"
    counts: list[int] = field(default_factory=lambda: [0, 0])
    """Added to the true counts of tensors and keys."""


# -- apart and together ---------------------------------------------------------------------------------------------------


def _take_apart(content: bytes) -> _File:
    """Its parts, to be changed; what stands in a key is only ever replaced."""
    file = _parsed(content)
    keys, tensors = [replace(key) for key in file.keys], [replace(item, shape=[*item.shape]) for item in file.tensors]
    return replace(file, keys=keys, tensors=tensors, counts=[0, 0])


@lru_cache(maxsize=16)
def _parsed(content: bytes) -> _File:
    at = 24
    version, n_tensors, n_keys = struct.unpack_from("<IQQ", content, 4)

    def take(layout: str) -> int | float | bool:
        nonlocal at
        value: int | float | bool = struct.unpack_from(layout, content, at)[0]
        at += struct.calcsize(layout)
        return value

    def text() -> bytes:
        nonlocal at
        length = int(take("<Q"))
        at += length
        return content[at - length : at]

    def value_of(kind: int) -> object:
        if kind == _STRING:
            return text()
        if kind == _ARRAY:
            element, count = int(take("<I")), int(take("<Q"))
            return element, [value_of(element) for _ in range(count)]
        return take(SCALAR_FORMATS[kind])

    keys = []
    for _ in range(n_keys):
        name, kind = text(), int(take("<I"))
        keys.append(_Key(name, kind, value_of(kind)))
    tensors = []
    for _ in range(n_tensors):
        name, dims = text(), int(take("<I"))
        shape = [int(take("<Q")) for _ in range(dims)]
        tensors.append(_Tensor(name, shape, int(take("<I")), int(take("<Q"))))
    return _File(keys, tensors, content[at + -at % 32 :], version)


def _text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def _packed(kind: int, value: object) -> bytes:
    if kind == _ARRAY and isinstance(value, tuple):
        element, items = value
        return struct.pack("<IQ", element, len(items)) + b"".join(_packed(element, item) for item in items)
    if kind == _STRING or isinstance(value, bytes):
        return _text(value if isinstance(value, bytes) else str(value).encode("utf-8", "replace"))
    layout = SCALAR_FORMATS.get(kind)
    if layout is None:
        return b"\0" * 4
    if layout[1] in "fd":
        return struct.pack(layout, float(value) if isinstance(value, int | float) else 0.0)
    if layout[1] == "?":
        return struct.pack("<B", int(bool(value)))
    width = struct.calcsize(layout)
    number = int(value) if isinstance(value, int) or (isinstance(value, float) and abs(value) < 1e18) else 0
    return (number & ((1 << (8 * width)) - 1)).to_bytes(width, "little")


def _put_together(file: _File) -> bytes:
    head = [file.magic, struct.pack("<I", file.version)]
    head.append(
        struct.pack("<QQ", *(max(0, n) for n in (len(file.tensors) + file.counts[0], len(file.keys) + file.counts[1])))
    )
    for key in file.keys:
        head += [_text(key.name), struct.pack("<I", key.kind), _packed(key.kind, key.value)]
    for tensor in file.tensors:
        shape = [extent & ((1 << 64) - 1) for extent in tensor.shape]
        head += [
            _text(tensor.name),
            struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, tensor.kind, tensor.offset & ((1 << 64) - 1)),
        ]
    joined = b"".join(head)
    return joined + b"\0" * (-len(joined) % 32) + file.data


def _lay_out(file: _File) -> None:
    """Offsets that follow from the shapes, and data enough: the table is sound again, whatever it speaks of."""
    offset = 0
    for tensor in file.tensors:
        _, block, width = TENSOR_TYPES.get(tensor.kind, ("", 1, 4))
        elements = 1
        for extent in tensor.shape:
            elements *= extent
        tensor.offset = offset
        size = elements // block * width
        offset += size + -size % 32
        if offset > 1 << 23:
            return  # too large to write: it stays unsound
    file.data += b"\0" * max(0, offset - len(file.data))


# -- what goes wrong ------------------------------------------------------------------------------------------------------


def _number(dice: random.Random, old: object) -> object:
    if isinstance(old, float):
        return dice.choice((*_FLOATS, old * 2, -old))
    if isinstance(old, int):
        return dice.choice((*_NUMBERS, old + 1, old - 1, old * 2, old // 2, -old))
    return dice.choice(_TEXTS).encode()


def _value(dice: random.Random, file: _File) -> None:
    key = dice.choice([key for key in file.keys if key.kind != _ARRAY])
    key.value = _number(dice, key.value)


def _architecture_value(dice: random.Random, file: _File) -> None:
    """The keys of the network itself, which the code behind trusts most."""
    arch = _architecture(file)
    own = [key for key in file.keys if key.name.startswith(arch + b".") and key.kind != _ARRAY]
    if own:
        key = dice.choice(own)
        key.value = _number(dice, key.value)


def _kind(dice: random.Random, file: _File) -> None:
    key = dice.choice(file.keys)
    key.kind = dice.choice((*SCALAR_FORMATS, _STRING, 77))
    if isinstance(key.value, tuple):
        key.value = dice.choice(_NUMBERS)


def _as_array(dice: random.Random, file: _File) -> None:
    """A scalar becomes one per layer, right or wrong in length."""
    key = dice.choice([key for key in file.keys if key.kind in SCALAR_FORMATS])
    old = key.value
    count = dice.choice((0, 1, 2, 3, 6, 512, 513))
    key.value = (key.kind, [old if dice.random() < 0.7 else _number(dice, old) for _ in range(count)])
    key.kind = _ARRAY


def _missing_key(dice: random.Random, file: _File) -> None:
    del file.keys[dice.randrange(len(file.keys))]


def _doubled_key(dice: random.Random, file: _File) -> None:
    key = dice.choice(file.keys)
    file.keys.append(_Key(key.name, key.kind, key.value))


def _extra_key(dice: random.Random, file: _File) -> None:
    name = _architecture(file) + b"." + dice.choice(_EXTRA_KEYS).encode()
    file.keys = [key for key in file.keys if key.name != name]
    kind = dice.choice((4, 4, 4, 6, 7, _STRING, _ARRAY))
    value: object = {6: dice.choice(_FLOATS), 7: True, _STRING: dice.choice(_TEXTS).encode()}.get(
        kind, dice.choice(_NUMBERS)
    )
    if kind == _ARRAY:
        value = (dice.choice((4, 5, 6, 7)), [dice.choice((0, 1, 2, 8)) for _ in range(dice.choice((1, 2, 4, 6)))])
    file.keys.append(_Key(name, kind, value))


def _array(dice: random.Random, file: _File) -> None:
    key = dice.choice([key for key in file.keys if key.kind == _ARRAY] or file.keys)
    if not isinstance(key.value, tuple):
        return
    element, items = key.value
    changed = list(items)
    what = dice.randrange(6)
    if what == 0:
        changed = changed[: dice.randrange(len(changed) + 1)]
    elif what == 1:
        changed += changed[: dice.choice((1, 2, 50))]
    elif what == 2 and changed:
        changed[dice.randrange(len(changed))] = changed[dice.randrange(len(changed))]
    elif what == 3 and changed:
        for _ in range(dice.choice((1, 20, 300))):
            changed[dice.randrange(len(changed))] = _number(dice, changed[0]) if element != _STRING else _token(dice)
    elif what == 4:
        element = dice.choice((*SCALAR_FORMATS, _STRING, _ARRAY))
        changed = changed if element == _STRING else [0] * len(changed)
    else:
        dice.shuffle(changed)
    key.value = (element, changed)


def _token(dice: random.Random) -> bytes:
    return dice.choice(
        (b"", b" ", b"\n", b"a b", b"<0x0A>", b"<0x", b"\xff\xfe", b"\xe2\x96\x81", b"x" * 3000, b"<|end|>", b"</s>")
    ) + (str(dice.randrange(1 << 30)).encode() if dice.random() < 0.8 else b"")


def _special_token(dice: random.Random, file: _File) -> None:
    names = [key for key in file.keys if key.name.endswith(b"_token_id")]
    names += [key for key in file.keys if key.name.startswith(b"tokenizer.ggml.add_")]
    if names:
        key = dice.choice(names)
        key.value = dice.choice((0, 1, 3, 1023, 1024, (1 << 31) - 1, (1 << 32) - 1))


def _tensor_shape(dice: random.Random, file: _File) -> None:
    tensor = dice.choice(file.tensors)
    what = dice.randrange(5)
    if what == 0:
        tensor.shape.reverse()
    elif what == 1 and tensor.shape:
        at = dice.randrange(len(tensor.shape))
        tensor.shape[at] = max(0, tensor.shape[at] + dice.choice((-1, 1, 32, -32, tensor.shape[at])))
    elif what == 2 and tensor.shape:
        tensor.shape[dice.randrange(len(tensor.shape))] = dice.choice((0, 1, 1 << 20, 1 << 40, 1 << 63, (1 << 64) - 1))
    elif what == 3:
        tensor.shape = [*tensor.shape, dice.choice((1, 2, 4))][:5]
    else:
        del tensor.shape[-1:]


def _tensor_kind(dice: random.Random, file: _File) -> None:
    same = {0: (26,), 1: (30, 25)}
    for tensor in dice.sample(file.tensors, min(len(file.tensors), dice.choice((1, 1, 3, 100)))):
        tensor.kind = dice.choice(
            same.get(tensor.kind, (0,)) if dice.random() < 0.3 else (*TENSOR_TYPES, 4, 31, 43, 99)
        )


def _tensor_name(dice: random.Random, file: _File) -> None:
    tensor, other = dice.choice(file.tensors), dice.choice(file.tensors)
    what = dice.randrange(4)
    if what == 0:
        tensor.name, other.name = other.name, tensor.name
    elif what == 1:
        tensor.name = other.name
    elif what == 2:
        tensor.name = tensor.name.replace(b"blk.0", dice.choice((b"blk.7", b"blk.99999999", b"blk.-1", b"blk")))
    else:
        tensor.name = dice.choice(
            (b"", b"x" * 64, b"rope_freqs.weight", b"cls.weight", b"output.bias", b"blk.0.attn_q.scale")
        )


def _missing_tensor(dice: random.Random, file: _File) -> None:
    for _ in range(dice.choice((1, 1, 2, 10))):
        if len(file.tensors) > 1:
            del file.tensors[dice.randrange(len(file.tensors))]


def _tensor_offset(dice: random.Random, file: _File) -> None:
    dice.choice(file.tensors).offset = dice.choice((0, 32, 1, 64, 1 << 20, 1 << 40, (1 << 64) - 32))


def _counts(dice: random.Random, file: _File) -> None:
    if dice.random() < 0.5:
        file.counts[dice.randrange(2)] = dice.choice((-1, 1, 2, 1 << 14, 1 << 32, 1 << 60))
    else:
        file.version = dice.choice((0, 1, 2, 3, 4, 0x03000000, 0xFFFFFFFF))


def _numbers(dice: random.Random, file: _File) -> None:
    """The weights themselves: NaN, infinities, noise."""
    data = bytearray(file.data)
    word = dice.choice(
        (struct.pack("<f", float("nan")), struct.pack("<f", float("inf")), b"\xff\xff\xff\xff", b"\0\0\0\0")
    )
    begin = dice.randrange(0, max(1, len(data) - 8), 4)
    count = dice.choice((1, 64, 4096, len(data) // 4))
    end = min(len(data), begin + 4 * count)
    data[begin:end] = (word * count)[: end - begin]
    file.data = bytes(data)


def _architecture(file: _File) -> bytes:
    for key in file.keys:
        if key.name == b"general.architecture" and isinstance(key.value, bytes):
            return key.value
    return b"llama"


def _renamed(dice: random.Random, file: _File) -> None:
    """Another architecture, with all its keys: their values are read by code that they were not meant for."""
    old, new = _architecture(file), dice.choice(_TEXTS[1:24]).encode()
    for key in file.keys:
        if key.name == b"general.architecture":
            key.value = new
        elif key.name.startswith(old + b"."):
            key.name = new + key.name[len(old) :]


_STRUCTURED: tuple[Callable[[random.Random, _File], None], ...] = (
    _value, _architecture_value, _architecture_value, _kind, _as_array, _missing_key, _doubled_key, _extra_key, _extra_key, _array, _array,
    _special_token, _tensor_shape, _tensor_kind, _tensor_name, _missing_tensor, _tensor_offset, _counts, _numbers, _renamed,
)  # fmt: skip
_SOUND_AGAIN = (_tensor_shape, _tensor_kind, _missing_tensor)

KINDS = ("flipped", "overwritten", "cut", *(function.__name__.strip("_") for function in dict.fromkeys(_STRUCTURED)))


def mutant(content: bytes, seed: int) -> tuple[str, bytes]:
    """(what was done, the changed file); the same for the same seed."""
    dice = random.Random(seed)
    if dice.random() < 0.2:
        return _blind(dice, content)
    file = _take_apart(content)
    done = []
    for _ in range(dice.choice((1, 1, 1, 1, 2, 3))):
        change = dice.choice(_STRUCTURED)
        try:
            change(dice, file)
        except (IndexError, ValueError):
            continue  # an earlier change left nothing of the kind
        if change in _SOUND_AGAIN and dice.random() < 0.7:
            _lay_out(file)
        done.append(change.__name__.strip("_"))
    return " + ".join(done) or "nothing", _put_together(file)


def _blind(dice: random.Random, content: bytes) -> tuple[str, bytes]:
    data = bytearray(content)
    head = min(len(data), 40_000)
    what = dice.choice(("flipped", "overwritten", "cut"))
    if what == "cut":
        return what, bytes(data[: dice.randrange(len(data) if dice.random() < 0.3 else head)])
    for _ in range(dice.choice((1, 1, 2, 8))):
        at = dice.randrange(head - 8)
        if what == "flipped":
            data[at] ^= 1 << dice.randrange(8)
        else:
            data[at : at + 8] = dice.choice((b"\xff" * 8, b"\0" * 8, b"\1" + b"\0" * 7, dice.randbytes(8)))
    return what, bytes(data)


def changed(path: Path, **values: object) -> Path:
    """The file with other values under some keys (``__`` stands for a dot after the architecture's name); None takes a key out."""
    file = _take_apart(path.read_bytes())
    arch = _architecture(file) + b"."
    for name, value in values.items():
        full = name.replace("__", ".").encode()
        full = full if full.startswith((b"tokenizer.", b"general.")) else arch + full
        if value is None:
            file.keys = [key for key in file.keys if key.name != full]
            continue
        key = next((key for key in file.keys if key.name == full), None)
        if key is None:
            key = _Key(full, 6 if isinstance(value, float) else _STRING if isinstance(value, bytes) else 4, 0)
            file.keys.append(key)
        key.kind = _ARRAY if isinstance(value, tuple) else key.kind
        key.value = value
    path.write_bytes(_put_together(file))
    return path
