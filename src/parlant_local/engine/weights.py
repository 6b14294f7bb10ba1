"""A file's tensors in memory, as llama.cpp loaded them: once for all engines of this process that compute from them alike.

Engines of one file differ in their adapters, contexts and threads; each has a context of its own over these.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

from parlant_local.engine.loading import LoadControl
from parlant_local.engine.native import clear_log, recent_log
from parlant_local.errors import ModelLoadError
from parlant_local.forking import in_forked_child
from parlant_local.paths import file_identity, user_path

__all__ = ["Weights", "present", "share"]

_POLL_SECONDS = 0.1


class Weights:
    """One ``llama_model``, counted by its users; the last one to leave frees it, and its adapters with it."""

    def __init__(self, lib: Any, pointer: Any, key: Hashable | None = None) -> None:
        self._lib = lib
        self._key = key
        self.pointer: Any = pointer
        self._adapters: dict[Hashable, Any] = {}
        self.users = 1
        self.changing = threading.Lock()
        """Held while an adapter is added, and by whoever makes a context or prepares its graphs, for which llama.cpp counts them."""

    def adapter(self, given: str, name: str) -> Any:
        """The handle of a LoRA adapter for the model ``name``; it is read once, and stays as long as these weights.

        Raises :class:`ModelLoadError` for one that does not fit.
        """
        path = user_path(given)
        with self.changing:
            key = file_identity(path)
            if key not in self._adapters:
                clear_log()
                handle = self._lib.llama_adapter_lora_init(self.pointer, os.fsencode(path))
                if not handle:
                    raise ModelLoadError(
                        f"The LoRA adapter {path.name} could not be applied to {name}: {recent_log() or 'no reason given'}.",
                        hint="Check that it is a GGUF adapter made for this model.",
                    )
                self._adapters[key] = handle
            return self._adapters[key]

    def release(self) -> None:
        with _lock:
            self.users -= 1
            if self.users:
                return
            if self._key is not None and _shared.get(self._key) is self:
                del _shared[self._key]
        pointer, self.pointer = self.pointer, None
        self._lib.llama_model_free(pointer)


def share(path: Path, how: Hashable, lib: Any, control: LoadControl, load: Callable[[], Any]) -> Weights:
    """The weights of ``path``, loaded by ``load`` unless somebody has them already; ``how`` is everything that ``load`` depends on.

    Waits while another thread loads the same. Raises what ``load`` raises, and :class:`EngineClosedError` where ``control`` was
    cancelled.
    """
    key = (file_identity(path), how)
    with _lock:
        turn = _turns.setdefault(key, threading.Lock())
    while not turn.acquire(timeout=_POLL_SECONDS):
        control.check()
    try:
        with _lock:
            if (found := _shared.get(key)) is not None:
                found.users += 1
                return found
        made = Weights(lib, load(), key)
        with _lock:
            _shared[key] = made
        return made
    finally:
        turn.release()


def present(path: Path) -> bool:
    """Whether the weights of ``path`` are in memory, so that another engine of it needs none."""
    stamp = file_identity(path)
    with _lock:
        return any(key[0] == stamp for key in _shared)


_lock = threading.Lock()
_shared: dict[Any, Weights] = {}
_turns: dict[Any, threading.Lock] = {}
"""Whose turn it is to load; a few bytes for each file that was ever loaded."""


@in_forked_child
def _after_fork() -> None:
    """A fork copies memory that other threads were about to change."""
    global _lock
    _lock = threading.Lock()
    _shared.clear()
    _turns.clear()
