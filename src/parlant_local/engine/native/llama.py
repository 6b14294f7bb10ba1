"""llama.cpp's library: found, checked and initialised at its first use, with passively waiting threads."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from pathlib import Path
from typing import Any

from parlant_local.engine.native import log
from parlant_local.engine.native.builds import Build, Flavour, Found, find, library_file
from parlant_local.engine.native.checking import check_structures
from parlant_local.engine.native.functions import signatures
from parlant_local.engine.native.structs import Batch
from parlant_local.errors import ConfigurationError, EngineError
from parlant_local.forking import in_forked_child

__all__ = ["Library", "clear_log", "find_wanted", "library", "system_info"]

_FLAVOURS: tuple[Flavour, ...] = ("native", "binary")
_VARIABLE = "PARLANT_LOCAL_ENGINE__LIBRARY"

_lock = threading.Lock()
_library: Library | None = None
_process: int | None = None
"""The process that initialised it."""


class Library:
    """llama.cpp's functions under their C names, as :mod:`functions` declares them, and the constants that they take."""

    LLAMA_LOAD_MODE_NONE = 0
    LLAMA_LOAD_MODE_MMAP = 1
    LLAMA_LOAD_MODE_MLOCK = 2
    LLAMA_LOAD_MODE_MMAP_MLOCK = 3
    LLAMA_TOKEN_ATTR_UNKNOWN = 1 << 0
    LLAMA_TOKEN_ATTR_CONTROL = 1 << 3
    LLAMA_TOKEN_ATTR_USER_DEFINED = 1 << 4
    LLAMA_VOCAB_TYPE_BPE = 2

    llama_batch = Batch

    def __init__(self, found: Found) -> None:
        """Loads the files and checks names and structures; raises :class:`ConfigurationError`."""
        self.build: Build = found.build
        self.file: Path = found.files[0]
        self._handles = [_open(file, found.build) for file in found.files]
        missing = []
        for name, (result, arguments) in signatures(found.build.context_params).items():
            if (function := self.function(name, result, arguments)) is not None:
                setattr(self, name, function)
            else:
                missing.append(name)
        if missing:
            raise ConfigurationError(
                f"The llama.cpp of {found.build} ({self.file}) lacks {', '.join(missing)}.",
                hint=f"Reinstall it: `pip install --force-reinstall {found.build.package}=={found.build.version}`.",
            )
        check_structures(found.build, self)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name} is not declared in engine/native/functions.py")

    def also(self, name: str | None) -> None:
        """Opens a further library of the build, where it has that."""
        if name is not None and (file := library_file(self.build, name)) is not None:
            self._handles.append(_open(file, self.build))

    def address(self, name: str) -> int:
        """Of a C function, for native code that calls it itself."""
        value = ctypes.cast(getattr(self, name), ctypes.c_void_p).value
        assert value is not None
        return value

    def function(self, name: str, result: Any, arguments: list[Any]) -> Any:
        """A C function that returns ``result``; None where the build doesn't export it."""
        for handle in self._handles:
            try:
                function: Any = handle[name]  # an object of its own: others may declare the same function otherwise
            except AttributeError:
                continue
            function.restype, function.argtypes = result, arguments
            return function
        return None


def library(flavour: Flavour = "auto") -> Library:
    """The library, with its backend initialised; the first call takes about 0.1 s. A process has one: the first ``flavour`` stays.

    Raises :class:`ConfigurationError` where there is none that can be called or another one is loaded, :class:`EngineError` in a
    forked child.
    """
    global _library, _process
    if _library is not None and _process == os.getpid():
        if flavour not in ("auto", _library.build.flavour):
            raise ConfigurationError(
                f"This process has loaded {_library.build}; engine.library={flavour} needs a process of its own.",
                hint="Give all models of a process the same engine.library.",
            )
        return _library
    if _library is not None:
        raise EngineError(
            "llama.cpp was initialised before this process was forked, and a fork does not copy its threads.",
            hint="Load models after the fork, or start processes with the spawn method.",
        )
    with _lock:
        if _library is None:
            _use_passive_waiting()
            loaded = Library(find_wanted(flavour))
            loaded.llama_log_set(log.CALLBACK, None)
            loaded.llama_backend_init()
            _process = os.getpid()
            _library = loaded
    return _library


def find_wanted(flavour: Flavour = "auto") -> Found:
    """The installed build of ``flavour``; on ``auto`` of the one that the environment names. Loads nothing.

    The environment is read here as well as by the settings, since some calls have none: the library is the process's, not a model's.
    """
    named = os.environ.get(_VARIABLE, "").strip().lower() if flavour == "auto" else flavour
    return find(next((each for each in _FLAVOURS if each == named), "auto"))


def _open(file: Path, build: Build) -> ctypes.CDLL:
    try:
        if sys.platform == "win32":  # pragma: no cover  # its folder has the libraries that it is linked with
            os.add_dll_directory(str(file.parent))
        return ctypes.CDLL(str(file))
    except OSError as error:
        if "libgomp" in str(error):
            raise ConfigurationError(
                f"The llama.cpp of {build} can't be loaded: {error}.",
                hint="It computes with GNU's OpenMP: on Debian and Ubuntu, `apt-get install libgomp1`.",
            ) from error
        raise ConfigurationError(
            f"The llama.cpp of {build} can't be loaded: {error}.",
            hint=f"Reinstall it with `pip install --force-reinstall --no-cache-dir {build.package}=={build.version}`; "
            "`parlant-local doctor` shows what this machine has.",
        ) from error


def _use_passive_waiting() -> None:
    """Sets how OpenMP's threads wait at barriers; it reads the variables when it is loaded.

    Spinning threads make steps take 100-170 ms as soon as another program runs. Threads that sleep at once are woken hundreds
    of times a token; spinning for some microseconds first saves half of a small model's step, and starves no other program.
    """
    if os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE").upper() == "PASSIVE":
        os.environ.setdefault("GOMP_SPINCOUNT", "300")


def clear_log() -> None:
    """Call before a load, to get its own reasons. Reinstalls the callback, in case other code replaced it."""
    library().llama_log_set(log.CALLBACK, None)
    log.forget()


def system_info() -> str:
    """CPU and GPU features that this build uses, as llama.cpp names them."""
    text: bytes = library().llama_print_system_info()
    return text.decode("utf-8", "replace").strip()


@in_forked_child
def _after_fork() -> None:
    """A fork does not copy the thread that may hold the lock."""
    global _lock
    _lock = threading.Lock()
