"""Parlant keeps its evaluations of guidelines per home, not per model: a weak model's verdicts outlive it. Notice that.

A small file of ours beside Parlant's cache holds the models that may have filled it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path

__all__ = ["check_evaluation_cache", "parlant_home"]

_CACHE = "evaluation_cache.json"
_MARKER = "parlant-local-models.json"
_UNKNOWN = "another NLP service"
_MAX_MARKER_BYTES = 64 * 1024


def parlant_home() -> Path | None:
    """The home of the host in this process, or None while it has none."""
    server = sys.modules.get("parlant.bin.server")
    home = getattr(server, "PARLANT_HOME_DIR", None) or os.environ.get("PARLANT_HOME")
    return Path(home) if home else None


def check_evaluation_cache(home: Path, model: str) -> str | None:
    """Remember that ``model`` evaluates in ``home`` from now on; a warning where another one did before.

    The warning comes back at each start until the cache is deleted: which of its verdicts are whose can't be told.
    """
    cache, marker = home / _CACHE, home / _MARKER
    known = (_read(marker) or [_UNKNOWN]) if _has_evaluations(cache) else []
    models = [*known, *([] if model in known else [model])]
    if models != known or not marker.exists():
        _write(marker, models)
    others = [name for name in known if name != model]
    if not others:
        return None
    return (
        f"Parlant's evaluations of guidelines in this home were made by {', '.join(others)}, and {model} will not redo "
        f"them. To have {model} judge them, stop the server and delete {cache}"
    )


def _has_evaluations(cache: Path) -> bool:
    try:
        data = json.loads(cache.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(data, dict):
        return False
    return any("_evaluations" in name and isinstance(rows, list) and rows for name, rows in data.items())


def _read(marker: Path) -> list[str]:
    try:
        if marker.stat().st_size > _MAX_MARKER_BYTES:
            return []
        data = json.loads(marker.read_text("utf-8"))
    except (OSError, ValueError):
        return []
    models = data.get("models") if isinstance(data, dict) else None
    return [str(model) for model in models] if isinstance(models, list) else []


def _write(marker: Path, models: list[str]) -> None:
    # A home that can't be written is the host's problem to report; a missing marker only costs a warning later.
    with contextlib.suppress(OSError):
        marker.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=marker.parent, suffix=".tmp", delete=False, encoding="utf-8") as file:
            json.dump({"models": models}, file)
        Path(file.name).replace(marker)
