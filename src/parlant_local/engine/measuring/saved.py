"""What `bench --save` found, kept per model and machine, and applied when the model is loaded."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from parlant_local.observability import Logger
from parlant_local.settings import EngineSettings

__all__ = ["save_settings", "saved_file", "with_saved"]

_KEYS = frozenset({"unified_kv", "flash_attention", "n_batch", "n_ubatch"})


def saved_file(home: Path, model: Path) -> Path:
    """Where the findings for ``model`` on this machine are, or would be."""
    from parlant_local.engine.engine import fingerprint

    return home / "bench" / f"{fingerprint(model)[:16]}-{_machine()[:16]}.json"


def save_settings(file: Path, settings: Mapping[str, Any], details: Mapping[str, Any]) -> None:
    """Writes ``settings`` (keys of :class:`EngineSettings`) with ``details`` for people to read."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps({"settings": dict(settings), **details}, indent=2) + "\n", "utf-8")
    os.replace(part, file)  # noqa: PTH105  # what was there stays until the new one is whole


def with_saved(settings: EngineSettings, home: Path, model: Path, logger: Logger) -> EngineSettings:
    """``settings`` with what was found for this model and machine, where nobody set otherwise."""
    folder = home / "bench"
    if not folder.is_dir():
        return settings
    file = saved_file(home, model)
    if not file.is_file():
        return settings
    try:
        found = json.loads(file.read_text("utf-8"))["settings"]
        values = {key: value for key, value in found.items() if key in _KEYS and key not in settings.model_fields_set}
        return EngineSettings.model_validate(settings.model_dump(exclude_unset=True) | values)
    except (OSError, ValueError, KeyError, AttributeError, TypeError, ValidationError) as error:
        logger.warning(f"The saved measurements {file} can't be used ({error}); defaults are.")
        return settings


def _machine() -> str:
    """What a measurement depends on besides the model: processor features, cores, and the build."""
    from parlant_local.engine.native import library, system_info
    from parlant_local.engine.sizing import usable_cores

    return hashlib.sha256(f"{system_info()} {usable_cores()} {library().__version__}".encode()).hexdigest()
