"""Values that no model has: refused by name before native code sees them, and quickly whatever they declare."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support import gguf_models
from tests.support.mutants import changed

from parlant_local.errors import InvalidModelError
from parlant_local.gguf_info import estimate_memory, read_header

Make = Callable[..., Path]

_MAKERS: dict[str, Callable[[Path], Path]] = {
    "llama": gguf_models.llama,
    "pieces": lambda path: gguf_models.llama(path, pieces=True),
    "deepseek2": gguf_models.deepseek2,
    "bert": gguf_models.bert,
    "lfm2": gguf_models.lfm2,
    "mamba": gguf_models.mamba,
    "gemma3": gguf_models.gemma3,
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("sound")
    return {name: make(folder / f"{name}.gguf").read_bytes() for name, make in _MAKERS.items()}


@pytest.fixture
def make(sound: dict[str, bytes], tmp_path: Path) -> Make:
    def copy(name: str, **values: object) -> Path:
        path = tmp_path / "model.gguf"
        path.write_bytes(sound[name])
        return changed(path, **values) if values else path

    return copy


@pytest.mark.parametrize("name", _MAKERS)
def test_sound_models_pass(make: Make, name: str) -> None:
    assert read_header(make(name)).architecture


@pytest.mark.parametrize(
    ("name", "values", "key"),
    [
        ("llama", {"block_count": 0}, "block_count"),
        ("llama", {"block_count": 513}, "block_count"),
        ("llama", {"block_count": 20_000_000}, "block_count"),
        ("llama", {"block_count": 3}, "block_count"),  # no tensors for the third
        ("llama", {"block_count": 1}, "block 1"),
        ("llama", {"context_length": 0}, "context_length"),
        ("llama", {"context_length": (1 << 32) - 1}, "context_length"),
        ("llama", {"embedding_length": 0}, "embedding_length"),
        ("llama", {"embedding_length": 128}, "token_embd.weight"),
        ("llama", {"attention__head_count": 3}, "head_count"),
        ("llama", {"attention__head_count_kv": 3}, "head_count_kv"),
        ("llama", {"attention__head_count": 1 << 31}, "head_count"),
        ("llama", {"attention__key_length": 0}, "key_length"),
        ("llama", {"attention__key_length": None, "attention__head_count": 7, "attention__head_count_kv": 7}, "head_count"),
        ("llama", {"rope__dimension_count": 15}, "rope.dimension_count"),
        ("llama", {"rope__dimension_count": 64}, "rope.dimension_count"),
        ("llama", {"rope__freq_base": float("nan")}, "rope.freq_base"),
        ("llama", {"rope__freq_base": -1.0}, "rope.freq_base"),
        ("llama", {"rope__scaling__type": b"sideways"}, "rope.scaling.type"),
        ("llama", {"attention__layer_norm_rms_epsilon": -1.0}, "layer_norm_rms_epsilon"),
        ("llama", {"attention__layer_norm_rms_epsilon": float("inf")}, "layer_norm_rms_epsilon"),
        ("llama", {"expert_count": 1025}, "expert_count"),
        ("llama", {"expert_used_count": 2}, "expert_used_count"),
        ("llama", {"expert_group_count": 2}, "expert_group_count"),
        ("llama", {"nextn_predict_layers": 3}, "nextn_predict_layers"),
        ("llama", {"pooling_type": 77}, "pooling_type"),
        ("llama", {"vocab_size": 1 << 31}, "vocab_size"),
        ("llama", {"attention__sliding_window": 1 << 31}, "sliding_window"),
        ("llama", {"general__architecture": b"lla\nma"}, "general.architecture"),
        ("llama", {"tokenizer__ggml__tokens": (8, [b"one", b"two"])}, "token_embd.weight"),
        ("llama", {"tokenizer__ggml__tokens": (8, [b"same"] * 1024)}, "duplicate tokens"),
        ("llama", {"tokenizer__ggml__tokens": (8, [])}, "tokenizer.ggml.tokens"),
        ("llama", {"tokenizer__ggml__token_type": (5, [1, 1])}, "token_type"),
        ("pieces", {"tokenizer__ggml__scores": (6, [0.0])}, "scores"),
        ("deepseek2", {"expert_used_count": 5}, "expert_used_count"),
        ("deepseek2", {"expert_used_count": 0}, "expert_used_count"),
        ("deepseek2", {"expert_group_count": 3}, "expert_group_count"),
        ("deepseek2", {"expert_group_count": 2, "expert_group_used_count": 2}, "expert_group_used_count"),
        ("lfm2", {"attention__head_count_kv": (5, [2, 0])}, "head_count_kv"),
        ("lfm2", {"attention__head_count_kv": (5, [3, 0, 3, 0])}, "head_count_kv"),
        ("lfm2", {"attention__head_count_kv": (6, [2.0, 0.0, 2.0, 0.0])}, "head_count_kv"),
        ("lfm2", {"attention__head_count_kv": (5, [2] * 5000)}, "head_count_kv"),
        ("lfm2", {"shortconv__l_cache": 1 << 20}, "shortconv.l_cache"),
        ("mamba", {"ssm__inner_size": 1 << 31}, "ssm.inner_size"),
        ("bert", {"attention__layer_norm_epsilon": float("nan")}, "layer_norm_epsilon"),
    ],
)  # fmt: skip
def test_values_that_would_crash_the_process_are_refused_by_name(
    make: Make, name: str, values: dict[str, object], key: str
) -> None:
    path = make(name, **values)
    with pytest.raises(InvalidModelError) as caught:
        read_header(path)
    assert key in caught.value.message
    assert str(path) in caught.value.message


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (
            "llama",
            {"tokenizer__ggml__bos_token_id": (1 << 32) - 1},
        ),  # llama.cpp takes another one, and many files have it
        ("llama", {"rope__freq_base": 0.0}),
        ("llama", {"attention__head_count_kv": (4, [2, 1])}),
        ("mamba", {"attention__head_count": 0}),
        ("llama", {"attention__key_length": None, "attention__value_length": None}),
        ("llama", {"nextn_predict_layers": 1, "block_count": 3}),  # the layers that predict further are often left out
        ("deepseek2", {"expert_used_count": (4, [2, 4])}),
    ],
)
def test_values_of_real_models_pass(make: Make, name: str, values: dict[str, object]) -> None:
    read_header(make(name, **values))


def _text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def _file(keys: list[bytes], tensors: list[bytes] = []) -> bytes:  # noqa: B006  # never changed
    return b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(keys) + b"".join(tensors)


def _key(name: bytes, kind: int, value: bytes) -> bytes:
    return _text(name) + struct.pack("<I", kind) + value


_FLOODS = {
    "2^21 empty strings, again and again": _file(
        [_key(b"k%d" % n, 9, struct.pack("<IQ", 8, 1 << 18) + b"\0" * (8 << 18)) for n in range(12)]
    ),
    "a million arrays of 4,096 numbers": _file(
        [_key(b"k%d" % n, 9, struct.pack("<IQ", 4, 4096) + b"\1" * 16384) for n in range(3000)]
    ),
    "three thousand texts of 64 KiB": _file([_key(b"k%d" % n, 8, _text(b"x" * 65536)) for n in range(1000)]),
    "more keys than any file has": _file([_key(b"k%d" % n, 0, b"1") for n in range(5000)]),
    "more tensors than any model has": _file(
        [], [_text(b"t%d" % n) + struct.pack("<IQIQ", 1, 0, 0, 0) for n in range(40_000)]
    ),
    "strings of 250 entries": _file(
        [_key(b"k%d" % n, 9, struct.pack("<IQ", 8, 250) + _text(b"y" * 5000) * 250) for n in range(20)]
    ),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("what", _FLOODS)
def test_many_small_values_do_not_take_long(tmp_path: Path, what: str) -> None:
    path = tmp_path / "flood.gguf"
    path.write_bytes(_FLOODS[what])
    with contextlib.suppress(InvalidModelError):
        read_header(path)


@pytest.mark.parametrize("what", list(_FLOODS)[2:])  # the others are nothing but numbers; tracing each takes long
def test_many_small_values_do_not_take_much_memory(tmp_path: Path, what: str) -> None:
    path = tmp_path / "flood.gguf"
    path.write_bytes(_FLOODS[what])
    tracemalloc.start()
    with contextlib.suppress(InvalidModelError):
        read_header(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 << 20


@pytest.mark.timeout(60)
def test_estimates_of_the_largest_header_take_no_time(make: Make) -> None:
    header = read_header(make("lfm2"))
    metadata = {**header.metadata, "lfm2.block_count": 512, "lfm2.attention.head_count_kv": tuple([2] * 512)}
    object.__setattr__(header, "metadata", metadata)
    for cells in range(256, 25_600, 256):
        assert estimate_memory(header, cells).total > 0


def test_display_texts_are_one_short_line(make: Make) -> None:
    path = make("llama", general__name=b"a\x1b[2J\nname" + b"x" * 5000)
    name = read_header(path).name
    assert name.startswith("a[2Jname")
    assert len(name) <= 200
    assert name.isprintable()


def test_a_name_implies_a_thousand_shards_at_most() -> None:
    from parlant_local.gguf_info import shard_names

    assert len(shard_names("m-00001-of-01000.gguf")) == 1000
    assert shard_names("m-00001-of-99999.gguf") == ("m-00001-of-99999.gguf",)
