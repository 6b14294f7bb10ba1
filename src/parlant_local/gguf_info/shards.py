"""Split models: NAME-00001-of-0000N.gguf and its siblings."""

from __future__ import annotations

import re
from pathlib import Path

from parlant_local.errors import InvalidModelError

__all__ = ["shard_names", "shard_number", "shard_paths"]

_MAX_SHARDS = 1000  # bounds the file lookups that a mere name can cause
_SHARD = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.gguf)$", re.IGNORECASE)


def shard_number(name: str) -> tuple[int, int] | None:
    """(number from 1, count) if ``name`` is a shard's: five digits each, the number within the count."""
    match = _SHARD.match(name)
    if match is None:
        return None
    number, count = int(match["number"]), int(match["count"])
    return (number, count) if 1 <= number <= count <= _MAX_SHARDS else None


def shard_names(name: str) -> tuple[str, ...]:
    """Names of all the files of the model that ``name`` belongs to, in order; just ``name`` if it is not a shard."""
    match = _SHARD.match(name)
    if match is None or shard_number(name) is None:
        return (name,)
    count = int(match["count"])
    return tuple(f"{match['stem']}-{number:05d}-of-{count:05d}{match['suffix']}" for number in range(1, count + 1))


def shard_paths(path: Path) -> tuple[Path, ...]:
    """All files of the model at ``path``; raises :class:`InvalidModelError` naming shards that are missing."""
    paths = tuple(path.with_name(name) for name in shard_names(path.name))
    if len(paths) == 1:
        return paths
    if missing := [item.name for item in paths if not item.exists()]:
        raise InvalidModelError(
            f"{path.name} is one of {len(paths)} shards in {path.parent}; missing: {', '.join(missing[:3])}"
            + (f" and {len(missing) - 3} more." if len(missing) > 3 else "."),
            hint="Download the missing shards: a split model needs all of them.",
        )
    return paths
