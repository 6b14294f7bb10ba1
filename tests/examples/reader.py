"""Somebody who reads a page from its top: an empty home, the shipped model, and what the page says they have."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

from packaging.requirements import Requirement

from tests.examples.documents import ROOT
from tests.support.eventually import wait_until

__all__ = ["Reader"]

HERE = Path(__file__).parent
_SECONDS = 180
_NOBODYS = ("PARLANT_", "HF_", "OLLAMA_", "OPENAI_", "MODEL_ENDPOINT", "CONFIG_PATH")
_SERVES = re.compile(r"Application startup complete|Server is ready to accept requests")


class Reader:
    """What they paste runs in their folder, one after the other; ``services`` are addresses that stand in for known ones."""

    def __init__(self, folder: Path, services: Mapping[str, str], server: Callable[[], str]) -> None:
        self.home, self.folder, self._server = folder / "home", folder / "work", server
        self.folder.mkdir(parents=True)
        clean = {name: value for name, value in os.environ.items() if not name.startswith(_NOBODYS)}
        self.environment = {
            **clean,
            "HOME": str(self.home),
            "PARLANT_LOCAL_HOME": str(self.home / "parlant-local"),
            "PARLANT_LOCAL_ENGINE__N_CTX": "2048",  # so that each starts quickly
            "PATH": os.pathsep.join([str(HERE / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHON": sys.executable,
            "OLLAMA_HOST": "127.0.0.1:9",
            "NO_PROXY": "127.0.0.1,localhost",
            "KEY": "any",
            **services,
        }

    def run_script(self, text: str) -> str:
        """What it prints. A warning that is about its own code is a failure."""
        script = self.folder / "example.py"
        script.write_text(text, "utf-8")
        command = [sys.executable, "-W", "error::DeprecationWarning:__main__", str(script)]
        if "p.Server(" in text:
            return self._serve([sys.executable, str(HERE / "any_port.py"), str(script)], "script")
        return self._finished(command, text)

    def run_command(self, command: str) -> str:
        """What it prints on standard output."""
        command = command.partition("  # ")[0].rstrip()
        first, *rest = command.split()
        if first == "make":  # takes minutes, or is a test of its own: that it would begin is enough here
            return self._finished(["make", "-C", str(ROOT), "-n", *rest], command)
        if first == "pip":
            return _check_install([word for word in rest if word != "install"])
        if re.match(r"parlant-local (serve|agent)\b", command):
            return self._serve(["bash", "-c", f"exec {command} --port 0"], command)
        return self._finished(["bash", "-o", "pipefail", "-c", self._at_server(command)], command)

    def _at_server(self, text: str) -> str:
        """As the page has it, but for the port."""
        return text.replace(":8080", ":" + self._server().rpartition(":")[2]) if ":8080" in text else text

    def _finished(self, command: list[str], shown: str) -> str:
        done = subprocess.run(
            self._here(command), cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, f"{shown}\nended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, f"{shown}\n{done.stderr}"
        return done.stdout

    def _here(self, command: list[str]) -> list[str]:
        script = Path(command[-1])
        if script.name == "example.py" and script.is_file():
            script.write_text(self._at_server(script.read_text("utf-8")), "utf-8")
        return command

    def _serve(self, command: list[str], shown: str) -> str:
        """Runs it until it serves; then it is interrupted, as by Ctrl-C, and has to end by itself."""
        process = subprocess.Popen(
            command, cwd=self.folder, env={**self.environment, "PARLANT_LOCAL_LOG_LEVEL": "debug"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        said: list[str] = []
        reading = threading.Thread(target=lambda: said.extend(process.stdout or []), daemon=True)
        try:
            reading.start()
            wait_until(lambda: process.poll() is not None or _SERVES.search("".join(said)), lambda: "".join(said))
            assert process.poll() is None, f"{shown}\n{''.join(said)}"
            process.send_signal(signal.SIGINT)
            process.wait(60)
            reading.join(10)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            process.stdout.close()
        text = "".join(said)
        assert process.returncode in (0, 130, -signal.SIGINT), f"{shown}\nended with {process.returncode}\n{text}"
        return text


def _check_install(words: list[str]) -> str:
    """Nothing is installed: the package has the extras that are asked for."""
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"])
    for word in words:
        wanted = Requirement(word.strip("\"'"))
        assert wanted.name == "parlant-local", f"pip install {word}"
        assert wanted.extras <= extras, f"{word}: there are {', '.join(sorted(extras))}"
    return ""
