"""Jobs that are ended from outside, in the middle: by Ctrl-C, by who asks them to stop, by what can't be handled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from parlant_local.catalog import LocalModelManager
from parlant_local.gguf_info import sha256_file
from parlant_local.workshop import split
from tests.support.at_home import Verb
from tests.support.gguf_models import llama
from tests.support.safetensors_models import write_model

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of another process")

STOPPED = """
import sys, time
from parlant_local.workshop import control

step = control.Control.step

def stop(self, doing, done, total):
    step(self, doing, done, total)
    if doing.startswith(sys.argv[1]):
        print("begun", flush=True)
        time.sleep(300)

control.Control.step = stop
from parlant_local.cli.main import main
main(sys.argv[2:])
"""
"""A verb that stops in the middle of what its progress says."""
JOBS = {
    "edit": ("Copying", "edit {model} --set general.name=x"),
    "edit --in-place": ("Copying", "edit {model} --set general.name=x --in-place"),
    "edit --output": ("Copying", "edit {model} --set general.name=x --output {folder}/out.gguf"),
    "split": ("Splitting", "split {model} --tensors 4"),
    "merge": ("Merging", "merge {parts}"),
    "convert": ("Converting", "convert {original}"),
    "quantize": ("Quantizing", "quantize {model} Q8_0 --name q"),
    "imatrix": ("Reading", "imatrix {model} {text} --chunk 16 --output {folder}/i.gguf"),
}
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


def ended(job: str, number: signal.Signals, places: dict[str, str]) -> int:
    doing, line = JOBS[job]
    child = subprocess.Popen(
        [sys.executable, "-c", STOPPED, doing, *line.format(**places).split()],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "begun\n", child.communicate()
    child.send_signal(number)
    child.communicate(timeout=120)
    return child.returncode


def files(*folders: Path) -> set[str]:
    return {
        str(path)
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".json" and path.name != ".lock"
    }


@pytest.mark.parametrize(
    ("job", "number"),
    [("edit", signal.SIGTERM), ("edit --in-place", signal.SIGKILL)]
    + [pytest.param(job, number, marks=pytest.mark.evidence) for job in JOBS for number in SIGNALS],
)
def test_nothing_half_written_is_left(
    job: str, number: signal.Signals, verb: Verb, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = LocalModelManager()
    folder = tmp_path / "work"
    folder.mkdir()
    model = llama(folder / "m.gguf", tied=False)
    (folder / "text.txt").write_text("the quick brown fox jumps over the lazy dog " * 40, "utf-8")
    places = {"model": str(model), "folder": str(folder), "text": str(folder / "text.txt")}
    if job == "convert":
        places["original"] = str(write_model(folder / "original", "LlamaForCausalLM"))
    if job == "merge":
        places["parts"] = split(model, max_tensors=8, name="parts", manager=manager).id
    digest, before, known = sha256_file(model), files(home, folder), [item.id for item in manager.list_models()]

    code = ended(job, number, places)

    if number is signal.SIGKILL:
        assert code == -signal.SIGKILL
    else:
        assert code == 130
        assert files(home, folder) == before
    # What a killed one leaves goes with the next start, or with the next job that writes into that folder.
    assert verb("list")[0] == 0
    assert verb("edit", str(model), "--set", "general.name=y", "--output", str(folder / "next.gguf"), "--quiet")[0] == 0
    after = files(home, folder) - {str(folder / "next.gguf")}
    assert after - before == set()
    assert sha256_file(model) == digest
    assert [item.id for item in LocalModelManager().list_models() if not item.id.endswith("m-edited")] == known
