"""The parts of `make gpu-check`, without a card: a stand-in for the driver's program, and steps that fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
from benchmarks.gpu import machine
from benchmarks.gpu.build import configuration
from benchmarks.gpu.machine import Card, architectures
from benchmarks.gpu.measures import compare
from benchmarks.gpu.pack import PACKAGES, checked_size, pinned, wanted
from benchmarks.gpu.steps import Done, Step, run_all, table

ROOT = Path(__file__).parents[2]
H100 = "NVIDIA H100 80GB HBM3, 9.0, 81559, 512, 580.159.04\n"


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its program, which prints what the file says."""
    program = tmp_path / "nvidia-smi"
    program.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/asked\ncat {tmp_path}/said\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return tmp_path


def test_the_driver_is_asked_for_the_card(driver: Path) -> None:
    (driver / "said").write_text(H100)
    assert machine.cards() == [Card("NVIDIA H100 80GB HBM3", "9.0", 81559, 512, "580.159.04")]
    assert machine.used_mib() == 512
    assert (driver / "asked").read_text() == "--query-gpu=name,compute_cap,memory.total,memory.used,driver_version\n"


@pytest.mark.parametrize(
    ("capabilities", "wanted"),
    [(["9.0"], "90-real"), (["8.9", "8.9"], "89-real"), (["12.0", "8.6"], "86-real;120-real"), (["7.5"], "75-real")],
)
def test_the_architectures_are_those_of_the_cards(capabilities: list[str], wanted: str) -> None:
    assert architectures([Card("x", each, 1, 0, "1") for each in capabilities]) == wanted


@pytest.mark.parametrize("said", ["NVIDIA-SMI has failed because it couldn't communicate\n", "a, 9.0, [N/A], 0, 1\n"])
def test_what_is_no_card_is_an_error(said: str) -> None:
    with pytest.raises(ValueError):  # whatever Python says of it is in the step's log
        machine.parse_cards(said)


def test_the_library_alone_is_built_for_this_card() -> None:
    command = configuration(Path("source"), Path("built"), "90-real", ninja=True)
    assert command[:7] == ["cmake", "-S", "source", "-B", "built", "-G", "Ninja"]
    assert {"-DGGML_CUDA=ON", "-DCMAKE_CUDA_ARCHITECTURES=90-real", "-DGGML_CCACHE=OFF"} <= set(command)
    for part in ("TESTS", "TOOLS", "EXAMPLES", "SERVER"):
        assert f"-DLLAMA_BUILD_{part}=OFF" in command
    assert "-G" not in configuration(Path("source"), Path("built"), "90-real", ninja=False)


def test_the_pack_has_what_is_compiled_and_no_more() -> None:
    for name in ("vendor/llama.cpp/ggml/src/ggml-cuda/mmq.cu", "vendor/llama.cpp/CMakeLists.txt", "llama_cpp/llama.py"):
        assert wanted(PurePosixPath(name))
    for name in ("vendor/llama.cpp/models/ggml-vocab.gguf", "vendor/llama.cpp/tools/main.cpp", "docs/index.md"):
        assert not wanted(PurePosixPath(name))


def test_the_packed_packages_are_those_of_the_lock() -> None:
    versions = pinned(PACKAGES)
    assert len(versions) == len(PACKAGES)
    assert all("==" in each for each in versions)
    with pytest.raises(ValueError, match=r"no such-thing\."):
        pinned(["numpy", "such-thing"])


def test_a_pack_that_can_not_be_carried_is_refused(tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"x" * 10)
    large.write_bytes(b"x" * 100)
    assert checked_size([small, large, tmp_path], most=111) == 110
    with pytest.raises(SystemExit, match=r"can't be carried.*large 0\.0, small"):
        checked_size([small, large], most=110)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_the_table_tells_of_every_step_whatever_became_of_it(tmp_path: Path) -> None:
    tells = "from benchmarks.gpu.steps import tell; tell('speed', '9 | 10'); {}"
    here = {"PYTHONPATH": str(ROOT)}
    steps = [
        Step("good", python(tells.format("print('beside')")), 60, environment=here),
        Step("slow", python(tells.format("import time; time.sleep(600)")), 2, environment=here),
        Step("bad", python("raise SystemExit('no card')"), 60),
        Step("after bad", python("print()"), 60, needs=("good", "bad")),
        Step("after good", python("print()"), 60, needs=("good",)),
    ]
    done = run_all(steps, tmp_path, 120)
    assert [(each.name, each.outcome) for each in done] == [
        ("good", "ok"),
        ("slow", "cut off after 2 s"),
        ("bad", "failed: no card"),
        ("after bad", "left out: bad did not succeed"),
        ("after good", "ok"),
    ]
    assert done[0].rows == done[1].rows == (("speed", "9 | 10"),)  # what a step had told before it was cut off counts
    text = (tmp_path / "gpu-check.md").read_text()
    assert text == table(done)
    assert text.count("9 \\| 10") == 2


def test_steps_for_which_there_is_no_time_are_left_out(tmp_path: Path) -> None:
    [done] = run_all([Step("late", python("print()"), 60)], tmp_path, 0)
    assert done == Done("late", "left out: the time was over")


def answer(*tokens: tuple[str, float]) -> list[list[object]]:
    """Each token and how far behind it "other" was."""
    return [[token, -0.5, [[token, -0.5], ["other", -0.5 - behind]]] for token, behind in tokens]


def test_answers_that_part_at_a_tie_are_no_error() -> None:
    theirs = [answer(("a", 1.0), ("b", 0.01)), answer(("a", 1.0), ("b", 2.0)), answer(("a", 1.0))]
    same, tie, wrong = theirs[2], answer(("a", 1.0), ("other", 0.0)), answer(("a", 1.0), ("other", 0.0))
    equal, ties, problems = compare([tie, wrong, same], theirs)
    assert (equal, ties) == (1, 1)
    assert problems == ["answer 1 parts at token 1: 'other' instead of 'b', 2.00 behind it"]
    assert compare([same + same], [same])[2] == ["answer 0 has 2 tokens instead of 1"]


@pytest.mark.evidence
def test_a_dry_run_succeeds(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu"],
        cwd=ROOT,
        env={**os.environ, "DRY": "1", "OUT": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout
    for step in ("library", "models", "equality", "sizing", "W", "C", "T", "tuning"):
        assert f"| {step} " in done.stdout
    assert json.dumps(done.stdout).count("| ok ") == 9
