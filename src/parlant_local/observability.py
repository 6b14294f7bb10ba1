"""How the package speaks: a logger anything can stand in for, and the redaction every log line goes through."""

from __future__ import annotations

import re
import sys
import threading
import time
from typing import Literal, Protocol, TextIO, runtime_checkable

__all__ = ["ConsoleLogger", "LogLevel", "Logger", "NullLogger", "redact"]

LogLevel = Literal["debug", "info", "warning", "error", "none"]

_ORDER: dict[str, int] = {"debug": 0, "info": 1, "warning": 2, "error": 3, "none": 4}

# Shapes of secrets that people paste into URLs and headers: hub tokens, API keys, bearer headers, credentials in URLs.
_SECRETS = re.compile(
    r"(hf_[A-Za-z0-9]{6,}|sk-[A-Za-z0-9_\-]{6,}|\b(?:gsk_|xai-|nvapi-|pplx-|r8_|csk-|fw_|AIza)[A-Za-z0-9_\-]{12,}|(?i:bearer)\s+[A-Za-z0-9._\-~+/]{6,}=*|(?<=://)[^/\s:@]+:[^/\s@]+(?=@))"
)


def redact(text: str) -> str:
    """``text`` with everything that looks like a secret replaced by ``***``."""
    return _SECRETS.sub("***", text)


@runtime_checkable
class Logger(Protocol):
    """What the package needs of a logger; Parlant's loggers and the standard library's both fit."""

    def debug(self, message: str) -> None: ...

    def info(self, message: str) -> None: ...

    def warning(self, message: str) -> None: ...

    def error(self, message: str) -> None: ...


class ConsoleLogger:
    """Writes one line per message to ``stream`` (standard error by default), secrets redacted."""

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
            stream.write(f"{stamp} {level:<7} {redact(message)}\n")
            stream.flush()

    def debug(self, message: str) -> None:
        self._write("debug", message)

    def info(self, message: str) -> None:
        self._write("info", message)

    def warning(self, message: str) -> None:
        self._write("warning", message)

    def error(self, message: str) -> None:
        self._write("error", message)


class NullLogger:
    """Says nothing."""

    def debug(self, message: str) -> None: ...

    def info(self, message: str) -> None: ...

    def warning(self, message: str) -> None: ...

    def error(self, message: str) -> None: ...
