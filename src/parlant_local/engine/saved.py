"""The findings of `bench --save`, stored per model and machine, and applied when the model is loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from parlant_local.cores import usable_cores
from parlant_local.errors import InsufficientMemoryError, StateFileError
from parlant_local.gguf_info import GGUFHeader
from parlant_local.observability import Logger
from parlant_local.paths import is_dir
from parlant_local.settings import EngineSettings
from parlant_local.storage import read_as, validated, write_whole

__all__ = ["forget_settings", "save_settings", "saved_file", "saved_folder", "with_findings", "without_costly_layout"]

_KEYS = frozenset({"unified_kv", "flash_attention", "n_batch", "n_ubatch"})
_MAX_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class _Found:
    settings: dict[str, Any]


_FOUND = TypeAdapter(_Found)
_SETTINGS = TypeAdapter(EngineSettings)


def saved_folder(home: Path) -> Path:
    """Where the findings for all models are."""
    return home / "bench"


def saved_file(folder: Path, model: Path) -> Path:
    """Where the findings for ``model`` on this machine are, or would be.

    The name contains everything they depend on, so that those of another file, machine or build are never applied.
    """
    return folder / f"{_model(model)}-{_machine()}.json"


def save_settings(file: Path, settings: Mapping[str, Any], details: Mapping[str, Any]) -> None:
    """Writes ``settings`` (keys of :class:`EngineSettings`) with ``details`` for people to read."""
    write_whole(file, json.dumps({"settings": dict(settings), **details}, indent=2) + "\n")


def forget_settings(folder: Path, model: Path) -> list[Path]:
    """Removes the findings for ``model``, also those of other builds and of other machines that share the folder."""
    measured = sorted(folder.glob(f"{_model(model)}-*.json"))
    for file in measured:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise StateFileError(file, error.strerror or str(error), doing="removed") from None
    return measured


def with_findings(settings: EngineSettings, folder: Path, model: Path, logger: Logger) -> EngineSettings:
    """``settings`` with the findings for this model and machine, wherever they are not set explicitly."""
    if not is_dir(folder):
        return settings
    file = saved_file(folder, model)
    try:
        measured = read_as(_FOUND, file, _MAX_BYTES).settings
        values = {
            key: value for key, value in measured.items() if key in _KEYS and key not in settings.model_fields_set
        }
        return validated(_SETTINGS, settings.model_dump(exclude_unset=True) | values)
    except FileNotFoundError:
        return settings
    except (StateFileError, ValueError) as error:
        logger.warning(f"The saved measurements {file} can't be used ({error}); defaults apply.")
        return settings


def without_costly_layout(
    measured: EngineSettings, settings: EngineSettings, header: GGUFHeader, name: str
) -> EngineSettings:
    """``measured`` without its cache layout where that would shorten the context: ``settings`` leave the layout open, and
    context is worth more.

    A split cache takes as many times the cells as there are sequences; it was measured with short prompts.
    """
    from parlant_local.engine.sizing import plan

    if measured.unified_kv is not False or settings.unified_kv is not None:
        return measured
    pooled = measured.model_copy(update={"unified_kv": settings.unified_kv})
    try:
        fits = plan(header, name, measured).layout.n_ctx >= plan(header, name, pooled).layout.n_ctx
    except InsufficientMemoryError:
        fits = False
    return measured if fits else pooled


def _model(path: Path) -> str:
    from parlant_local.gguf_info.fingerprint import fingerprint

    return fingerprint(path)[:16]


def _machine() -> str:
    """What a measurement depends on besides the model: processor features, cores, and the build."""
    from parlant_local.engine.native import library, system_info

    return hashlib.sha256(f"{system_info()} {usable_cores()} {library().build}".encode()).hexdigest()[:16]
