"""GGUF files gone wrong, through `add` and a load: one process takes them all, and must not end."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from parlant_local.engine.loading import LoadControl
from parlant_local.engine.vetting import _trial_spec
from parlant_local.errors import InvalidModelError
from parlant_local.gguf_info import read_header
from parlant_local.settings import EngineSettings
from tests.support import evidence, gguf_models
from tests.support.mutants import mutant
from tests.support.vetting_zygote import Zygote

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "evidence" / "mutated-files.md"
_MIB = 1 << 20
_BASES = {
    "llama": gguf_models.llama,
    "pieces": lambda path: gguf_models.llama(path, pieces=True),
    "qwen2": gguf_models.qwen2,
    "gemma3": gguf_models.gemma3,
    "bert": gguf_models.bert,
    "mamba": gguf_models.mamba,
    "deepseek2": gguf_models.deepseek2,
    "lfm2": gguf_models.lfm2,
}


class Server:
    """The process that takes the files; dies loudly."""

    def __init__(self, home: Path, *options: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.mutant_server", str(home), "--fork", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"GGML_NO_BACKTRACE": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        )

    def take(self, path: Path) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the process ended with {self._process.wait()}"
        report: dict[str, Any] = json.loads(line)
        return report

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        assert self._process.wait(30) == 0


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("bases")
    return [make(folder / f"{name}.gguf").read_bytes() for name, make in _BASES.items()]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "home")
    yield made
    made.close()


def test_150_mutated_files_crash_nothing(bases: list[bytes], server: Server, tmp_path: Path) -> None:
    path = tmp_path / "mutant.gguf"
    stages: Counter[str] = Counter()
    memory = []
    for seed in range(150):
        what, content = mutant(bases[seed % len(bases)], seed)
        path.write_bytes(content)
        report = server.take(path)
        stages[report["stage"]] += 1
        memory.append(report["rss"])
        assert report["add"] < 5, (seed, what)
        assert report["message"].isprintable(), (seed, what)
        assert report["message"].count("mutant.gguf") >= 1 or report["stage"] in ("use", "done"), report
    assert stages["add"] > 50
    assert stages["load"] > 25
    assert stages["done"] > 10
    assert memory[-1] - memory[50] < 256 * _MIB


@pytest.mark.evidence
@pytest.mark.timeout(7200)
def test_10000_mutated_files_crash_nothing(bases: list[bytes], server: Server, tmp_path: Path) -> None:
    path = tmp_path / "mutant.gguf"
    outcomes: Counter[str] = Counter()
    deaths: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    add, memory = [], []
    unprotected = Zygote()
    spec: dict[str, Any] = {}
    for seed in range(10_000):
        what, content = mutant(bases[seed % len(bases)], seed)
        path.write_bytes(content)
        spec = spec or _trial_spec([path], EngineSettings(n_threads=1), None, vocabulary_only=False)
        report = server.take(path)
        kinds.update(what.split(" + "))
        outcomes[_named(report)] += 1
        add.append(report["add"])
        memory.append(report["rss"])
        assert report["message"].isprintable(), (seed, what)
        if _refused(path):  # what would have become of a process that had no look at the header
            outcome = unprotected.run(spec, LoadControl("mutant"))
            deaths["header"] += outcome.kind == "died"
        deaths["trial"] += "crashed the process that tried to load it" in report["message"]
    unprotected.close()
    growth = max(memory) - memory[2000]
    assert growth < 256 * _MIB
    rows = [[name, f"{count:,}"] for name, count in outcomes.most_common()]
    milliseconds = sorted(1000 * seconds for seconds in add)
    text = f"""{evidence.table(["Outcome", "Files"], [*rows, ["The process ended", "0"]])}

Of the files that the header check refused, {deaths["header"]} end a process that loads them without it; the trial caught
{deaths["trial"]} more.

`add`, refusals included: median {statistics.median(milliseconds):.1f} ms, 99 of 100 within {milliseconds[9900]:.0f} ms, the slowest
{milliseconds[-1]:.0f} ms. Memory of the process after 2,000 files
{memory[2000] // _MIB} MiB, at most {max(memory) // _MIB} MiB after that, {memory[-1] // _MIB} MiB after the last.

Changes by kind: {", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in kinds.most_common())}.

The trials ran in forks of one process that had the library loaded; what runs in them is the trial as ever."""
    evidence.write_section(
        PAGE, "Ten thousand", text, command="pytest -m evidence tests/engine/vetting/test_mutants.py"
    )


def _refused(path: Path) -> bool:
    try:
        read_header(path)
    except InvalidModelError:
        return True
    return False


def _named(report: dict[str, Any]) -> str:
    if report["stage"] == "done":
        return "Sound enough: loaded, generated, embedded"
    if report["stage"] == "add":
        return f"Refused by `add`: {report['error']}"
    if "crashed the process that tried to load it" in report["message"]:
        return "Ended its trial: InvalidModelError"
    where = "Refused by the trial" if report["stage"] == "load" else "Loaded, but an answer failed"
    return f"{where}: {report['error']}"
