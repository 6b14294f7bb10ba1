"""The signals that ask this process to stop, and how an event loop hears them on every system."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["STOP_SIGNALS", "as_interrupts", "on_stop_signal"]

# Ctrl-Break is how a program asks another one to stop on Windows, where SIGTERM kills.
STOP_SIGNALS: tuple[signal.Signals, ...] = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)
)


@contextmanager
def on_stop_signal(stop: Callable[[], None]) -> Iterator[None]:
    """Within the context, the running loop calls ``stop`` at each of :data:`STOP_SIGNALS`. Main thread only."""
    loop = asyncio.get_running_loop()
    try:
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, stop)
    except NotImplementedError:  # Windows
        with _handled_by_python(loop, stop):
            yield
        return
    try:
        yield
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)


@contextmanager
def as_interrupts() -> Iterator[None]:
    """Within the context, a signal that asks to stop is a :class:`KeyboardInterrupt`, as Ctrl-C is: what was begun is cleaned up.
    Elsewhere than in the main thread, which hears them, nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    wanted = {*STOP_SIGNALS, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])} - {signal.SIGINT}
    # One that is ignored (by nohup, say) stays so.
    before = {number: signal.getsignal(number) for number in wanted if signal.getsignal(number) is signal.SIG_DFL}
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _handled_by_python(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> Iterator[None]:
    def handle(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop)

    before = {number: signal.signal(number, handle) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
