"""The log of a process that Ray runs."""

from __future__ import annotations

import sys

from parlant_local.server.logs import ServerLogger
from parlant_local.settings import Settings

__all__ = ["process_logger"]


def process_logger(settings: Settings) -> ServerLogger:
    """Writes to the process's own standard error, whose lines Ray brings to who started it; what ``sys.stderr`` names there may end in a
    file of Ray's."""
    return ServerLogger(settings.logging, settings.log_level, sys.__stderr__)
