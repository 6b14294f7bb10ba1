"""Rebuilding the index from the files in the models folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from parlant_local.catalog.describe import describe
from parlant_local.catalog.discovery import find_in_hub_cache, find_in_ollama_stores, verified
from parlant_local.catalog.hub_cache import HUB_MARK
from parlant_local.catalog.projectors import is_projector
from parlant_local.catalog.records import LocalModel, ModelSource
from parlant_local.errors import CatalogError
from parlant_local.gguf_info import shard_number
from parlant_local.observability import Logger
from parlant_local.paths import exists, is_dir, is_file

__all__ = ["add_loose", "loose_files", "rebuild"]

_MANAGED_FOLDERS = ("index", "ollama", "huggingface")


def loose_files(models_dir: Path, known: Mapping[str, LocalModel]) -> Iterator[Path]:
    """GGUF files in the models folder without a record: copied there, or from a lost index."""
    catalogued = {path for model in known.values() for path in model.paths}
    try:
        folders = sorted(models_dir.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise CatalogError(f"The models folder {models_dir} can't be read: {error.strerror}.") from None
    for folder in folders:
        if folder.name in _MANAGED_FOLDERS or folder.name.startswith("."):
            continue
        for path in sorted(folder.rglob("*.gguf")) if is_dir(folder) else [folder]:
            number = shard_number(path.name)
            if (
                path.suffix == ".gguf"
                and is_file(path)
                and path not in catalogued
                and (number is None or number[0] == 1)
            ):
                yield path


def rebuild(
    models_dir: Path, hub_cache: Path, add: Callable[[LocalModel], LocalModel], logger: Logger
) -> list[LocalModel]:
    """Catalogues again what was downloaded before the index was lost. Everything is hashed."""
    found = [*find_in_ollama_stores([models_dir / "ollama"], logger)]
    for item in find_in_hub_cache(hub_cache, logger):
        path = item.model.path
        assert path is not None
        repository = next(folder for folder in path.parents if folder.name.startswith("models--"))
        if hub_cache.is_relative_to(models_dir) or exists(repository / HUB_MARK):
            found.append(item)
    return [add(verified(item).having(owned=True)) for item in found]


def add_loose(path: Path, add: Callable[[LocalModel], LocalModel], logger: Logger) -> LocalModel | None:
    """Catalogue a file that was put into the models folder; None if it is not a model, with a warning if it is no projector either."""
    try:
        model = describe(path, source=ModelSource.CUSTOM, hash_files=True)
    except CatalogError as error:
        if not is_projector(path):  # which goes with the model beside it
            logger.warning(f"Not added to the catalogue: {error}")
        return None
    return add(model.having(references=(str(path),), owned=True))
