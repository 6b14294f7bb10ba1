"""Input of a chat: line editing, history, and multi-line messages."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from parlant_local.paths import is_file

__all__ = ["Input"]

_QUOTE = '"""'
_MAX_HISTORY = 1000
_END_KEYS = "Ctrl-Z and Enter" if sys.platform == "win32" else "Ctrl-D"


class Input:
    """Reads messages from the terminal, or from a pipe.

    A line that ends with a backslash continues; so does everything between two lines of three quotation marks. With
    ``multiline``, an empty line sends.
    """

    def __init__(self, history: Path, *, multiline: bool = False) -> None:
        self.terminal = sys.stdin.isatty()
        self._multiline = multiline
        self._history = history
        self._readline: Any = None
        if self.terminal:
            with contextlib.suppress(ImportError):  # not in every build of Python
                import readline

                self._readline = readline
                if is_file(history):  # reading a pipe would wait for ever
                    with contextlib.suppress(OSError):
                        self._readline.read_history_file(history)

    def close(self) -> None:
        """Saves the history, readable by its owner only: it contains the conversation."""
        if self._readline is None or not self._readline.get_current_history_length():
            return
        self._readline.set_history_length(_MAX_HISTORY)
        with contextlib.suppress(OSError):
            self._history.parent.mkdir(parents=True, exist_ok=True)
            self._history.touch(mode=0o600, exist_ok=True)
            self._readline.write_history_file(self._history)

    def messages(self) -> Iterator[str]:
        """Messages until the input ends. Ctrl-C drops what was typed."""
        while True:
            try:
                yield self._message()
            except KeyboardInterrupt:
                click.echo(f"\n({_END_KEYS} or /quit ends the session)")
            except EOFError:
                if self.terminal:
                    click.echo()
                return

    def _message(self) -> str:
        line = self._line("> ")
        if line.strip() == _QUOTE or (line.startswith(_QUOTE) and line.count(_QUOTE) == 1):
            return self._quoted(line.partition(_QUOTE)[2])
        lines = []
        while line.endswith("\\"):
            lines.append(line[:-1])
            line = self._line("… ")
        lines.append(line)
        while self._multiline and line and not (len(lines) == 1 and line.startswith("/")):
            line = self._line("… ")
            if line:
                lines.append(line)
        return "\n".join(lines)

    def _quoted(self, first: str) -> str:
        lines = [first] if first else []
        while True:
            line = self._line("… ")
            if line.rstrip().endswith(_QUOTE):
                last = line.rstrip().removesuffix(_QUOTE)
                return "\n".join([*lines, last] if last else lines)
            lines.append(line)

    def _line(self, prompt: str) -> str:
        if self.terminal:
            return input(prompt)
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line.rstrip("\n")
