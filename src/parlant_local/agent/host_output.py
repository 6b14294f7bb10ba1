"""What Parlant's server prints, for people who asked for a conversation and not for its log."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TextIO

__all__ = ["HostOutput"]

_CODES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_LOGGED = re.compile(r"^(?:\S+T\S+Z \[(\w+)\s*\]|\d\d:\d\d:\d\d (\w+)) +(?:\[[^\]]*\])* *(.*)$")
_SHOWN_LEVELS = ("warning", "error", "critical")
_ATTEMPT = re.compile(
    r"attempt \d+ failed"
)  # Parlant's own, with a traceback on one line; ours tells the reason before
_MAX_CHARACTERS = 400


class HostOutput(io.TextIOBase):
    """Takes the place of standard output and error while the server starts, when it decides where it logs to.

    Passes on warnings and errors, each once and on one line of readable length; ``verbose``: every line, without codes unless it is
    for a terminal. ``skip``: tells which warnings have been said already.
    """

    def __init__(
        self, note: Callable[[str], None], *, verbose: bool = False, skip: Callable[[str], bool] = lambda _: False
    ) -> None:
        self._note, self._verbose, self._skip = note, verbose, skip
        self._seen: set[str] = set()
        self._rest = ""
        self._lock = threading.Lock()
        self.last_problem = ""
        """The last warning or error, said or not."""

    @contextlib.contextmanager
    def capturing(self) -> Iterator[None]:
        stream: TextIO = self  # type: ignore[assignment]  # all of it that print and logging need
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
            yield

    @contextlib.contextmanager
    def taking_log(self) -> Iterator[None]:
        """Takes Parlant's log as well, whose handlers kept the stream of the time when Parlant was imported."""
        handlers: list[logging.StreamHandler[TextIO]] = [
            each for each in logging.getLogger("parlant").handlers if type(each) is logging.StreamHandler
        ]
        before = [each.stream for each in handlers]
        stream: TextIO = self  # type: ignore[assignment]  # as above
        for each in handlers:
            each.setStream(stream)
        try:
            yield
        finally:
            for each, old in zip(handlers, before, strict=True):
                each.setStream(old)

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
            for line in lines:
                self._take(
                    line if self._verbose and sys.__stderr__ is not None and sys.__stderr__.isatty() else _plain(line)
                )
        return len(text)

    def _take(self, line: str) -> None:
        found = _LOGGED.match(_plain(line))
        level, message = (found[1] or found[2], found[3]) if found else ("", "")
        known = message in self._seen
        if level in _SHOWN_LEVELS and not _ATTEMPT.search(message):
            self.last_problem = message
            self._seen.add(message)
            if not self._verbose and not known and not self._skip(message):
                self._note(f"{level}: {_shortened(message)}")
        if self._verbose and line.strip():
            self._note(line)


def _plain(line: str) -> str:
    return _CODES.sub("", line).rstrip()


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]} …"
