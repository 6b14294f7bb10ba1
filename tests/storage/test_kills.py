"""Processes are killed in the middle of writing, again and again. What they had written is there, and nothing else is."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from tests.storage.forks import Forks, first_word
from tests.storage.writers import KINDS, scratch_files
from tests.support.evidence import table, write_section
from tests.support.small_gguf import write_gguf

PAGE = Path(__file__).parents[2] / "docs" / "evidence" / "kills.md"
COMMAND = "pytest -m evidence tests/storage/test_kills.py"
TINY = Path(str(files("parlant_local"))) / "models" / "parlant-local-tiny.gguf"
MANY = {"index": 220, "copy": 120, "ledger": 220, "prefix": 160, "settings": 120}
LOADS = 60
FEW = 4

evidence = (pytest.mark.evidence, pytest.mark.timeout(1800))
_rows: list[list[object]] = []


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks() as found:
        yield found


def _start(forks: Forks, name: str, *arguments: str | Path, acknowledgements: Path) -> int:
    acknowledgements.unlink(missing_ok=True)
    process = forks.start(name, *arguments, acknowledgements)
    first_word(acknowledgements)
    return process


def _kill(forks: Forks, process: int, acknowledgements: Path) -> list[str]:
    """What it had acknowledged, but for the first word."""
    os.kill(process, signal.SIGKILL)
    assert forks.wait(process) == -signal.SIGKILL, "it ended by itself"
    return acknowledgements.read_text("utf-8").splitlines()[1:]


@pytest.mark.parametrize(
    ("kind", "kills"),
    [
        *(pytest.param(kind, FEW, id=kind) for kind in KINDS),
        *(pytest.param(kind, kills, id=f"{kind}, {kills} times", marks=evidence) for kind, kills in MANY.items()),
    ],
)
def test_what_was_written_survives_kills(kind: str, kills: int, forks: Forks, tmp_path: Path) -> None:
    folder, said = tmp_path / "state", [tmp_path / "one", tmp_path / "other"]
    folder.mkdir()
    write_gguf(tmp_path / "origin.gguf", payload=4 << 20)
    dice = random.Random(kills)
    newest = writes = left = 0
    for kill in range(kills):
        several = said if kind == "ledger" and kill % 2 else said[:1]  # of the ledger, every other time two at once
        processes = [_start(forks, "write", kind, folder, acknowledgements=path) for path in several]
        time.sleep(dice.uniform(0.0, 0.08))
        acknowledged = [_kill(forks, *pair) for pair in zip(processes, several, strict=True)]
        writes += sum(map(len, acknowledged))
        # Calls add up in a ledger; elsewhere, what is written last has the highest number.
        newest = (
            writes if kind == "ledger" else max([newest, *(int(number) for lines in acknowledged for number in lines)])
        )
        left += len(scratch_files(folder))
        assert forks.wait(forks.start("look", kind, folder, newest)) == 0
        if kind in ("index", "copy", "prefix"):
            assert scratch_files(folder) == []  # who starts sweeps
    last = _start(forks, "write", kind, folder, acknowledgements=said[0])
    while len(said[0].read_text().splitlines()) < 2:
        time.sleep(0.001)
    _kill(forks, last, said[0])
    assert len(scratch_files(folder)) <= 1  # who writes sweeps as well; this writer was killed in turn
    assert not [path for path in folder.rglob("*") if ".damaged-" in path.name]
    if kills == MANY[kind]:
        _rows.append([kind, kills, f"{writes:,}", left, "none"])
        head = [
            "what is written",
            "kills",
            "writes acknowledged",
            "scratch files left, and swept",
            "lost or half there",
        ]
        write_section(PAGE, "Writes", table(head, _rows), command=COMMAND)


@pytest.mark.parametrize("kills", [FEW // 2, pytest.param(LOADS, marks=evidence)])
def test_a_model_that_was_being_loaded_is_free_and_loads_again(kills: int, forks: Forks, tmp_path: Path) -> None:
    model, said = tmp_path / "model.gguf", tmp_path / "said"
    shutil.copyfile(TINY, model)
    dice = random.Random(kills)
    loads = closes = 0
    for _ in range(kills):
        process = _start(forks, "load", tmp_path, model, acknowledgements=said)
        time.sleep(dice.uniform(0.0, 0.5))
        told = _kill(forks, process, said)
        loads, closes = loads + told.count("loaded"), closes + told.count("closed")
        assert forks.wait(forks.start("look_at_load", tmp_path, model)) == 0
    assert scratch_files(tmp_path) == []
    if kills == LOADS:
        head = ["kills", "loads between", "of them with answers, and closed", "locks left", "files harmed"]
        text = table(head, [[kills, loads, closes, "none", "none"]])
        write_section(PAGE, "A model is loaded, answers, keeps prefixes and is let go of", text, command=COMMAND)
