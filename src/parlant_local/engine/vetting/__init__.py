"""Vetting: a file of unknown origin is first loaded in a process of its own, as no check of the header proves that native
code survives it."""

from __future__ import annotations

import hashlib
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
from parlant_local.forking import in_forked_child
from parlant_local.gguf_info import shard_paths
from parlant_local.observability import Logger, NullLogger
from parlant_local.paths import user_path
from parlant_local.shipped import shipped_file

if TYPE_CHECKING:
    from parlant_local.engine.layout import Layout
    from parlant_local.settings import EngineSettings

__all__ = ["Vetting", "check_loads", "ensure_loadable", "verdicts_file"]

_MEMORY_HEADROOM = 2 << 30  # bytes, besides a copy of the weights repacked for this CPU
_MIN_DISK_SPEED = 20_000_000  # bytes a second
_VERDICT_KEYS = (
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
    """It matches a digest that its publisher gave."""
    verdicts: Path | None = None
    """Where verdicts are stored; None: in memory."""


def verdicts_file(home: Path) -> Path:
    """Where a home folder's verdicts are stored."""
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
    """Returns if the file may be loaded in this process, after a trial in another one where that is unknown. Blocks.

    Raises :class:`InvalidModelError` for a file that crashed its trial, :class:`ModelLoadError` for one that could not be
    tried, :class:`EngineClosedError` where ``control`` was cancelled.
    """
    trusted = (vetting.vouched or _is_shipped(path)) and not settings.lora  # adapters have no published digests
    projector = [] if settings.projector is None else [user_path(settings.projector)]
    if settings.vetting == "never" or (settings.vetting == "auto" and trusted):
        return
    # Imported late, since the trial process pays for each import of this module.
    from parlant_local.engine.vetting.verdicts import Verdicts

    control = control or LoadControl(path.name)
    logger = logger or NullLogger()
    paths = [*shard_paths(path), *(user_path(adapter) for adapter in settings.lora), *projector]
    verdicts = Verdicts(vetting.verdicts, logger)
    try:
        digests = [verdicts.digest(item, control) for item in paths]
    except OSError as error:
        raise InvalidModelError(f"{path} can't be read: {error.strerror or error}.") from None
    spec = _trial_spec(paths, settings, layout, vocabulary_only=vocabulary_only)
    key = _key(digests, spec)

    def known_outcome() -> Outcome | None:
        died = None if settings.vetting == "always" else verdicts.found(key)
        return None if died is None else Outcome("died" if died else "passed", died)

    outcome = known_outcome()
    if outcome is None:
        with _exclusively(
            control
        ):  # engines of one new file share its trial; trials of two files would compete for memory
            if (outcome := known_outcome()) is None:
                logger.info(f"{path.name} is first loaded in a process of its own, since it has no published digest.")
                outcome = run_trial(spec, control)
                if outcome.kind in ("passed", "died"):
                    verdicts.record(key, outcome.reason)
    _raise_for_outcome(path, outcome)


def check_loads(path: Path, settings: EngineSettings, *, before: Path) -> None:
    """Whether ``path`` can be loaded where ``before``, of which it was made, can; tried in a process of its own, unless
    ``settings.vetting`` says never.

    Raises as :func:`ensure_loadable` does.
    """
    if settings.vetting == "never":
        return
    alone = settings.model_copy(update={"lora": {}, "projector": None})

    def outcome(file: Path) -> Outcome:
        return run_trial(_trial_spec([file], alone, None, vocabulary_only=False), LoadControl(file.name))

    found = outcome(path)
    # One that this machine or this build of llama.cpp never could may be changed all the same.
    if found.kind != "passed" and outcome(before).kind == "passed":
        _raise_for_outcome(path, found)


@contextmanager
def _exclusively(control: LoadControl) -> Iterator[None]:
    while not _lock.acquire(timeout=0.1):
        control.check()
    try:
        yield
    finally:
        _lock.release()


def _is_shipped(path: Path) -> bool:
    """Whether it is this package's own model: whoever can change that can change this code."""
    return path.absolute().parent == shipped_file().parent


def _trial_spec(
    paths: Sequence[Path], settings: EngineSettings, layout: Layout | None, *, vocabulary_only: bool
) -> dict[str, object]:
    """What the trial has to do: what the engine will, on a small scale."""
    from parlant_local.cores import usable_cores
    from parlant_local.engine.layout import FLASH, KV_TYPES
    from parlant_local.engine.native import library

    size = sum(item.stat().st_size for item in paths)
    gpu = bool(library().llama_supports_gpu_offload())  # GPU drivers reserve more address space than any sensible limit
    return {
        "library": library().build.flavour,
        "path": str(paths[0].absolute()),  # the first shard
        "vocabulary_only": vocabulary_only,
        "n_gpu_layers": settings.n_gpu_layers if layout is None or not layout.gpu_layers else layout.gpu_layers,
        "flash": FLASH[settings.flash_attention if layout is None else layout.flash_attention],
        "flash_embedding": FLASH[settings.flash_attention],
        "kv_type": KV_TYPES[settings.kv_type or "f16" if layout is None else layout.kv_type],
        "unified": layout is None or layout.unified,
        "rope_freq_base": settings.rope_freq_base or 0.0,
        "rope_freq_scale": settings.rope_freq_scale or 0.0,
        "lora": {str(user_path(adapter).absolute()): scale for adapter, scale in settings.lora.items()},
        "projector": None if settings.projector is None else str(user_path(settings.projector).absolute()),
        "threads": settings.n_threads or usable_cores(),
        "memory": 0 if gpu else size + _MEMORY_HEADROOM,
        "resident": 0 if gpu else 2 * size + _MEMORY_HEADROOM,  # the mapped file counts as well
        "seconds": settings.vetting_seconds + size / _MIN_DISK_SPEED,
    }


def _key(digests: Sequence[str], spec: dict[str, object]) -> str:
    """Everything that a verdict depends on: the files, how they are used, and the library's version."""
    from parlant_local.engine.native import library

    file = digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()
    how = hashlib.sha256(repr([spec[name] for name in _VERDICT_KEYS]).encode()).hexdigest()
    return f"{file} {str(library().build).replace(' ', '-')} {how[:12]}"


def _raise_for_outcome(path: Path, outcome: Outcome) -> None:
    """Raises the outcome's error; returns for a file that passed."""
    if outcome.kind == "died":
        raise InvalidModelError(
            f"{path} crashed the process that tried to load it ({outcome.reason}).",
            hint="The file is corrupt, malicious, or made for another version of llama.cpp: use another one.",
        )
    if outcome.kind == "ended":
        raise ModelLoadError(
            f"{path} could not be loaded in a trial process: {outcome.reason}.",
            hint="If you trust the file, engine.vetting=never loads it without a trial.",
        )
    if outcome.kind == "refused":
        kind = getattr(errors, outcome.error, ModelLoadError)
        trusted = (
            isinstance(kind, type)
            and issubclass(kind, ParlantLocalError)
            and kind.__init__ is ParlantLocalError.__init__
        )
        raise (kind if trusted else ModelLoadError)(outcome.reason, hint=outcome.hint)


@in_forked_child
def _after_fork() -> None:
    """A fork does not copy the thread that holds the lock."""
    global _lock
    _lock = threading.Lock()
