"""``python -m benchmarks.gpu.preparing NAME``: what is done before any package is there, by Python's own library alone."""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks.gpu import build, machine
from benchmarks.gpu.steps import tell


def show_machine() -> None:
    tell("processor threads", len(os.sched_getaffinity(0)))
    if os.environ.get("DRY"):
        tell("cards", "not asked: a dry run")
        return
    for card in machine.cards():
        tell(card.name, f"compute {card.capability}, {card.total_mib} MiB, {card.used_mib} used, driver {card.driver}")
    nvcc = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True).stdout
    tell("compiler", nvcc.strip().splitlines()[-1])


def install() -> None:
    tell("installed", build.install())


def build_library() -> None:
    tell("built", build.build())


STEPS = {"machine": show_machine, "packages": install, "build": build_library}

if __name__ == "__main__":
    STEPS[sys.argv[1]]()
