"""The server's log: one line per event, as JSON or text, with the request's id."""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from typing import Any, TextIO

from parlant_local.errors import SettingsError
from parlant_local.observability import printable, printable_json, redact
from parlant_local.paths import user_path
from parlant_local.settings import LoggingSettings

__all__ = ["ServerLogger", "request_id"]

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the current request."""

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "none": 60}


class ServerLogger:
    """A :class:`~parlant_local.observability.Logger` whose lines carry fields; secrets are redacted."""

    def __init__(self, settings: LoggingSettings, level: str = "info", stream: TextIO | None = None) -> None:
        handler = _handler(settings, stream)
        shown = settings.format
        if shown == "auto":
            shown = "console" if settings.file is None and (stream or sys.stderr).isatty() else "json"
        handler.setFormatter(_JsonFormatter() if shown == "json" else _ConsoleFormatter())
        # A separate logger outside the standard library's tree, so that no other configuration changes it.
        self._logger = logging.Logger("parlant-local", _LEVELS[level])
        self._logger.addHandler(handler)
        self._handler = handler

    def event(self, level: str, message: str, **fields: Any) -> None:
        self._logger.log(_LEVELS[level], message, extra={"fields": fields})

    def debug(self, message: str) -> None:
        self.event("debug", message)

    def info(self, message: str) -> None:
        self.event("info", message)

    def warning(self, message: str) -> None:
        self.event("warning", message)

    def error(self, message: str) -> None:
        self.event("error", message)

    def adopt(self, name: str) -> None:
        """Redirects a library's logger here; its info lines only at debug level."""
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [self._handler], False
        logger.setLevel(
            self._logger.level if self._logger.level <= logging.DEBUG else max(self._logger.level, logging.WARNING)
        )

    def close(self) -> None:
        self._handler.close()


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if (current := request_id.get()) is not None:
            line["request_id"] = current
        line |= {key: value for key, value in _fields(record).items() if value is not None}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return redact(printable_json(line))


class _ConsoleFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        stamp = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")  # local time
        fields = " ".join(f"{key}={value}" for key, value in _fields(record).items() if value is not None)
        text = printable(f"{stamp} {record.levelname.lower():<7} {record.getMessage()} {fields}".rstrip())
        if record.exc_info:
            # Indented, so that no line can be mistaken for a log line.
            text += "".join(f"\n    {printable(line)}" for line in self.formatException(record.exc_info).split("\n"))
        return redact(text)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    found = getattr(record, "fields", None)
    return found if isinstance(found, dict) else {}


def _handler(settings: LoggingSettings, stream: TextIO | None) -> logging.Handler:
    if settings.file is None:
        return logging.StreamHandler(stream or sys.stderr)
    try:
        user_path(settings.file).parent.mkdir(parents=True, exist_ok=True)
        return RotatingFileHandler(
            user_path(settings.file),
            maxBytes=int(settings.max_mb * 1024 * 1024),
            backupCount=settings.backups,
            encoding="utf-8",
        )
    except OSError as error:
        raise SettingsError(
            f"The log file {settings.file} (logging.file) can't be written: {error.strerror}."
        ) from None
