"""An engine's holders, and the logger that writes to them."""

from __future__ import annotations

from dataclasses import dataclass

from parlant_local.observability import ConsoleLogger, Logger

__all__ = ["Holder", "HoldersLogger"]


@dataclass(eq=False)
class Holder:
    """Keeps an engine loaded, and receives its log."""

    logger: Logger


class HoldersLogger:
    """The logger of a shared engine. It writes to the most recent holder, and keeps no released one alive.

    A failing logger must not fail the engine."""

    def __init__(self, holders: list[Holder]) -> None:
        self._holders = holders

    def _log(self, level: str, message: str) -> None:
        for holder in self._holders[-1:]:
            try:
                getattr(holder.logger, level)(message)
            except Exception as error:
                ConsoleLogger().error(f"A logger failed ({error!r}) to log: {message}")

    def debug(self, message: str) -> None:
        self._log("debug", message)

    def info(self, message: str) -> None:
        self._log("info", message)

    def warning(self, message: str) -> None:
        self._log("warning", message)

    def error(self, message: str) -> None:
        self._log("error", message)
