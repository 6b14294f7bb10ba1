"""Detects evaluations of another model: Parlant caches its guideline evaluations per home, not per model.

A small file of ours beside Parlant's cache holds the models that may have filled it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from parlant_local.errors import StateFileError
from parlant_local.paths import is_file
from parlant_local.storage import read_as, read_json, set_aside, write_whole

__all__ = ["check_evaluation_cache", "parlant_home"]

_CACHE = "evaluation_cache.json"
_MARKER = "parlant-local-models.json"
_UNKNOWN = "another NLP service"
_MAX_MARKER_BYTES = 64 * 1024
_MAX_CACHE_BYTES = 64 << 20


def parlant_home() -> Path | None:
    """The home of the host in this process, or None while it has none."""
    server = sys.modules.get("parlant.bin.server")
    home = getattr(server, "PARLANT_HOME_DIR", None) or os.environ.get("PARLANT_HOME")
    return Path(home) if home else None


def check_evaluation_cache(home: Path, model: str) -> str | None:
    """Remember that ``model`` evaluates in ``home`` from now on; a warning where another one did before.

    The warning repeats at each start until the cache is deleted: the entries don't say which model made them.
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
        f"Parlant's evaluations of guidelines in this home were made by {', '.join(others)}, and Parlant does not repeat them with {model}. "
        f"To evaluate them again, stop the server and delete {cache}"
    )


def _has_evaluations(cache: Path) -> bool:
    try:
        data = read_json(cache, _MAX_CACHE_BYTES)
    except FileNotFoundError:
        return False
    except StateFileError:
        # Left to the host to report. A file too large to be read is certainly not empty.
        return is_file(cache) and cache.stat().st_size > _MAX_CACHE_BYTES
    if not isinstance(data, dict):
        return False
    return any("_evaluations" in name and isinstance(rows, list) and rows for name, rows in data.items())


def _read(marker: Path) -> list[str]:
    """The models that it lists; none where it can't be read, and then it is set aside."""
    try:
        return read_as(TypeAdapter(_Marker), marker, _MAX_MARKER_BYTES).models
    except FileNotFoundError:
        return []
    except StateFileError:
        with contextlib.suppress(StateFileError):  # the host reports a home that can't be written
            set_aside(marker)
        return []


def _write(marker: Path, models: list[str]) -> None:
    # The host reports a home that can't be written; a missing marker only costs a later warning.
    with contextlib.suppress(StateFileError):
        write_whole(marker, json.dumps({"models": models}))


@dataclass(frozen=True, slots=True)
class _Marker:
    models: list[str]
