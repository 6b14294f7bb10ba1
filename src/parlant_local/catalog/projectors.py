"""Which projector (``mmproj``) belongs to a model: what reads pictures and sounds for it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from parlant_local.errors import InvalidModelError
from parlant_local.gguf_info import GGUFHeader, read_header
from parlant_local.gguf_info.kinds import check_is_projector

__all__ = ["is_projector", "projector_among", "projector_beside"]

_NAMED = re.compile(r"(^|[-._/])mmproj", re.IGNORECASE)
_PREFERRED = ("f16", "bf16", "q8_0", "f32")
"""It is small, and f16 is what they are published in; bf16 has no fast kernels on most processors."""


def projector_among(files: Iterable[str], model: str) -> str | None:
    """The projector of ``model`` among a repository's ``files``: one for all quantizations, in the model's own folder first."""
    folder = model.rpartition("/")[0]
    found = [path for path in files if path.lower().endswith(".gguf") and _NAMED.search(path)]
    return min(found, key=lambda path: (path.rpartition("/")[0] != folder, _rank(path)), default=None)


def _rank(path: str) -> tuple[int, str]:
    name = path.lower()
    labels = [place for place, label in enumerate(_PREFERRED) if re.search(rf"(^|[-._/]){label}([-._/]|$)", name)]
    return (labels[0] if labels else len(_PREFERRED)), path


def projector_beside(header: GGUFHeader) -> Path | None:
    """The projector in a model's folder: the one that fits its width, where there are several."""
    folder = header.path.parent
    try:
        names = [path for path in folder.iterdir() if _NAMED.search(path.name) and path.suffix.lower() == ".gguf"]
    except OSError:
        return None
    ranked = sorted(names, key=lambda path: _rank(path.name))
    return next((path for path in ranked if _fits(path, header)), None)


def is_projector(path: Path) -> bool:
    return _header(path) is not None


def _header(path: Path) -> GGUFHeader | None:
    try:
        header = read_header(path)
        check_is_projector(header)
    except (InvalidModelError, OSError):
        return None
    return header


def _fits(path: Path, model: GGUFHeader) -> bool:
    if (header := _header(path)) is None:
        return False
    widths = [header.integer(f"clip.{part}.projection_dim") for part in ("vision", "audio")]
    return model.embedding_length in widths or not any(widths)
