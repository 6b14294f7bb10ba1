"""Runs the trial process, and classifies how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from parlant_local.engine.helper_process import Watch, start
from parlant_local.engine.loading import LoadControl
from parlant_local.errors import ModelLoadError

__all__ = ["Outcome", "Tail", "cause_of_death", "last_line", "native_environment", "run_trial"]

_TRIAL_SCRIPT = Path(__file__).parents[1] / "trial.py"
# Enough to find the library and its devices, with our thread settings. No keys.
_INHERITED = ("HOME", "USERPROFILE", "LLAMA_CPP_LIB_PATH")
_INHERITED_PREFIXES = ("OMP_", "GOMP_", "GGML_", "CUDA_", "HIP_", "ROCR_", "NVIDIA_", "VK_")
_SOURCE_PATH = re.compile(r"\S*[/\\](?=[\w.-]+:\d+: )")  # paths of the library's sources on the build machine
_TAIL = 4096
_OUT_OF_MEMORY_SIGNS = ("bad_alloc", "mem_buffer != NULL", "failed to allocate", "out of memory")
_WINDOWS_ERROR = 0xC000_0000  # exit codes of at least this are statuses of processes that the system ended
_WINDOWS_STATUSES = {
    0xC0000005: "access violation",
    0xC0000017: "no memory",
    0xC000001D: "illegal instruction",
    0xC0000094: "integer division by zero",
    0xC00000FD: "stack overflow",
    0xC000012D: "commitment limit",
    0xC0000135: "a DLL is missing",
    0xC000013A: "Ctrl-C",
    0xC0000142: "a DLL failed to start",
    0xC0000374: "heap corruption",
    0xC0000409: "abort",
}
# Causes that prove nothing about the file.
_EXTERNAL_CAUSES = (
    *("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGILL"),
    *("illegal instruction", "a DLL is missing", "Ctrl-C", "a DLL failed to start"),
)
_OUT_OF_MEMORY_CAUSES = ("no memory", "commitment limit")


@dataclass(frozen=True, slots=True)
class Outcome:
    """``passed``, ``refused`` (with what the child raised), ``died``, or ``ended``: by a limit or externally, which proves nothing."""

    kind: Literal["passed", "refused", "died", "ended"]
    reason: str = ""
    hint: str = ""
    error: str = ""
    """Name of the class that the child raised."""


def run_trial(spec: Mapping[str, Any], control: LoadControl) -> Outcome:
    """Blocks until the child is done, times out, or ``control`` is cancelled. ``spec`` names the library's flavour and what
    :mod:`parlant_local.engine.trial` is to do with it."""
    deadline = time.monotonic() + spec["seconds"]
    try:
        process = start(
            _TRIAL_SCRIPT,
            json.dumps(spec),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            environment=native_environment(spec["library"]),
        )
    except OSError as error:
        raise ModelLoadError(
            f"The trial process for unvetted files can't be started: {error}.",
            hint="engine.vetting=never loads them without a trial.",
        ) from None
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        answer, log = Tail(process.stdout), Tail(process.stderr)
        watch = Watch(process.pid, memory=spec.get("resident", 0))
        try:
            while not answer.ended(0.05):
                control.check()
                if time.monotonic() > deadline:
                    return Outcome("ended", f"it took longer than {spec['seconds']:g} s (engine.vetting_seconds)")
                if watch.exceeded():
                    return Outcome("ended", f"it took more than {spec['resident'] / 1e9:.1f} GB of memory")
            code = process.wait()
        finally:
            process.kill()
            log.ended(5)
    return _outcome(code, answer.text, log.text)


def native_environment(flavour: str) -> dict[str, str]:
    """What a process of ours needs besides, to load the library."""
    environment = {
        name: value for name, value in os.environ.items() if name in _INHERITED or name.startswith(_INHERITED_PREFIXES)
    }
    environment["PARLANT_LOCAL_ENGINE__LIBRARY"] = flavour
    environment["GGML_NO_BACKTRACE"] = "1"  # it would start a debugger
    return environment


class Tail:
    """Reads a pipe to its end on a thread and keeps its last bytes, so that verbose output neither fills memory nor blocks."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._kept = b""
        self._thread = threading.Thread(target=self._read, name="parlant-local-trial", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(ValueError, OSError):  # closed by the owner
            while piece := self._pipe.read1(65536):  # type: ignore[attr-defined]  # a BufferedReader
                self._kept = (self._kept + piece)[-_TAIL:]

    def ended(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def text(self) -> str:
        return self._kept.decode("utf-8", "replace")


def _outcome(code: int, answer: str, log: str) -> Outcome:
    last = last_line(log)
    if code == 0:
        try:
            report = json.loads(answer)
        except ValueError:
            return Outcome("ended", f"it ended without an answer ({last})")
        if not report:
            return Outcome("passed")
        return Outcome("refused", str(report["refused"]), str(report["hint"]), str(report["kind"]))
    name = cause_of_death(code)
    if name is None:
        return Outcome("ended", f"it failed: {last}")  # Python itself failed: an import, a limit
    if name in _EXTERNAL_CAUSES:
        return Outcome("ended", f"it was ended by {name} ({last})")
    if name in _OUT_OF_MEMORY_CAUSES:
        return Outcome("ended", f"it asked for more memory than there is ({last})")
    if name == "SIGALRM":
        return Outcome("ended", "it took too long (engine.vetting_seconds)")
    if any(words in log for words in _OUT_OF_MEMORY_SIGNS):
        return Outcome("ended", f"it asked for more memory than there is ({last})")
    return Outcome("died", f"{name}: {last}")


def last_line(log: str) -> str:
    """Of what a process logged: printable, and without paths of the machine that its library was built on."""
    last = next((line.strip() for line in reversed(log.splitlines()) if line.strip()), "nothing was logged")
    last = _SOURCE_PATH.sub("", last)[-300:]
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in last)


def cause_of_death(code: int) -> str | None:
    """The signal's name, or Windows' status of a crash; None for an exit code of the program."""
    if code < 0:
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"
    return _WINDOWS_STATUSES.get(code, f"status 0x{code:08X}") if code >= _WINDOWS_ERROR else None
