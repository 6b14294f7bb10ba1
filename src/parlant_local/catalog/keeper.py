"""The files that this catalogue keeps: added, hashed again, removed. Everything here blocks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from parlant_local.catalog.catalogue import Catalogue
from parlant_local.catalog.describe import describe, file_record
from parlant_local.catalog.index import ModelIndex
from parlant_local.catalog.keeping import copy_into, delete_files, foreign_files, verify_files
from parlant_local.catalog.pending import discard
from parlant_local.catalog.records import LocalModel, Making, ModelFile, ModelSource, ModelState, ModelType
from parlant_local.errors import CatalogError, ModelInUseError, ModelNotFoundError, VerificationError
from parlant_local.observability import Logger
from parlant_local.paths import is_file

__all__ = ["Keeper"]


class Keeper:
    def __init__(
        self, catalogue: Catalogue, index: ModelIndex, models_dir: Path, hub_cache: Path, logger: Logger
    ) -> None:
        self._catalogue, self._index = catalogue, index
        self._models_dir, self._hub_cache = models_dir, hub_cache
        self._logger = logger

    def register(self, path: Path, name: str | None, family: ModelType | None, copy: bool) -> LocalModel:
        if not is_file(path):
            raise ModelNotFoundError(f"{path} does not exist.", hint="Give the path of a .gguf or .safetensors file.")
        original = path
        if copy:
            path = copy_into(path, self._models_dir / "files", name)
        model = describe(path, source=ModelSource.CUSTOM, name=name, family=family, hash_files=True)
        return self._catalogue.add(model.having(references=(str(original),), owned=copy))

    def keep_product(self, path: Path, name: str, made: Making, projector: ModelFile | None) -> LocalModel:
        model = describe(path, source=ModelSource.CUSTOM, name=name, hash_files=True)
        owned = path.is_relative_to(self._models_dir)
        return self._catalogue.add(
            model.having(references=(str(path),), owned=owned, made=made, projector=model.projector or projector)
        )

    def keep_edited(self, model: LocalModel, sha256: str, put: Callable[[], None], made: Making) -> LocalModel:
        with self._index.locked():
            if self._index.read().get(model.id) != model:
                raise ModelInUseError(f"The record of {model.id} was changed meanwhile.", hint="Try again.")
            put()
            assert model.path is not None
            digests = (sha256, *made.digests[1:])
            found = describe(model.path, source=model.source, name=model.name, family=model.type, digests=digests)
            known = {"id": model.id, "references": model.references, "owned": model.owned, "projector": model.projector}
            fresh = found.having(
                **known, template=model.template, system=model.system, defaults=model.defaults, made=made
            )
            self._index.write(fresh)
        return fresh

    def verify(self, model: LocalModel) -> LocalModel:
        if not model.files:
            raise CatalogError(f"{model.id} has no file here to verify{f': {model.reason}' if model.reason else ''}.")
        if problem := verify_files(model):
            if not model.shipped:
                self._index.write(model.having(state=ModelState.BROKEN, reason=problem))
            reference = model.references[0] if model.references else model.id
            raise VerificationError(
                f"The model {model.id} is broken: {problem}.",
                hint="Reinstall parlant-local."
                if model.shipped
                else f"To download it again: `parlant-local pull {reference}`.",
            )
        files = tuple(file_record(item.path, item.sha256) for item in model.files)
        projector = model.projector and file_record(model.projector.path, model.projector.sha256)
        fresh = model.having(
            files=files,
            projector=projector,
            state=ModelState.AVAILABLE,
            reason="" if not model.shipped else model.reason,
        )
        if not model.shipped:
            self._index.write(fresh)
        return fresh

    def delete(self, model: LocalModel) -> int:
        with self._index.locked():
            others = [other for other in self._index.read().values() if other.id != model.id]
            homes = (self._models_dir, self._hub_cache)
            if outside := foreign_files(model, homes) if model.owned or model.pending else ():
                self._logger.warning(f"{outside[0]} is outside {self._models_dir} and {self._hub_cache}; it is kept.")
            freed = delete_files(model, others, homes) if model.owned else 0
            freed += discard(model.having(pending=tuple(path for path in model.pending if path not in outside)))
            self._index.remove(model.id)
        return freed
