"""`parlant-local serve --ray` as a process, as a terminal would start it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import psutil
import yaml

__all__ = ["KEY", "PATIENCE", "TINY", "Served", "patiently", "serving_replicas"]

KEY = "correct-horse-battery"
TINY = "local/llama/parlant-local-tiny"
PATIENCE = 240.0


def patiently(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"It never came: {what}")
        time.sleep(0.2)


class Served:
    """The command in a process group of its own, as a terminal would start it."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "config.yml"
        self.config.write_text(yaml.safe_dump({"auth": {"key_file": str(folder / "keys")}, **config}))
        (folder / "keys").write_text(f"tester:{KEY}\n")
        (folder / "keys").chmod(0o600)
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PARLANT_LOCAL_", "RAY_"))}
        self.log: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "parlant_local", "serve", "--ray", "--port", "0", "--config", str(self.config)],
            env=clean | {"PARLANT_LOCAL_HOME": str(folder / "home"), "HOME": str(folder), "OMP_WAIT_POLICY": "PASSIVE"},
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.started: set[psutil.Process] = set()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.log.extend(iter(self.process.stderr.readline, ""))

    def says(self, text: str, count: int = 1) -> bool:
        return sum(text in line for line in self.log) >= count

    def wait_for(self, text: str, count: int = 1) -> None:
        def there() -> bool:
            assert self.process.poll() is None, "".join(self.log)
            return self.says(text, count)

        patiently(there, text)

    @property
    def url(self) -> str:
        [line] = [json.loads(line) for line in self.log if line.startswith("{") and "Serving at" in line]
        return f"http://127.0.0.1:{line['port']}"

    def processes(self) -> list[psutil.Process]:
        found = psutil.Process(self.process.pid).children(recursive=True)
        self.started |= set(found)
        return found

    def replicas(self, model: str) -> set[int]:
        """Process ids of a model's replicas; of everything's where it is empty."""
        title = f"ray::ServeReplica:default:{f'model-{model}' if model else ''}"
        return {process.pid for process in self.processes() if _command(process).startswith(title)}

    def folder(self) -> Path:
        """Where Ray keeps what this cluster needs."""
        self.processes()
        [found] = {found[0] for each in self.started if (found := re.findall(r"/tmp/parlant-ray-\w+", _command(each)))}
        return Path(found)

    def client(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=KEY, max_retries=0, timeout=PATIENCE)

    def end(self) -> int:
        """Ctrl-C, which a terminal sends to the whole group; its exit status."""
        self.processes()
        os.killpg(self.process.pid, signal.SIGINT)
        try:
            return self.process.wait(120)
        finally:
            self._reader.join(30)
            assert self.process.stderr is not None
            self.process.stderr.close()


@contextmanager
def serving_replicas(folder: Path, config: dict[str, Any]) -> Iterator[Served]:
    """It, once it serves; nothing of it is left at the end."""
    served = Served(folder, config)
    try:
        served.wait_for("Serving at")
        yield served
    finally:
        if served.process.poll() is None:
            served.end()
        for process in served.started:
            if process.is_running():
                process.kill()


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it has ended
        return ""
