"""A file that nobody vouched for is first loaded in a process of its own. Nothing in a header proves that native code survives it."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from parlant_local import errors
from parlant_local.engine.loading import LoadControl
from parlant_local.engine.vetting.process import Outcome, run_trial
from parlant_local.errors import InvalidModelError, ModelLoadError, ParlantLocalError
from parlant_local.gguf_info import shard_paths
from parlant_local.observability import Logger, NullLogger
from parlant_local.paths import user_path
from parlant_local.shipped import shipped_file

if TYPE_CHECKING:
    from parlant_local.engine.layout import Layout
    from parlant_local.settings import EngineSettings

__all__ = ["Vetting", "ensure_loadable", "verdicts_file"]

_ROOM = 2 << 30  # bytes, beside a copy of the weights that fits this processor better
_SLOWEST_DISK = 20_000_000  # bytes a second
_MATTERS = (
    "vocabulary_only",
    "n_gpu_layers",
    "flash",
    "flash_embedding",
    "kv_type",
    "unified",
    "rope_freq_base",
    "rope_freq_scale",
)
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Vetting:
    """What is known of a file before it is loaded here."""

    vouched: bool = False
    """Somebody published its digest, and it has it."""
    verdicts: Path | None = None
    """Where verdicts are kept; None: in memory."""


def verdicts_file(home: Path) -> Path:
    """Where the verdicts of a home are."""
    return home / "vetted.json"


def ensure_loadable(
    path: Path,
    settings: EngineSettings,
    vetting: Vetting,
    *,
    layout: Layout | None = None,
    vocabulary_only: bool = False,
    control: LoadControl | None = None,
    logger: Logger | None = None,
) -> None:
    """Returns where the file may be loaded in this process, after a trial in another one where that is not known. Blocks.

    Raises :class:`InvalidModelError` for a file that ended its trial, :class:`ModelLoadError` for one that could not be
    tried, :class:`EngineClosedError` where ``control`` gave the load up.
    """
    known = (vetting.vouched or _came_with_us(path)) and not settings.lora  # nobody vouches for adapters
    if settings.vetting == "never" or (settings.vetting == "auto" and known):
        return
    # Here, since the trial's process pays for each import of this module.
    from parlant_local.engine.vetting.verdicts import Verdicts

    control = control or LoadControl(path.name)
    logger = logger or NullLogger()
    paths = [*shard_paths(path), *(user_path(adapter) for adapter in settings.lora)]
    verdicts = Verdicts(vetting.verdicts, logger)
    try:
        digests = [verdicts.digest(item, control) for item in paths]
    except OSError as error:
        raise InvalidModelError(f"{path} can't be read: {error.strerror or error}.") from None
    wish = _wish(paths, settings, layout, vocabulary_only=vocabulary_only)
    key = _key(digests, wish)

    def remembered() -> Outcome | None:
        died = None if settings.vetting == "always" else verdicts.found(key)
        return None if died is None else Outcome("died" if died else "passed", died)

    outcome = remembered()
    if outcome is None:
        with _one_at_a_time(control):  # two engines of one new file share its trial; two files would share the memory
            if (outcome := remembered()) is None:
                logger.info(f"{path.name} is loaded in a process of its own first, since nobody vouched for it.")
                outcome = run_trial(wish, control)
                if outcome.kind in ("passed", "died"):
                    verdicts.note(key, outcome.reason)
    _tell(path, outcome)


@contextmanager
def _one_at_a_time(control: LoadControl) -> Iterator[None]:
    while not _lock.acquire(timeout=0.1):
        control.check()
    try:
        yield
    finally:
        _lock.release()


def _came_with_us(path: Path) -> bool:
    """Whether it is the model of this package: who can change that can change this code."""
    return path.absolute().parent == shipped_file().parent


def _wish(
    paths: Sequence[Path], settings: EngineSettings, layout: Layout | None, *, vocabulary_only: bool
) -> dict[str, object]:
    """What the trial is to do: as the engine will, but small."""
    from parlant_local.cores import usable_cores
    from parlant_local.engine.layout import FLASH, KV_TYPES
    from parlant_local.engine.native import library

    size = sum(item.stat().st_size for item in paths)
    gpu = bool(library().llama_supports_gpu_offload())  # its drivers reserve more address space than any limit
    return {
        "path": str(paths[0].absolute()),  # the first shard
        "vocabulary_only": vocabulary_only,
        "n_gpu_layers": settings.n_gpu_layers,
        "flash": FLASH[settings.flash_attention if layout is None else layout.flash_attention],
        "flash_embedding": FLASH[settings.flash_attention],
        "kv_type": KV_TYPES[settings.kv_type or "f16" if layout is None else layout.kv_type],
        "unified": layout is None or layout.unified,
        "rope_freq_base": settings.rope_freq_base or 0.0,
        "rope_freq_scale": settings.rope_freq_scale or 0.0,
        "lora": {str(user_path(adapter).absolute()): scale for adapter, scale in settings.lora.items()},
        "threads": settings.n_threads or usable_cores(),
        "memory": 0 if gpu else size + _ROOM,
        "seconds": settings.vetting_seconds + size / _SLOWEST_DISK,
    }


def _key(digests: Sequence[str], wish: dict[str, object]) -> str:
    """All that a verdict depends on: the files, what is done with them, and the library that does it."""
    from parlant_local.engine.native import library

    file = digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()
    how = hashlib.sha256(repr([wish[name] for name in _MATTERS]).encode()).hexdigest()
    return f"{file} {library().__version__} {how[:12]}"


def _tell(path: Path, outcome: Outcome) -> None:
    """Raises what the outcome means; nothing for a file that passed."""
    if outcome.kind == "died":
        raise InvalidModelError(
            f"{path} ended the process that tried it ({outcome.reason}).",
            hint="The file is corrupt, meant to do harm, or not for this version of llama.cpp: take another one.",
        )
    if outcome.kind == "ended":
        raise ModelLoadError(
            f"{path} could not be tried in a process of its own: {outcome.reason}.",
            hint="If you trust the file, engine.vetting=never loads it without.",
        )
    if outcome.kind == "refused":
        kind = getattr(errors, outcome.error, ModelLoadError)
        known = (
            isinstance(kind, type)
            and issubclass(kind, ParlantLocalError)
            and kind.__init__ is ParlantLocalError.__init__
        )
        raise (kind if known else ModelLoadError)(outcome.reason, hint=outcome.hint)


def _after_fork() -> None:
    """The thread that held it did not come along."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
