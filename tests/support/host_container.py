"""What Parlant hands to an NLP service, its log silent."""

from __future__ import annotations

from lagom import Container
from parlant.core.loggers import Logger, LogLevel, StdoutLogger
from parlant.core.meter import LocalMeter, Meter
from parlant.core.tracer import LocalTracer, Tracer

__all__ = ["container"]


def container() -> Container:
    made = Container()
    made[Tracer] = tracer = LocalTracer()
    made[Logger] = logger = StdoutLogger(tracer, LogLevel.CRITICAL)
    made[Meter] = LocalMeter(logger)
    return made
