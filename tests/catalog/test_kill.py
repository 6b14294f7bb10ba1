"""The downloader is killed at random moments; nothing is lost, nothing half-written is ever shown."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from parlant_local.catalog import LocalModelManager
from parlant_local.gguf_info import sha256_file
from parlant_local.observability import NullLogger
from tests.fakes.hub import FakeHub
from tests.fakes.transfers import Fault
from tests.storage.writers import scratch_files
from tests.support.evidence import table, write_section
from tests.support.small_gguf import write_split

MIB = 1 << 20
MANY = 100
PAGE = Path(__file__).parents[2] / "docs" / "evidence" / "kills.md"
REF = "maker/Big-GGUF:Q8_0"
DOWNLOADER = """
import asyncio, os, sys, traceback
import huggingface_hub, parlant_local.catalog.sources.huggingface
from parlant_local import LocalModelManager
for _ in sys.stdin:
    if pid := os.fork():
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
        continue
    try:
        asyncio.run(LocalModelManager(models_dir=sys.argv[1]).download_model(sys.argv[2]))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
"""
"""A download in a process of its own for each line: a fork, which spares the imports of a new interpreter."""


class Downloader:
    def __init__(self, models: Path, reference: str) -> None:
        command = [sys.executable, "-c", DOWNLOADER, str(models), reference]
        # Without a buffer: what has been read is not what select waits for.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def run(self, seconds: float | None) -> int:
        """Exit code of one download, which is killed after ``seconds``."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        pid = int(self._process.stdout.readline())
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return int(self._process.stdout.readline())

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        self._process.wait(10)


@pytest.mark.parametrize(
    ("kills", "shard", "longest"),
    [
        pytest.param(10, 8 * MIB, 0.8, id="ten"),
        pytest.param(MANY, 16 * MIB, 1.6, id="hundred", marks=[pytest.mark.evidence, pytest.mark.timeout(1800)]),
    ],
)
def test_a_download_survives_being_killed_again_and_again(
    hub: FakeHub, tmp_path: Path, kills: int, shard: int, longest: float, record_property: pytest.RecordProperty
) -> None:
    shards = write_split(tmp_path / "origin", "Big-Q8_0", 3, payload=shard)
    hub.add("maker/Big-GGUF", {path.name: path for path in shards})
    hub.file_faults.append(Fault(rate=6e6))
    size = sum(path.stat().st_size for path in shards)
    digests = [sha256_file(path) for path in shards]
    models = tmp_path / "models"
    chooser = random.Random(kills)
    killed = completed = 0
    downloader = Downloader(models, REF)
    while killed < kills or completed == 0:
        code = downloader.run(chooser.uniform(0.05, longest) if killed < kills else None)
        assert code in (0, -signal.SIGKILL)
        killed += code == -signal.SIGKILL
        manager = LocalModelManager(NullLogger(), models)
        listed = manager.list_models(source="huggingface")
        assert len(listed) == (1 if code == 0 or listed else 0)
        for model in listed:
            assert [sha256_file(path) for path in model.paths] == digests
            completed += 1
            if killed < kills:
                asyncio.run(manager.delete_model(model.id))
    downloader.close()
    pushed = -1
    while pushed != (pushed := hub.file_bytes):  # into closed sockets, still
        time.sleep(0.3)
    twice = pushed - completed * size
    record_property("kills", killed)
    record_property("fetched_twice_bytes", twice)
    print(f"{killed} kills, {completed} whole downloads, {twice / killed / 1e6:.2f} MB fetched twice per kill")
    assert twice < kills * 2 * MIB
    asyncio.run(LocalModelManager(NullLogger(), models).initialize())
    assert scratch_files(models) == []
    if kills == MANY:
        head = ["kills", "whole downloads between", "fetched twice per kill", "lost, half there, or of wrong bytes"]
        text = table(head, [[killed, completed, f"{twice / killed / 1e6:.2f} MB", "none"]])
        command = "pytest -m evidence tests/catalog/test_kill.py"
        write_section(PAGE, "Downloads (three shards of 16 MiB from a slow hub)", text, command=command)
