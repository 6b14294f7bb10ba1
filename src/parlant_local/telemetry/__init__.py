"""Model calls as OpenTelemetry's spans and metrics. Nothing of OpenTelemetry is imported unless the settings ask for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from parlant_local.backends.observing import observe
from parlant_local.errors import ConfigurationError
from parlant_local.settings import Settings

__all__ = ["caller", "flush", "start", "stop", "unsent"]

_lock = threading.Lock()
_started = False


def start(settings: Settings) -> bool:
    """Begins to tell of calls, once in a process, where the settings want that; whether it is on.

    Raises :class:`ConfigurationError` where OpenTelemetry is not installed.
    """
    global _started
    if not settings.telemetry.enabled:
        return _started
    with _lock:
        if not _started:
            try:
                from parlant_local.telemetry.calls import CallObserver
                from parlant_local.telemetry.providers import set_up
            except ModuleNotFoundError as error:
                raise ConfigurationError(
                    f"telemetry.enabled needs OpenTelemetry, which is not installed ({error.name}).",
                    hint="pip install 'parlant-local[otel]'",
                ) from None
            set_up(settings.telemetry)
            observe(CallObserver(content=settings.telemetry.content))
            _started = True
    return True


def flush() -> None:
    """Sends what waits to be sent; takes some seconds at most."""
    if _started:
        from parlant_local.telemetry.providers import flush_all

        flush_all()


def unsent() -> list[str]:
    """What did not arrive when it was sent last: ``traces``, ``metrics``. Of a program's own set-up nothing is known."""
    if not _started:
        return []
    from parlant_local.telemetry.providers import unsent as signals

    return signals()


def stop() -> None:
    """Sends what is left, and tells of no more calls."""
    global _started
    flush()
    with _lock:
        observe(None)
        _started = False


@contextmanager
def caller(headers: Mapping[str, str]) -> Iterator[None]:
    """Calls in the block belong to the trace that ``headers`` name (``traceparent``), where telemetry is on."""
    if not _started or "traceparent" not in headers:
        yield
        return
    from parlant_local.telemetry.providers import joined

    with joined(headers):
        yield
