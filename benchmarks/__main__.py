"""``python -m benchmarks [--full] [--model small] [W T C]``: one table, every figure a ratio to a peer in the same run."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.models import CACHE, MODELS, model_path
from benchmarks.peer import PEER_PYTHON, Peer
from benchmarks.record import record
from benchmarks.workloads import SCHEMA, Call, chat_stream, crowd

PEER_PACKAGES = ["xllamacpp==2026.10.11549", "llama-cpp-python==0.3.36", "jsonschema"]

# Peers with the options that are tried for them; the best one of each is what we are compared with.
SYSTEMS: list[tuple[str, str, dict[str, Any]]] = [
    ("ours", "ours", {}),
    ("llama behind a lock", "llama_lock", {}),
    ("xllamacpp, split", "xllamacpp", {"unified": False}),
    ("xllamacpp, unified", "xllamacpp", {"unified": True}),
]


@dataclass
class Figures:
    """Seconds per repetition, by what was measured."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    valid: int = 0
    answers: int = 0

    def note(self, what: str, value: float) -> None:
        self.seconds.setdefault(what, []).append(value)

    def median(self, what: str) -> float:
        return statistics.median(self.seconds[what])


Workload = Callable[[Peer, Figures, Callable[[], Peer]], None]
"""Drives a started system, notes figures, and may start it again."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("workloads", nargs="*", default=["W", "C"], choices=["W", "T", "C"], metavar="W|T|C")
    parser.add_argument("--full", action="store_true", help="five interleaved repetitions instead of two")
    parser.add_argument("--model", choices=sorted(MODELS), default="small")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    prepare_peers()
    results = {}
    for name in arguments.workloads:
        results[name] = measure(WORKLOADS[name], arguments.model, 5 if arguments.full else 2)
    if arguments.json:
        plain = {name: {label: f.seconds for label, f in systems.items()} for name, systems in results.items()}
        print(json.dumps(plain, indent=1))
        return
    for name, figures in results.items():
        print_table(name, figures)


def prepare_peers() -> None:
    if PEER_PYTHON.exists() and subprocess.run([PEER_PYTHON, "-c", "import xllamacpp, llama_cpp"]).returncode == 0:
        return
    print("Making .venv-bench with the peers (llama.cpp is built once more) …", file=sys.stderr)
    venv.create(PEER_PYTHON.parent.parent, with_pip=True)
    uv = [sys.executable, "-m", "uv", "pip", "install", "-q", "-p", str(PEER_PYTHON)]
    subprocess.run([*uv, "--no-binary", "llama-cpp-python", *PEER_PACKAGES], check=True)


def measure(workload: Workload, model: str, repetitions: int) -> dict[str, Figures]:
    """Every repetition starts each system afresh, one after the other: slow minutes of the machine hit all alike."""
    path = model_path(model)
    figures = {label: Figures() for label, _, _ in SYSTEMS}
    for repetition in range(repetitions):
        for label, name, options in SYSTEMS:
            print(f"{workload.__name__} {repetition + 1}/{repetitions}: {label}", file=sys.stderr)
            with tempfile.TemporaryDirectory() as kept:

                def start(name: str = name, options: dict[str, Any] = options, kept: str = kept) -> Peer:
                    peer = Peer(name)
                    peer.start(path, {**options, "prefix_dir": kept} if name == "ours" else options)
                    return peer

                with start() as peer:
                    workload(peer, figures[label], start)
    return figures


def crowds(peer: Peer, figures: Figures, _: Callable[[], Peer]) -> None:
    """W: eight schema-bound calls at once sharing 1,500 of 1,650 tokens; then a second round."""
    for number, label in ((0, "cold"), (1, "next")):
        answers = peer.run([call.as_dict() for call in crowd(number, shared=1050, own=100)])
        figures.note(f"{label}", max(seconds for _, seconds in answers))
        figures.note(f"{label}, first answer", min(seconds for _, seconds in answers))
        figures.answers += len(answers)
        figures.valid += sum(is_valid(text) for text, _ in answers)


def turns(peer: Peer, figures: Figures, restart: Callable[[], Peer]) -> None:
    """T: a recorded Parlant server's calls: a first turn, two more, another conversation, and one after a restart."""
    phases: dict[str, list[dict[str, Any]]] = {}
    for item in record(CACHE / "parlant.json"):
        phases.setdefault(item["phase"], []).append({**item["call"], "after": item["after"]})
    for label, names in (("turn 1", ["1.1"]), ("turns 2-3", ["1.2", "1.3"]), ("next conversation", ["2.1"])):
        figures.note(label, sum(run_phase(peer, phases[name], figures) for name in names))
    peer.stop()
    with restart() as again:
        figures.note("after a restart", run_phase(again, phases["3.1"], figures))


def run_phase(peer: Peer, calls: list[dict[str, Any]], figures: Figures) -> float:
    answers = peer.run(calls)
    figures.answers += len(answers)
    figures.valid += sum(is_valid(text, call["schema"]) for (text, _), call in zip(answers, calls, strict=True))
    return max(seconds for _, seconds in answers)


def stream(peer: Peer, figures: Figures, _: Callable[[], Peer]) -> None:
    """C: one plain answer."""
    peer.run([Call("warm up", 8).as_dict()])
    figures.note("one answer", peer.run([chat_stream().as_dict()])[0][1])


WORKLOADS: dict[str, Workload] = {"W": crowds, "T": turns, "C": stream}


def is_valid(text: str, schema: dict[str, Any] = SCHEMA) -> bool:
    import jsonschema

    try:
        jsonschema.validate(json.loads(text), schema)
    except (ValueError, jsonschema.ValidationError):
        return False
    return True


def print_table(name: str, figures: dict[str, Figures]) -> None:
    rows = list(next(iter(figures.values())).seconds)
    print(f"\n{name}: {(WORKLOADS[name].__doc__ or '').strip()}")
    print(f"{'':24}" + "".join(f"{row:>24}" for row in rows) + f"{'valid':>10}")
    ours = figures["ours"]
    for label, theirs in figures.items():
        cells = []
        for row in rows:
            ratio = "" if label == "ours" else f" ({theirs.median(row) / ours.median(row):.2f}x)"
            cells.append(f"{theirs.median(row):.2f} s{ratio}")
        share = f"{theirs.valid}/{theirs.answers}" if theirs.answers else ""
        print(f"{label:24}" + "".join(f"{cell:>24}" for cell in cells) + f"{share:>10}")


if __name__ == "__main__":
    main()
