"""Processes of our own that run one script, apart from the terminal and from this process's secrets."""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing import spawn
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import psutil

__all__ = ["Watch", "start"]

# Enough to find Python and what it loads, on every system; no keys.
_INHERITED = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LC_TIME",
    "TZ",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "SYSTEMROOT",
    "TMPDIR",
    "TEMP",
    "TMP",
)


def start(
    script: Path,
    *arguments: str,
    stdin: int,
    stderr: int,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Runs ``script`` with this interpreter and import path, its answers in a pipe. Raises :class:`OSError`.

    ``environment``: variables that it gets besides those that every program needs.
    """
    variables = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    variables["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    # -P keeps the script's folder from shadowing the standard library.
    command = [os.fsdecode(spawn.get_executable() or sys.executable), "-P", "-S", str(script), *arguments]
    return subprocess.Popen(
        command,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=stderr,
        bufsize=0 if stdin == subprocess.PIPE else -1,
        env=variables | dict(environment or {}),
        # Ctrl-C in a terminal must not reach it.
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )


class Watch:
    """Limits that are kept from outside, whatever the process does, and also where the system has none to set."""

    def __init__(self, pid: int, *, memory: int, cpu_seconds: float = math.inf) -> None:
        import psutil

        self._error = psutil.Error
        self._memory, self._cpu_seconds = memory or math.inf, cpu_seconds
        self._begun = 0.0
        self._process: psutil.Process | None = None
        with contextlib.suppress(psutil.Error):
            self._process = psutil.Process(pid)
            self._begun = _cpu_seconds(self._process)

    def exceeded(self) -> Literal["memory", "time"] | None:
        """Which limit is broken; None also for a process that has ended."""
        if self._process is None:
            return None
        try:
            if _memory(self._process) > self._memory:
                return "memory"
            return "time" if _cpu_seconds(self._process) - self._begun > self._cpu_seconds else None
        except self._error:
            return None


def _memory(process: psutil.Process) -> int:
    found = process.memory_info()
    return int(getattr(found, "private", found.rss))  # Windows counts what is committed


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
