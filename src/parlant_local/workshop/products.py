"""Where a job's product goes: whole, or not at all; then into the catalogue, with where it came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parlant_local.catalog import LocalModel, LocalModelManager, Making, ModelFile, ModelState
from parlant_local.catalog.disk import check_space
from parlant_local.catalog.lookup import unusable
from parlant_local.catalog.names import check_component, inside, slug
from parlant_local.errors import BadRequestError, CatalogError, ModelNotFoundError
from parlant_local.gguf_info import check_is_model, in_use, read_header, sha256_file
from parlant_local.paths import user_path
from parlant_local.storage import publish, scratch_folder, sweep
from parlant_local.workshop.control import Control

__all__ = ["Material", "check_free", "hashed", "making", "material", "produce", "product_file", "shard_of"]


@dataclass(frozen=True, slots=True)
class Material:
    """What a job starts from."""

    name: str
    """A model's id; a folder's path, a reference."""
    paths: tuple[Path, ...]
    """A model's files, in order."""
    digests: tuple[str, ...]
    title: str
    projector: ModelFile | None = None
    record: LocalModel | None = None
    """That of a model of the catalogue."""


@contextmanager
def material(manager: LocalModelManager, model: str | Path, control: Control) -> Iterator[Material]:
    """``model`` as the catalogue knows it, its files locked meanwhile. Its digests are the recorded ones, or computed."""
    record = manager.find(model)
    if record.state is not ModelState.AVAILABLE:
        raise unusable(record)
    if record.path is None:
        raise ModelNotFoundError(f"{record.id} is in an Ollama daemon; it has no file of its own here.")
    with in_use.hold(item.path for item in record.files):
        digests = tuple(item.sha256 or hashed(item.path, control) for item in record.files)
        paths = tuple(item.path for item in record.files)
        known = record if manager.catalogued(record) else None
        yield Material(record.id, paths, digests, record.name, record.projector, known)


def hashed(path: Path, control: Control, *, name: str = "") -> str:
    done, total = 0, path.stat().st_size

    def progress(count: int) -> None:
        nonlocal done
        done += count
        control.step(f"Hashing {name or path.name}", done, total)

    return sha256_file(path, progress=progress)


def product_file(manager: LocalModelManager, name: str, output: str | Path | None) -> Path:
    """The file that a product gets: ``output``, or one of the models folder. Raises :class:`CatalogError` where it exists."""
    if output is not None:
        target = user_path(output).absolute()
        if target.suffix.lower() != ".gguf":
            raise BadRequestError(f"{target.name} does not end in .gguf.", hint="Such as --output my-model.gguf.")
        check_component(target.name, "file name")
    else:
        folder = manager.models_dir / "files" / slug(name)
        target = folder / f"{slug(name)}.gguf"
        if folder.exists():
            inside(manager.models_dir, target)
    return target


def shard_of(path: Path, number: int, count: int) -> Path:
    """The file of a shard (from 0) of the model that would be ``path`` in one file."""
    return path if count == 1 else path.with_name(f"{path.stem}-{number + 1:05d}-of-{count:05d}.gguf")


def check_free(target: Path, *, options: str = "--name or --output") -> None:
    if target.exists():
        raise CatalogError(f"{target} exists already.", hint=f"Give another {options}, or delete it first.")


def produce(
    manager: LocalModelManager,
    target: Path,
    *,
    name: str,
    verb: str,
    source: Material,
    options: Mapping[str, Any],
    size: int,
    write: Callable[[Path], None],
    shards: int = 1,
) -> LocalModel:
    """Has ``write`` make the model at a path of its own, checks it, and puts it to ``target`` and into the catalogue.

    ``size``: the bytes that it takes at most. With several ``shards``, ``write`` makes each beside its path, under the usual names.
    Raises what ``write`` raises, :class:`CatalogError`, :class:`DiskSpaceError`.
    """
    targets = [shard_of(target, number, shards) for number in range(shards)]
    for each in targets:
        check_free(each)
    managed = target.is_relative_to(manager.models_dir)
    # Not in the product's own folder of the catalogue, where a half-written file would be found and added.
    place = manager.models_dir / target.name if managed else target
    check_space(place.parent, size, f"Making {target.name}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        sweep(place.parent)
        with scratch_folder(place) as folder:
            write(folder / target.name)
            check_is_model(read_header(folder / targets[0].name))
            target.parent.mkdir(parents=True, exist_ok=True)
            for each in targets:
                publish(folder / each.name, each)
    except OSError as error:
        raise CatalogError(f"{target} can't be written: {error.strerror or error}.") from None
    return manager.keep_product(targets[0], name, making(verb, source, options), projector=source.projector)


def making(verb: str, source: Material, options: Mapping[str, Any]) -> Making:
    said = {key: value for key, value in options.items() if value not in (None, False, (), [])}
    return Making(verb, (source.name,), source.digests, said)
