"""A real server in a process of its own, on a throwaway home; one for all tests that leave nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from parlant_local.images import ImageDirectory
from parlant_local.settings import Settings
from tests.support import forked
from tests.support.eventually import PATIENCE, wait_until
from tests.support.in_process import InProcess, serving_here

TINY = "local/llama/parlant-local-tiny"
_MARKS = ("PARLANT_LOCAL_", "HF_", "OLLAMA_", "OPENAI_")


class Server:
    """One ``parlant-local serve``. ``fault`` is code that runs first, to break something in it.

    ``fresh``: in an interpreter of its own from the first import on, where that is what is looked at.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        environment: dict[str, str] | None = None,
        fault: str = "",
        fresh: bool = False,
    ) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(_MARKS)}
        folder.mkdir(parents=True, exist_ok=True)
        self.home = folder / "home"
        clean |= {
            "HOME": str(folder),
            "PARLANT_LOCAL_HOME": str(self.home),
            "HF_HOME": str(folder / "hf"),
            "OLLAMA_HOST": "127.0.0.1:9",
            "HF_ENDPOINT": "http://127.0.0.1:9",
            "PARLANT_LOCAL_ENGINE__N_CTX": "2048",
            "PARLANT_LOCAL_ENGINE__N_THREADS": "2",
            "PARLANT_LOCAL_LOG_LEVEL": "debug",
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        code = f"{fault}\nfrom parlant_local.cli import main; main()"
        command = ["serve", "--port", "0", *arguments]
        variables = clean | (environment or {})
        self.process: subprocess.Popen[str] | forked.Forked
        if forked.POSSIBLE and not fresh and variables.get("PYTHONPATH") == os.environ.get("PYTHONPATH"):
            self.process = forked.start(code, command, variables)
        else:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, *command],
                env=variables,
                stderr=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        self.log: list[dict[str, Any]] = []
        self.raw = ""
        self._told = threading.Event()
        self.url = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._told.wait(PATIENCE) or not self.url:
            self.stop()
            raise AssertionError(f"The server did not start: {self.raw}")
        self._wait_ready()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.raw += line
            if line.startswith("{"):
                entry = json.loads(line)
                self.log.append(entry)
                if entry["message"].startswith("Serving at "):
                    self.url = entry["message"].removeprefix("Serving at ")
                    self._told.set()
        self._told.set()

    def _wait_ready(self) -> None:
        import httpx2

        def answers() -> bool:
            with contextlib.suppress(httpx2.TransportError):
                httpx2.get(self.url + "/health", timeout=30)
                return True
            return False

        wait_until(answers, lambda: self.raw)

    def wait_loaded(self) -> None:
        """Until everything that was asked for at the start is there."""
        import httpx2

        wait_until(lambda: httpx2.get(self.url + "/health", timeout=30).status_code == 200, lambda: self.raw)

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        if self.process.poll() is None:
            self.signal()
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
            raise AssertionError(f"The server did not end: {self.raw[-4000:]}") from None
        finally:
            self._reader.join(5)
            for stream in (self.process.stdout, self.process.stderr):
                if stream is not None:
                    stream.close()
        return code


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Without keys, the shipped model loaded."""
    found = Server(tmp_path_factory.mktemp("server"), "--model", TINY)
    yield found
    code = found.stop()
    assert code == 0, found.raw[-3000:]
    assert '"level": "error"' not in found.raw, found.raw


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., InProcess]]:
    """Starts servers of this process, for tests that need none of their own: settings by their dotted names."""
    for name in list(os.environ):
        if name.startswith(_MARKS):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    with contextlib.ExitStack() as running:

        def begin(config: Path | None = None, *, images: ImageDirectory | None = None, **values: Any) -> InProcess:
            small = {"engine.n_ctx": 2048, "engine.n_threads": 2}
            settings = Settings.load(config, home=tmp_path / "home", **small | values)
            return running.enter_context(serving_here(settings, images))

        yield begin


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers with arguments and environment of the test's own."""
    running: list[Server] = []

    def begin(*arguments: str, **more: Any) -> Server:
        running.append(Server(tmp_path / f"server{len(running)}", *arguments, **more))
        return running[-1]

    yield begin
    for item in running:
        item.stop()
