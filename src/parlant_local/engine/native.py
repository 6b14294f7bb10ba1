"""llama.cpp's library: loaded lazily, quiet by default, with passively waiting threads."""

from __future__ import annotations

import ctypes
import os
import threading
from typing import Any

from parlant_local.errors import ConfigurationError, EngineError

__all__ = ["AbortFlag", "library", "set_verbose", "system_info"]

_lock = threading.Lock()
_library: Any = None
_process: int | None = None
"""The process that initialised it."""
_verbose = False
_log_callback: Any = None  # llama.cpp keeps the pointer: this reference must live as long as the process


class _Recent(threading.local):
    """The last lines of llama.cpp's own log: the reason when a load fails. It logs on the calling thread, and engines load
    and decode concurrently, so the lines are kept per thread."""

    def __init__(self) -> None:
        self.lines: list[str] = []


_recent = _Recent()


def library() -> Any:
    """The ``llama_cpp`` module with its backend initialised; the first call takes about 0.2 s."""
    global _library, _log_callback, _process
    if _library is not None and _process == os.getpid():
        return _library
    if _library is not None:
        raise EngineError(
            "llama.cpp was initialised before this process was forked, and a fork does not copy its threads.",
            hint="Load models after the fork, or start processes with the spawn method.",
        )
    with _lock:
        if _library is None:
            _use_passive_waiting()
            try:
                import llama_cpp
            except (ImportError, OSError, RuntimeError) as error:
                raise ConfigurationError(
                    f"llama-cpp-python can't be loaded: {error}.",
                    hint="Reinstall it with `pip install --force-reinstall --no-cache-dir llama-cpp-python`; "
                    "`parlant-local doctor` shows what this machine has.",
                ) from error
            _log_callback = llama_cpp.llama_log_callback(_on_log)
            llama_cpp.llama_log_set(_log_callback, ctypes.c_void_p(0))
            llama_cpp.llama_backend_init()
            _process = os.getpid()
            _library = llama_cpp
    return _library


def _use_passive_waiting() -> None:
    """Sets how OpenMP's threads wait at barriers; it reads the variables when it is loaded.

    Spinning threads make steps take 100-170 ms as soon as another program runs. Threads that sleep at once are woken hundreds
    of times a token; spinning for some microseconds first saves half of a small model's step, and starves no other program.
    """
    if os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE").upper() == "PASSIVE":
        os.environ.setdefault("GOMP_SPINCOUNT", "300")


def set_verbose(verbose: bool) -> None:
    """Whether llama.cpp's own log reaches standard error (process-wide)."""
    global _verbose
    _verbose = verbose


def _on_log(level: int, text: bytes, _data: Any) -> None:
    line = text.decode("utf-8", "replace")
    if level in (3, 4):  # GGML_LOG_LEVEL_WARN, ERROR
        # The line may quote the untrusted file: no control characters may reach a terminal through an error.
        _recent.lines.append("".join(letter if letter.isprintable() else "\ufffd" for letter in line.strip()))
        del _recent.lines[:-20]
    if _verbose:
        os.write(2, text)


def recent_log() -> str:
    """The last warnings and errors that llama.cpp logged on this thread, on one line."""
    return "; ".join(line for line in _recent.lines[-4:] if line)


def clear_log() -> None:
    """Call before a load, to get its own reasons. Reinstalls the callback, in case other code replaced it."""
    library().llama_log_set(_log_callback, ctypes.c_void_p(0))
    _recent.lines.clear()


def system_info() -> str:
    """CPU and GPU features that this build uses, as llama.cpp names them."""
    text: bytes = library().llama_print_system_info()
    return text.decode("utf-8", "replace").strip()


class AbortFlag:
    """A flag that native code polls without taking the GIL.

    llama.cpp calls an abort callback hundreds of times a step; a Python one would wait for the GIL each time. ``strlen``
    over a two-byte buffer is such a callback already: it gives 0 for an empty string and 1 for a raised flag.
    """

    def __init__(self) -> None:
        lib = library()
        self._buffer = ctypes.create_string_buffer(b"\0\0", 2)
        address = ctypes.cast(ctypes.CDLL(None).strlen, ctypes.c_void_p).value
        assert address is not None
        self.callback = lib.ggml_abort_callback(address)
        self.data = ctypes.cast(self._buffer, ctypes.c_void_p)

    def set(self) -> None:
        self._buffer[0] = b"\1"

    def clear(self) -> None:
        self._buffer[0] = b"\0"

    @property
    def is_set(self) -> bool:
        return bool(self._buffer[0] != b"\0")


def _after_fork() -> None:
    """A fork does not copy the thread that may hold the lock."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
