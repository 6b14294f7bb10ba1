"""Who wants an engine kept, and hears what it says."""

from __future__ import annotations

from dataclasses import dataclass

from parlant_local.observability import ConsoleLogger, Logger

__all__ = ["Holder", "LoggerOfHolders"]


@dataclass(eq=False)
class Holder:
    """Somebody who wants the engine kept."""

    logger: Logger


class LoggerOfHolders:
    """The logger of an engine that several hold: whoever came last hears it, and nobody who left is kept alive by it.

    A logger's own failure must not become the engine's."""

    def __init__(self, holders: list[Holder]) -> None:
        self._holders = holders

    def _say(self, level: str, message: str) -> None:
        for holder in self._holders[-1:]:
            try:
                getattr(holder.logger, level)(message)
            except Exception as error:
                ConsoleLogger().error(f"A logger failed ({error!r}) at: {message}")

    def debug(self, message: str) -> None:
        self._say("debug", message)

    def info(self, message: str) -> None:
        self._say("info", message)

    def warning(self, message: str) -> None:
        self._say("warning", message)

    def error(self, message: str) -> None:
        self._say("error", message)
