"""What agents asked their models lately, kept in the home while they run: figures, never content."""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import psutil

from parlant_local.errors import StateFileError
from parlant_local.storage import read_text

__all__ = ["AgentCallRecord", "CallLog", "running_agents"]

_FOLDER = "agents"
_KEPT = 500
_MAX_BYTES = 4 << 20
_FORGOTTEN_SECONDS = 24 * 3600.0
"""How long the file of an agent that has ended is kept."""


@dataclass(frozen=True, slots=True)
class AgentCallRecord:
    """One call of an agent's engine."""

    time: float
    session: str | None
    schema: str
    model: str
    outcome: str
    seconds: float
    retries: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    forced_tokens: int = 0
    sampled_tokens: int = 0
    error: str | None = None


class CallLog:
    """Appends calls to this process's file, which is cut to the last calls when it grows. Thread-safe.

    A call is never held up or failed by its record: where the file can't be written, recording ends.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / _FOLDER / f"{os.getpid()}.jsonl"
        self._lock = threading.Lock()
        self._written = 0
        self._recent: deque[str] = deque(maxlen=_KEPT)
        self.problem: str | None = None
        """Why recording ended."""

    def add(self, record: AgentCallRecord) -> None:
        line = json.dumps(asdict(record), ensure_ascii=True, separators=(",", ":"))
        with self._lock:
            if self.problem is not None:
                return
            self._recent.append(line)
            try:
                self._write(line)
            except OSError as error:
                self.problem = error.strerror or str(error)

    def _write(self, line: str) -> None:
        begins = self._written % _KEPT == 0
        if not self._written:
            _forget(self._path.parent)
        if begins:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if begins else os.O_APPEND)
        lines = "\n".join(self._recent) if begins else line
        with open(os.open(self._path, flags, 0o600), "w", encoding="ascii") as file:  # noqa: PTH123  # private from its first byte
            file.write(f"{lines}\n")
        self._written += 1


def _forget(folder: Path) -> None:
    """Removes the files of agents that ended long ago."""
    for path in folder.glob("*.jsonl"):
        with contextlib.suppress(FileNotFoundError):  # another one was quicker
            if (
                path.stem.isdigit()
                and time.time() - path.stat().st_mtime > _FORGOTTEN_SECONDS
                and not _alive(int(path.stem))
            ):
                path.unlink()


def running_agents(home: Path) -> Iterator[tuple[int, bool, list[AgentCallRecord]]]:
    """Each agent's process id, whether it runs, and its calls, the oldest first."""
    _forget(home / _FOLDER)
    for path in sorted((home / _FOLDER).glob("*.jsonl")):
        if not path.stem.isdigit():
            continue
        try:
            text = read_text(path, _MAX_BYTES)
        except (FileNotFoundError, StateFileError):
            continue  # removed meanwhile, or not a file of ours
        records = [record for line in text.splitlines() if (record := _parsed(line)) is not None]
        yield int(path.stem), _alive(int(path.stem)), records


_NAMES = frozenset(item.name for item in fields(AgentCallRecord))


def _parsed(line: str) -> AgentCallRecord | None:
    """None for what is no record: a line that is still being written, another version's."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    texts = all(isinstance(found.get(name), str) for name in ("schema", "model", "outcome"))
    optional = all(isinstance(found.get(name), str | None) for name in ("session", "error"))
    numbers = all(
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        for name, value in found.items()
        if name in _NAMES and name not in ("schema", "model", "outcome", "session", "error")
    )
    if not (texts and optional and numbers and {"time", "seconds"} <= found.keys()):
        return None
    return AgentCallRecord(**{"session": None, **{name: value for name, value in found.items() if name in _NAMES}})


def _alive(pid: int) -> bool:
    return 0 < pid < 1 << 31 and bool(psutil.pid_exists(pid))
