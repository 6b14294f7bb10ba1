"""The command in a real pseudo-terminal, whose screen is read as a person sees it, and which can be recorded."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pexpect
import pyte

from tests.support.places import COMMAND

__all__ = ["DOWN", "ENTER", "TAB", "UP", "Terminal"]

ENTER, TAB, UP, DOWN = "\r", "\t", "\x1b[A", "\x1b[B"
CTRL_C, CTRL_D, ALT_ENTER = "\x03", "\x04", "\x1b\r"
_PATIENCE = 60.0


class Terminal:
    """A screen of ``rows`` and ``columns`` on which the command runs."""

    def __init__(
        self,
        *arguments: str,
        rows: int = 30,
        columns: int = 100,
        environment: Mapping[str, str] | None = None,
        command: str = COMMAND,
        cwd: Path | None = None,
    ) -> None:
        self.screen = pyte.HistoryScreen(columns, rows, history=5000, ratio=1.0)
        self.screen.write_process_input = lambda data: self._child.send(data)  # it answers where the cursor is
        self._stream = pyte.Stream(self.screen)
        self._began = time.monotonic()
        self._events: list[tuple[float, str, str]] = []
        self._mark = 0
        self.output = ""
        """Everything that came, codes included."""
        kept = {
            key: value
            for key, value in os.environ.items()
            if key not in ("NO_COLOR", "COLUMNS", "LINES", "EDITOR", "VISUAL")
        }
        self._child = pexpect.spawn(
            command,
            list(arguments),
            env={**kept, "TERM": "xterm-256color", "LANG": "C.UTF-8", **(environment or {})},
            encoding="utf-8",
            dimensions=(rows, columns),
            timeout=_PATIENCE,
            cwd=None if cwd is None else str(cwd),
        )
        self._child.delaybeforesend = None

    # -- typing -------------------------------------------------------------------------------------------------------

    def press(self, keys: str) -> None:
        """Sends keys; what is expected next is expected after them."""
        self._mark = self._line()
        self._child.send(keys)

    def say(self, text: str) -> None:
        """Types a line and sends it."""
        self.press(text + ENTER)

    # -- reading ------------------------------------------------------------------------------------------------------

    def expect(self, pattern: str) -> str:
        """Waits until ``pattern`` is on the screen, at or below where the last keys were pressed; returns what is there."""
        deadline = time.monotonic() + _PATIENCE
        while not re.search(pattern, shown := self.since(), re.DOTALL):
            if time.monotonic() > deadline or not self._read():
                raise AssertionError(f"{pattern!r} did not come:\n{self.text}")
        return shown

    def prompt(self) -> str:
        """Waits until the next message can be typed; returns what came before it."""
        return self.expect(r"\n> $")

    def since(self) -> str:
        return "\n".join(self._lines()[self._mark :]).rstrip("\n")

    @property
    def text(self) -> str:
        """The whole session so far, as it looks."""
        return "\n".join(self._lines()).rstrip()

    @property
    def display(self) -> str:
        """The screen alone."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def ended(self) -> int:
        """Waits until the program ends; its exit code."""
        while self._read():
            pass
        self._child.wait()
        return int(self._child.exitstatus if self._child.exitstatus is not None else -self._child.signalstatus)

    def interrupted(self) -> int:
        """Presses Ctrl-C until the program ends; its exit code. One that comes in the moment before Python reads a line is
        noticed after that line only, so people press it again."""
        while True:
            self.press("\x03")
            until = time.monotonic() + 5
            while time.monotonic() < until:
                if not self._read():
                    return self.ended()

    def resize(self, columns: int) -> None:
        self.screen.resize(self.screen.lines, columns)
        self._child.setwinsize(self.screen.lines, columns)

    def close(self) -> None:
        self._child.close(force=True)

    def _read(self) -> bool:
        """Takes what has come, waiting a moment for it; False at the end."""
        try:
            data = self._child.read_nonblocking(65536, timeout=0.2)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self._events.append((time.monotonic() - self._began, "o", data))
        self.output += data
        self._stream.feed(data)
        return True

    def _line(self) -> int:
        return len(self.screen.history.top) + self.screen.cursor.y

    def _lines(self) -> list[str]:
        columns = self.screen.columns
        above = ["".join(line[x].data for x in range(columns)) for line in self.screen.history.top]
        return [_trimmed(line) for line in (*above, *self.screen.display)]

    # -- recording ----------------------------------------------------------------------------------------------------

    def save_cast(self, path: Path, title: str, instead: Mapping[str, str]) -> None:
        """The session as an asciicast (version 2), which asciinema and agg play; ``instead``: of what is of this machine."""
        head: dict[str, Any] = {
            "version": 2,
            "width": self.screen.columns,
            "height": self.screen.lines,
            "title": title,
            "env": {"TERM": "xterm-256color"},
        }
        lines = [json.dumps(head), *(json.dumps([round(at, 3), kind, data]) for at, kind, data in self._events)]
        text = "\n".join(lines) + "\n"
        for found, shown in instead.items():
            text = text.replace(found, shown)
        path.write_text(text, "utf-8")


def _trimmed(line: str) -> str:
    # A prompt without text ends with a blank that is meant.
    return f"{line.rstrip()} " if line.rstrip() in (">", "…") else line.rstrip()
