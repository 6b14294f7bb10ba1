"""The downloader is killed at random moments; nothing is lost, nothing half-written is ever shown."""

from __future__ import annotations

import asyncio
import os
import random
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
SHARD = 16 * MIB
MANY = 100
PAGE = Path(__file__).parents[2] / "docs" / "evidence" / "kills.md"
REF = "maker/Big-GGUF:Q8_0"
CHILD = (
    "import asyncio, sys; from parlant_local import LocalModelManager\n"
    "print('up', flush=True); asyncio.run(LocalModelManager(models_dir=sys.argv[1]).download_model(sys.argv[2]))"
)


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(10, id="ten"),
        pytest.param(MANY, id="hundred", marks=[pytest.mark.evidence, pytest.mark.timeout(1800)]),
    ],
)
def test_a_download_survives_being_killed_again_and_again(
    hub: FakeHub, tmp_path: Path, kills: int, record_property: pytest.RecordProperty
) -> None:
    shards = write_split(tmp_path / "origin", "Big-Q8_0", 3, payload=SHARD)
    hub.add("maker/Big-GGUF", {path.name: path for path in shards})
    hub.file_faults.append(Fault(rate=6e6))
    size = sum(path.stat().st_size for path in shards)
    digests = [sha256_file(path) for path in shards]
    models = tmp_path / "models"
    chooser = random.Random(kills)
    killed = completed = 0
    while killed < kills or completed == 0:
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, str(models), REF], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
            if killed < kills:
                try:
                    process.wait(chooser.uniform(0.05, 1.6))
                except subprocess.TimeoutExpired:
                    os.kill(process.pid, signal.SIGKILL)
                    killed += 1
            assert process.stderr is not None
            trouble = process.stderr.read().decode()
        assert process.returncode in (0, -signal.SIGKILL), trouble
        manager = LocalModelManager(NullLogger(), models)
        listed = manager.list_models(source="huggingface")
        assert len(listed) == (1 if process.returncode == 0 or listed else 0)
        for model in listed:
            assert [sha256_file(path) for path in model.paths] == digests
            completed += 1
            if killed < kills:
                asyncio.run(manager.delete_model(model.id))
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
