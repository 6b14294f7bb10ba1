"""What a process shares is its own, and is closed by itself."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
from parlant_local.forking import Shared, in_forked_child

def say(*words):
    print(*words, flush=True)

made = iter(range(10))
shared = Shared(lambda: next(made), lambda it: say("closed", it), lambda it: say("let go of", it))
in_forked_child(lambda: say("forked"))
assert shared() == shared() == 0
if child := os.fork():
    os.waitpid(child, 0)
    say("parent has", shared())
elif "idle" not in sys.argv:
    say("child has", shared())
"""


def said(*arguments: str) -> list[str]:
    run = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, timeout=60, check=True)
    return run.stdout.decode().split("\n")[:-1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_each_process_closes_its_own() -> None:
    assert said() == ["let go of 0", "forked", "child has 1", "closed 1", "parent has 0", "closed 0"]
    assert said("idle") == ["let go of 0", "forked", "parent has 0", "closed 0"]
