"""The control groups of this process on Linux, in both versions: what a container or a service may use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

__all__ = ["PROC", "ROOT", "folders"]

ROOT = Path("/sys/fs/cgroup")
PROC = Path("/proc/self/cgroup")


def folders(controller: str, root: Path = ROOT, self_cgroup: Path = PROC) -> Iterator[tuple[Literal["v1", "v2"], Path]]:
    """The folder of this process's group and of each group around it, as every one of them limits; none on other systems."""
    try:
        lines = self_cgroup.read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    for line in lines:
        _, _, membership = line.partition(":")
        controllers, separator, path = membership.partition(":")
        if not separator:
            continue
        if controllers == "":
            yield from (("v2", folder) for folder in _upwards(root, path))
        elif controller in controllers.split(","):
            yield from (("v1", folder) for folder in _upwards(root / controller, path))


def _upwards(base: Path, path: str) -> Iterator[Path]:
    # In a container the path may be the host's, or lead out of what is mounted: then the mounted root applies.
    folder = base / path.lstrip("/")
    if ".." in folder.parts or not folder.is_dir():
        folder = base
    yield folder
    if folder != base:
        yield from (parent for parent in folder.parents if parent.is_relative_to(base))
