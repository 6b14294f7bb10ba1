"""Memory: estimates against what llama.cpp takes, and control-group limits."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from parlant_local.gguf_info import GGUFHeader, TensorInfo, available_memory, estimate_memory, read_header, total_memory
from parlant_local.gguf_info.memory import _cgroup_limits

TINY = Path(__file__).resolve().parents[2] / "src" / "parlant_local" / "models" / "parlant-local-tiny.gguf"


def header(**values: object) -> GGUFHeader:
    metadata = {"general.architecture": "llama", **{f"llama.{key}": value for key, value in values.items()}}
    return GGUFHeader(Path("m.gguf"), 3, metadata, (TensorInfo("t", (100,), "F32", 0, 400),), 500, 100, 100)  # type: ignore[arg-type]


BASE = {"block_count": 4, "embedding_length": 64, "attention.head_count": 8, "context_length": 4096}


def test_the_kv_cache_counts_kv_heads_not_heads() -> None:
    plain = estimate_memory(header(**BASE), 1000).kv_cache
    grouped = estimate_memory(header(**BASE, **{"attention.head_count_kv": 2}), 1000).kv_cache
    assert plain == 1000 * 4 * 8 * (8 + 8) * 2
    assert grouped * 4 == plain


def test_layers_may_differ_in_heads() -> None:
    per_layer = header(**BASE, **{"attention.head_count_kv": (2, 0, 2, 0)})
    assert estimate_memory(per_layer, 1000).kv_cache == 1000 * 2 * 2 * 16 * 2


def test_compressed_attention_is_as_wide_as_its_keys_say() -> None:
    mla = header(**BASE, **{"attention.head_count_kv": 1, "attention.key_length": 576, "attention.value_length": 512})
    assert estimate_memory(mla, 10).kv_cache == 10 * 4 * (576 + 512) * 2


def test_windowed_layers_keep_their_window_only() -> None:
    windowed = header(**BASE, **{"attention.sliding_window": 128, "attention.sliding_window_pattern": 2})
    full = estimate_memory(windowed, 4096, swa_full=True).kv_cache
    assert estimate_memory(windowed, 4096, n_ubatch=128).kv_cache == full // 2 + full // 2 * 256 // 4096


def test_a_quantized_cache_is_smaller() -> None:
    sizes = [estimate_memory(header(**BASE), 4096, kv_type=kind).kv_cache for kind in ("f32", "f16", "q8_0", "q4_0")]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[1] == sizes[0] // 2


@pytest.mark.skipif(not TINY.is_file(), reason="the model that comes with the package is not built here")
@pytest.mark.parametrize("n_ctx", [1024, 8192])
def test_the_estimate_is_close_to_what_llama_cpp_reports(n_ctx: int) -> None:
    """llama.cpp says how large its buffers are when it makes a context."""
    code = (
        "import llama_cpp, sys\n"
        f"llama_cpp.Llama({str(TINY)!r}, n_ctx={n_ctx}, n_batch=512, n_ubatch=512, verbose=True, flash_attn=True)"
    )
    log = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True).stderr
    mib = 1 << 20
    kv = sum(float(size) for size in re.findall(r"KV buffer size =\s+([\d.]+) MiB", log)) * mib
    compute = sum(float(size) for size in re.findall(r"compute buffer size =\s+([\d.]+) MiB", log)) * mib
    assert kv > 0
    estimate = estimate_memory(read_header(TINY), n_ctx)
    assert estimate.kv_cache == pytest.approx(kv, rel=0.02, abs=mib)
    assert compute * 0.7 <= estimate.compute <= compute * 2 + 16 * mib


def test_control_group_limits_count(tmp_path: Path) -> None:
    group = tmp_path / "cgroup" / "user" / "job"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("1000000\n")
    (group / "memory.current").write_text("700000\n")
    (group / "memory.stat").write_text("anon 1\ninactive_file 200000\n")
    me = tmp_path / "self"
    me.write_text("0::/user/job\n")
    assert _cgroup_limits(tmp_path / "cgroup", me) == [(1000000, 500000)]
    (group / "memory.max").write_text("max\n")
    assert _cgroup_limits(tmp_path / "cgroup", me) == []


def test_available_memory_is_part_of_the_total() -> None:
    assert 0 < available_memory() <= total_memory()


def test_experts_that_are_not_chosen_do_not_count_as_active() -> None:
    moe = header(**BASE, expert_count=8, expert_used_count=2)
    tensors = (TensorInfo("blk.0.ffn_up_exps.weight", (800,), "F32", 0, 1), TensorInfo("attn", (100,), "F32", 0, 1))
    moe = dataclasses.replace(moe, tensors=tensors)
    assert (moe.parameter_count, moe.active_parameter_count) == (900, 300)
