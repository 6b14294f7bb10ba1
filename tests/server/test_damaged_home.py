"""A home in which every file is damaged: the server starts, answers, and says what is wrong; ``doctor`` too."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path

import httpx2

from tests.support.damage import put

from .conftest import TINY, Server

FILES = (
    "machine.json",
    "remote-tokens.json",
    "models/index/local--llama--one.json",
    "models/index/local--llama--two.json",
    "bench/0-0.json",
    "prefixes/0/0.prefix",
    "models/lost/.model.gguf.journal",
    "models/lost/no-model.gguf",
    "chat-history",
)


def _damage(home: Path, damages: Sequence[str]) -> None:
    for name, damage in zip(FILES, cycle(damages), strict=False):
        put(damage, home / name)


def test_the_server_answers(start: Callable[..., Server], tmp_path: Path) -> None:
    _damage(tmp_path / "server0" / "home", ["deep", "pipe", "link to itself", "NULs"])
    server = start("--model", TINY)
    assert httpx2.get(f"{server.url}/v1/models").status_code == 200
    question = {"model": TINY, "messages": [{"role": "user", "content": "What is the capital of France?"}]}
    answer = httpx2.post(f"{server.url}/v1/chat/completions", json=question, timeout=60).json()
    assert "Paris" in answer["choices"][0]["message"]["content"]
    assert httpx2.get(f"{server.url}/health").json()["status"] == "ok"
    assert server.stop() == 0
    assert "Traceback" not in server.raw


def test_doctor_answers(tmp_path: Path) -> None:
    _damage(tmp_path, ["folder", "deep", "socket", "not UTF-8"])
    done = subprocess.run(
        [sys.executable, "-m", "parlant_local", "doctor", "--offline"],
        env={**os.environ, "PARLANT_LOCAL_HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1)
    assert "local/llama/one" in done.stderr
