"""The Hugging Face cache on disk, in its standard layout: blobs, snapshots of links, refs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from parlant_local.catalog.names import check_component, check_relative, inside
from parlant_local.errors import CatalogError
from parlant_local.paths import exists, is_dir, is_file, real_path, user_path
from parlant_local.storage import rename_over, scratch_for, sweep, write_whole

__all__ = ["HUB_MARK", "CachedFile", "HubRepository", "blob_of", "cached_files", "environment_cache"]


HUB_MARK = ".parlant-local"
"""A file in a repository's folder: something in it was downloaded by this catalogue."""


def environment_cache() -> tuple[Path, bool]:
    """The cache by the current environment (huggingface_hub reads it only once), and whether a variable sets it."""
    for name, tail in (("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub")):
        if value := os.environ.get(name):
            return user_path(os.path.expandvars(value)) / tail, True
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else user_path("~/.cache")) / "huggingface" / "hub", False


@dataclass(frozen=True, slots=True)
class HubRepository:
    """The folder of one repository in a cache."""

    cache: Path
    repo: str

    @property
    def folder(self) -> Path:
        return self.cache / check_component(f"models--{self.repo.replace('/', '--')}", "repository")

    def blob(self, etag: str) -> Path:
        return inside(self.cache, self.folder / "blobs" / check_component(etag, "blob id"))

    def lock(self, etag: str) -> Path:
        """The lock that huggingface_hub takes for the same blob."""
        return self.cache / ".locks" / self.folder.name / f"{check_component(etag, 'blob id')}.lock"

    def snapshot(self, commit: str, file: str) -> Path:
        return inside(self.cache, self.folder / "snapshots" / check_component(commit, "commit") / check_relative(file))

    def link(self, commit: str, file: str, etag: str) -> None:
        """Create the snapshot's link to a downloaded blob: a hard one where symbolic ones are not allowed."""
        pointer, blob = self.snapshot(commit, file), self.blob(etag)
        target = os.path.relpath(blob, pointer.parent)
        if exists(pointer) and pointer.samefile(blob):
            return
        sweep(pointer.parent)
        scratch = scratch_for(pointer)
        try:
            pointer.parent.mkdir(parents=True, exist_ok=True)
            try:
                scratch.symlink_to(target)
            except OSError:  # Windows without developer mode, some network disks
                scratch.hardlink_to(blob)
            rename_over(scratch, pointer)
        except OSError as error:
            raise CatalogError(
                f"The link {pointer} can't be created: {error.strerror}.",
                hint="Use HF_HOME or --models-dir to choose a folder that supports links.",
            ) from None

    def adopt(self, commit: str, file: str, etag: str) -> None:
        """Gives the blob to a snapshot's entry that is the file itself: what huggingface_hub leaves without symbolic links."""
        pointer, blob = self.snapshot(commit, file), self.blob(etag)
        if is_file(pointer) and not pointer.is_symlink() and not exists(blob):
            with contextlib.suppress(OSError):  # no links at all: it is fetched again
                blob.parent.mkdir(parents=True, exist_ok=True)
                blob.hardlink_to(pointer)

    def set_ref(self, revision: str, commit: str) -> None:
        """Record which commit a branch or tag points to."""
        if revision == commit:
            return
        path = inside(self.cache, self.folder / "refs" / check_relative(revision, "revision"))
        write_whole(path, commit)

    def mark(self) -> None:
        """Record that this catalogue has downloaded something here."""
        (self.folder / HUB_MARK).touch()


@dataclass(frozen=True, slots=True)
class CachedFile:
    repo: str
    commit: str
    file: str
    path: Path
    digest: str | None
    """sha256, where the blob's name contains it."""


def blob_of(path: Path) -> Path:
    """What a snapshot's entry stands for: where a symbolic link leads, or the blob that a hard link is."""
    target = real_path(path)
    if not exists(target) or target.stat().st_nlink < 2:
        return target
    repository = next((folder.parent for folder in target.parents if folder.name == "snapshots"), None)
    if repository is None or not is_dir(repository / "blobs"):
        return target
    return next((blob for blob in (repository / "blobs").iterdir() if is_file(blob) and blob.samefile(target)), target)


def cached_files(cache: Path) -> Iterator[CachedFile]:
    """Every complete GGUF file in a cache."""
    for snapshot in sorted(cache.glob("models--*/snapshots/*")):
        repo = snapshot.parent.parent.name.removeprefix("models--").replace("--", "/")
        for path in sorted(snapshot.rglob("*")):
            if path.suffix.lower() != ".gguf" or not is_file(path):
                continue
            name = blob_of(path).name
            digest = name if len(name) == 64 and all(char in "0123456789abcdef" for char in name) else None
            yield CachedFile(repo, snapshot.name, path.relative_to(snapshot).as_posix(), path, digest)
