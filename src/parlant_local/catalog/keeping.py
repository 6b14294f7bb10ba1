"""Files of catalogued models: copying, verifying, deleting."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from parlant_local.catalog.disk import check_space
from parlant_local.catalog.hub_cache import HUB_MARK, blob_of
from parlant_local.catalog.names import check_component, inside, model_stem, slug
from parlant_local.catalog.projectors import projector_beside
from parlant_local.catalog.records import LocalModel
from parlant_local.catalog.weights import check_header, is_safetensors
from parlant_local.errors import CatalogError, InvalidModelError
from parlant_local.gguf_info import in_use, read_header, sha256_file, shard_paths
from parlant_local.paths import exists, is_dir, real_path
from parlant_local.storage import publish, scratch_for

__all__ = ["copy_into", "delete_files", "foreign_files", "verify_files"]


def copy_into(path: Path, folder: Path, name: str | None) -> Path:
    """Copy a model (all its shards) below ``folder``; returns the copy of its first shard. Atomic."""
    sources = (path,) if is_safetensors(path.name) else shard_paths(path)
    if not is_safetensors(path.name) and (projector := projector_beside(read_header(sources[0]))) is not None:
        sources = (*sources, projector)
    target_folder = folder / slug(name or model_stem(sources[0].name))
    check_space(folder, sum(item.stat().st_size for item in sources), f"Copying {path.name}")
    try:
        target_folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CatalogError(f"{target_folder} can't be created: {error.strerror}.") from None
    targets = [inside(folder, target_folder / check_component(item.name)) for item in sources]
    for source, target in zip(sources, targets, strict=True):
        scratch = scratch_for(target)
        try:
            shutil.copyfile(source, scratch)
            publish(scratch, target)
        except OSError as error:
            raise CatalogError(f"{source} can't be copied to {target}: {error.strerror}.") from None
        finally:
            scratch.unlink(missing_ok=True)
    return targets[0]


def verify_files(model: LocalModel) -> str:
    """Hash every file and check the header; empty if valid, else what is wrong."""
    for item in model.all_files:
        try:
            size = item.path.stat().st_size
            if size != item.size:
                return f"{item.path} has {size:,} bytes instead of {item.size:,}"
            digest = sha256_file(item.path)
        except OSError as error:
            return f"{item.path} can't be read: {error.strerror}"
        if item.sha256 is not None and digest != item.sha256:
            return f"{item.path} has the sha256 {digest[:12]}… instead of {item.sha256[:12]}…"
    try:
        check_header(model.files[0].path, model.files[0].path.name)
    except InvalidModelError as error:
        return error.message.rstrip(".")
    return ""


def foreign_files(model: LocalModel, homes: Sequence[Path]) -> list[Path]:
    """Files of a record, present or pending, outside all of ``homes``. These are never deleted, whatever the record says."""
    return [path for path in (*model.paths, *model.pending) if not _is_managed(path, homes)]


def _is_managed(path: Path, homes: Sequence[Path]) -> bool:
    place = real_path(path.parent) / path.name
    if any(place.is_relative_to(real_path(home)) for home in homes):
        return True
    # A hub cache that the environment used to name.
    return any(exists(folder / HUB_MARK) for folder in place.parents if folder.name.startswith("models--"))


def delete_files(model: LocalModel, others: Iterable[LocalModel], homes: Sequence[Path]) -> int:
    """Remove the files of ``model`` that lie below ``homes`` and that no other record needs; returns bytes freed.

    Links are removed together with their targets, if those are below ``homes`` too.
    """
    needed = {blob_of(path) for other in others for path in other.paths}
    ours = [item.path for item in model.all_files if _is_managed(item.path, homes)]
    present = [path for path in ours if exists(path)]
    dangling = [path for path in ours if not exists(path) and os.path.lexists(path)]
    freed = 0
    with in_use.claim([path for path in present if blob_of(path) not in needed]):
        for path in present:
            freed += _free(path, needed, homes)
    for path in dangling:
        _unlink(path)
    for path in (*present, *dangling):
        _remove_empty(path.parent, homes)
    return freed


def _free(path: Path, needed: set[Path], homes: Sequence[Path]) -> int:
    target = blob_of(path)
    if target != real_path(path.parent) / path.name:  # a link of either kind
        _unlink(path)
        if target in needed or _has_other_links(path, target) or not _is_managed(target, homes):
            return 0
    elif target in needed:
        return 0
    size = target.stat().st_size if exists(target) else 0
    _unlink(target)
    return size


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise CatalogError(f"{path} can't be deleted: {error.strerror}.", hint="Does a program use it?") from None


def _has_other_links(link: Path, target: Path) -> bool:
    """Whether another snapshot of a hub cache still points to a blob."""
    repository = target.parent.parent
    snapshots = repository / "snapshots"
    if target.parent.name != "blobs" or not is_dir(snapshots):
        return False
    for folder, _, names in os.walk(snapshots):
        for name in names:
            other = Path(folder) / name
            if other != link and exists(other) and other.samefile(target):
                return True
    return False


def _remove_empty(folder: Path, homes: Sequence[Path]) -> None:
    """Remove empty folders of a model, up to the models folder or a hub cache's repository."""
    while folder not in homes and not folder.name.startswith("models--") and folder.parent != folder:
        try:
            folder.rmdir()
        except OSError:
            return  # not empty, or not ours to remove
        folder = folder.parent
