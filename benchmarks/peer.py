"""A system in another process, as an object."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["PEER_PYTHON", "Peer"]

ROOT = Path(__file__).parent.parent
PEER_PYTHON = ROOT / ".venv-bench/bin/python"


class Peer:
    """Starts with :meth:`start`; every call blocks until the other process answers."""

    def __init__(self, name: str) -> None:
        self.name = name
        python = sys.executable if name == "ours" else str(PEER_PYTHON)
        environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.serve_peer", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env=environment,
        )

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self._process.poll() is None:
            try:
                self._ask({"do": "stop"})
            except RuntimeError:
                self._process.kill()
        self._process.wait()

    def start(self, model: Path, options: dict[str, Any] | None = None) -> None:
        self._ask({"do": "start", "model": str(model), "options": options or {}})

    def run(self, calls: list[dict[str, Any]]) -> list[tuple[str, float]]:
        answer = self._ask({"do": "run", "calls": calls})
        return [(text, seconds) for text, seconds in answer]

    def facts(self) -> dict[str, Any]:
        answer: dict[str, Any] = self._ask({"do": "facts"})
        return answer

    def _ask(self, command: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} died with {self._process.wait()} on {command['do']}.")
        return json.loads(line)
