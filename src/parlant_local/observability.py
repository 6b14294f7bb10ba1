"""Logging: a minimal logger protocol, forwarding to the standard library's ``logging``, and sanitising of every line:
secrets are redacted, control characters escaped. And what may watch calls without being able to fail them."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, Literal, Protocol, TextIO, TypeVar, runtime_checkable

__all__ = [
    "Bystander",
    "ConsoleLogger",
    "FallbackConsole",
    "LibraryLogger",
    "LogLevel",
    "Logger",
    "NullLogger",
    "TeeLogger",
    "log_to_standard",
    "printable",
    "printable_json",
    "redact",
    "with_standard_logging",
]

R = TypeVar("R")
LogLevel = Literal["debug", "info", "warning", "error", "none"]

_ORDER: dict[str, int] = {"debug": 0, "info": 1, "warning": 2, "error": 3, "none": 4}

# Secrets as they occur in URLs and headers: hub tokens, API keys, bearer headers, credentials in URLs.
_SECRETS = re.compile(
    r"(hf_[A-Za-z0-9]{6,}|sk-[A-Za-z0-9_\-]{6,}|\b(?:gsk_|xai-|nvapi-|pplx-|r8_|csk-|fw_|AIza)[A-Za-z0-9_\-]{12,}|(?i:bearer)\s+[A-Za-z0-9._\-~+/]{6,}=*|(?<=://)[^/\s:@]+:[^/\s@]+(?=@))"
)


def redact(text: str) -> str:
    """``text`` with everything that looks like a secret replaced by ``***``."""
    return _SECRETS.sub("***", text)


def printable(text: str) -> str:
    """``text`` on one line, with everything that a terminal interprets or that hides other text (control and escape codes,
    bidirectional marks, unusual spaces, unpaired surrogates) escaped as in Python."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "surrogatepass").decode("ascii") for each in text
    )


def printable_json(value: Any) -> str:
    """``value`` as JSON on one line, equally safe to print; parsing it gives back every character."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    if text.isprintable():
        return text
    # Only strings can contain such characters, and JSON can escape them.
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


@runtime_checkable
class Logger(Protocol):
    """The logger interface of the package; Parlant's loggers and the standard library's both satisfy it."""

    def debug(self, message: str) -> None: ...

    def info(self, message: str) -> None: ...

    def warning(self, message: str) -> None: ...

    def error(self, message: str) -> None: ...


class ConsoleLogger:
    """Writes one line per message to ``stream`` (standard error by default), secrets redacted, control characters escaped."""

    def __init__(self, level: LogLevel = "info", stream: TextIO | None = None) -> None:
        self._threshold = _ORDER[level]
        self._stream = stream
        self._lock = threading.Lock()

    def _write(self, level: str, message: str) -> None:
        if _ORDER[level] < self._threshold:
            return
        stamp = time.strftime("%H:%M:%S")
        # Looked up late, so that redirected standard error (tests, daemons) is honoured.
        stream = self._stream or sys.stderr
        with self._lock:
            stream.write(f"{stamp} {level:<7} {printable(redact(message))}\n")
            stream.flush()

    def debug(self, message: str) -> None:
        self._write("debug", message)

    def info(self, message: str) -> None:
        self._write("info", message)

    def warning(self, message: str) -> None:
        self._write("warning", message)

    def error(self, message: str) -> None:
        self._write("error", message)


_STANDARD = logging.getLogger("parlant_local")


def log_to_standard(level: str, message: str) -> bool:
    """Logs to the standard library's logger ``parlant_local``; False where it has no handlers."""
    if not _STANDARD.hasHandlers():
        return False
    _STANDARD.log(logging.getLevelNamesMapping()[level.upper()], "%s", printable(redact(message)))
    return True


class TeeLogger:
    """Forwards every line to the standard library's logger ``parlant_local``, and to the wrapped one."""

    def __init__(self, logger: Logger) -> None:
        self._logger = logger

    def debug(self, message: str) -> None:
        log_to_standard("debug", message)
        self._logger.debug(message)

    def info(self, message: str) -> None:
        log_to_standard("info", message)
        self._logger.info(message)

    def warning(self, message: str) -> None:
        log_to_standard("warning", message)
        self._logger.warning(message)

    def error(self, message: str) -> None:
        log_to_standard("error", message)
        self._logger.error(message)


class LibraryLogger(TeeLogger):
    """The default logger: the standard library's, or the console while that has no handlers."""

    def __init__(self, level: LogLevel = "warning") -> None:
        super().__init__(FallbackConsole(level))


class FallbackConsole(ConsoleLogger):
    """Writes to the console while the standard library's logger has no handlers."""

    def _write(self, level: str, message: str) -> None:
        if not _STANDARD.hasHandlers():
            super()._write(level, message)


class NullLogger:
    """Discards everything."""

    def debug(self, message: str) -> None: ...

    def info(self, message: str) -> None: ...

    def warning(self, message: str) -> None: ...

    def error(self, message: str) -> None: ...


def with_standard_logging(logger: Logger | None, level: LogLevel = "warning") -> Logger:
    """``logger``, forwarding every line to the standard library's ``parlant_local``, too; None: a :class:`LibraryLogger`."""
    if logger is None:
        return LibraryLogger(level)
    return logger if isinstance(logger, TeeLogger | NullLogger | logging.Logger) else TeeLogger(logger)


class Bystander:
    """Calls what only watches. Its failures are logged, the first as a warning, and are nobody's else."""

    def __init__(self, name: str, logger: Logger | None = None) -> None:
        self._name = name
        self._logger = logger or LibraryLogger()
        self.failures = 0

    def tell(self, what: Callable[..., R], *told: Any, **named: Any) -> R | None:
        try:
            return what(*told, **named)
        except Exception as error:  # whatever it is: the call goes on
            self.note(error)
            return None

    def note(self, error: Exception) -> None:
        self.failures += 1
        if self.failures == 1:
            # Not its words, which may quote what was asked.
            frame = traceback.extract_tb(error.__traceback__)[-1]
            self._logger.warning(
                f"{self._name} failed ({type(error).__name__} in {frame.name}, {frame.filename}:{frame.lineno}). Calls go on "
                "without it; this is said once."
            )
