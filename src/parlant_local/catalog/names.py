"""Names that become paths and ids. They are untrusted: nothing here may lead outside its folder."""

from __future__ import annotations

import re
from pathlib import Path

from parlant_local.catalog.records import ModelType
from parlant_local.errors import BadReferenceError, InvalidModelError
from parlant_local.gguf_info import shard_names

__all__ = ["check_component", "check_relative", "inside", "local_id", "model_stem", "slug"]

_MAX_NAME_BYTES = 200
# What any system refuses, on all of them: a models folder may move, and lie on a shared disk.
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\:*?\"<>|]|[. ]$")
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]) *(\..*)?", re.IGNORECASE)
_SHARD_SUFFIX = re.compile(r"-\d{5}-of-\d{5}$")


def check_component(name: str, what: str = "name") -> str:
    """``name`` if it can be one file or folder name, else :class:`BadReferenceError`."""
    if not name or "/" in name or _FORBIDDEN.search(name) or _DEVICE.fullmatch(name):
        raise BadReferenceError(f"The {what} {name[:80]!r} is not safe as a file name.")
    if len(name.encode("utf-8", "surrogatepass")) > _MAX_NAME_BYTES:
        raise BadReferenceError(f"The {what} {name[:40]!r}… is longer than {_MAX_NAME_BYTES} bytes.")
    return name


def check_relative(path: str, what: str = "file name") -> str:
    """``path`` if it stays below the folder it is joined to: no ``..``, not absolute, no odd characters."""
    parts = path.split("/")
    if len(parts) > 16:
        raise BadReferenceError(f"The {what} {path[:80]!r} is nested too deeply.")
    for part in parts:
        check_component(part, what)
    return path


def inside(root: Path, path: Path) -> Path:
    """``path`` if, all symbolic links of its folder followed, it lies below ``root``; else :class:`InvalidModelError`."""
    if not path.parent.resolve().is_relative_to(root.resolve()):
        raise InvalidModelError(
            f"{path} leads outside {root} through a symbolic link; nothing was written.",
            hint="Remove the link, or choose another --models-dir.",
        )
    return path


def slug(text: str) -> str:
    """Lower case, with only what is safe in an id, a file name and a URL: ``a-z 0-9 . _ -``."""
    cleaned = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:120].rstrip(".") or "model"
    return f"model-{cleaned}" if _DEVICE.fullmatch(cleaned) else cleaned


def model_stem(name: str) -> str:
    """A file's name without suffix and shard number."""
    stem = name.rsplit("/", 1)[-1]
    stem = re.sub(r"\.(gguf|safetensors)$", "", stem, flags=re.IGNORECASE)
    return _SHARD_SUFFIX.sub("", stem) if len(shard_names(f"{stem}.gguf")) > 1 else stem


def local_id(family: ModelType, name: str) -> str:
    return f"local/{family.value}/{slug(name)}"
