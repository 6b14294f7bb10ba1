"""A system in another process, as an object."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["PEER_PYTHON", "ROOT", "Peer"]

ROOT = Path(__file__).parent.parent
PEER_PYTHON = ROOT / ".venv-bench/bin/python"


def _environment() -> dict[str, str]:
    """Everybody's own defaults: passive waiting, which our Makefile sets, would halve llama-cpp-python's speed on a quiet machine."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}


class Peer:
    """Starts with :meth:`start`; every call blocks until the other process answers."""

    def __init__(self, name: str, root: Path = ROOT, library: str = "auto", python: str | None = None) -> None:
        """``root``: the checkout whose code runs; another commit's is a peer like any other. ``library``: the build of llama.cpp."""
        self.name = name
        python = python or (sys.executable if name.startswith("ours") else str(PEER_PYTHON))
        paths = (str(root), str(root / "src"), *filter(None, [os.environ.get("PYTHONPATH")]))
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as the process
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.serve_peer", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=root,
            env={
                **_environment(),
                "PARLANT_LOCAL_ENGINE__LIBRARY": library,
                "PYTHONPATH": os.pathsep.join(paths),
            },
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
        self._log.close()

    def start(self, model: Path, options: dict[str, Any] | None = None) -> None:
        self._ask({"do": "start", "model": str(model), "options": options or {}})

    def run(self, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = self._ask({"do": "run", "calls": calls})
        return answers

    def embed(self, texts: list[str]) -> tuple[list[list[float]], float]:
        vectors, seconds = self._ask({"do": "embed", "texts": texts})
        return vectors, seconds

    def facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = self._ask({"do": "facts"})
        return facts

    def count(self, calls: list[dict[str, Any]]) -> int:
        return int(self._ask({"do": "count", "calls": calls}))

    def rates(self, depth: int) -> dict[str, float]:
        rates: dict[str, float] = self._ask({"do": "rates", "depth": depth})
        return rates

    def _ask(self, command: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            status = self._process.wait()
            self._log.seek(0)
            said = self._log.read()[-1500:].decode("utf-8", "replace")
            raise RuntimeError(f"{self.name} died with {status} on {command['do']}: {said}")
        return json.loads(line)
