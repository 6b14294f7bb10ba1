"""The catalogue entries of all known models, each one's state checked against the disk."""

from __future__ import annotations

from parlant_local.catalog.describe import matches_disk
from parlant_local.catalog.index import ModelIndex
from parlant_local.catalog.lookup import find, near_misses
from parlant_local.catalog.pending import current
from parlant_local.catalog.records import LocalModel, ModelState
from parlant_local.catalog.shipped import shipped_model
from parlant_local.errors import ModelNotFoundError
from parlant_local.shipped import SHIPPED_ID

__all__ = ["Catalogue"]


class Catalogue:
    """An index on disk, and the model that is bundled with the package."""

    def __init__(self, index: ModelIndex) -> None:
        self._index = index

    def records(self) -> dict[str, LocalModel]:
        """All entries by id, each one's state checked against the disk."""
        records = {key: self._current(model) for key, model in self._index.read().items()}
        for model in self._index.damaged():
            records.setdefault(model.id, model)
        if (tiny := shipped_model()) is not None:
            records[SHIPPED_ID] = tiny
        return dict(sorted(records.items()))

    def _current(self, model: LocalModel) -> LocalModel:
        if model.state is ModelState.AVAILABLE:
            for item in model.all_files:
                if problem := matches_disk(item):
                    return model.having(state=ModelState.BROKEN, reason=problem)
        elif model.state in (ModelState.DOWNLOADING, ModelState.INCOMPLETE):
            return current(model, self._index.folder)
        return model

    def add(self, model: LocalModel) -> LocalModel:
        """Write an entry under a free id, or under the id that the same files have already."""
        with self._index.locked():
            known = self._index.read()
            chosen = self._free_id(model, known)
            if (before := known.get(chosen.id)) is not None and before.state is not ModelState.BROKEN:
                merged = dict.fromkeys((*chosen.references, *before.references))
                chosen = chosen.having(
                    references=tuple(merged),
                    vouched=chosen.vouched or (before.vouched and _digests(before) == _digests(chosen)),
                    owned=chosen.owned or before.owned,
                    made=chosen.made or (before.made if _digests(before) == _digests(chosen) else None),
                )
            self._index.write(chosen)
        return chosen

    @staticmethod
    def _free_id(model: LocalModel, known: dict[str, LocalModel]) -> LocalModel:
        for other in known.values():
            if other.paths == model.paths and model.paths:
                return model.having(id=other.id)
        candidate, number = model.id, 2
        while (candidate in known and known[candidate].paths != model.paths) or candidate == SHIPPED_ID:
            candidate, number = f"{model.id}-{number}", number + 1
        return model.having(id=candidate)

    def known(self, model_id: str) -> LocalModel:
        """A catalogued model by id or reference, whatever its state."""
        models = self.records()
        model = find(model_id, models)
        if model.id not in models or models[model.id].paths != model.paths:
            raise ModelNotFoundError(f"{model_id} is not in the catalogue.", near=near_misses(model_id, models))
        return model


def _digests(model: LocalModel) -> list[str | None]:
    return [item.sha256 for item in model.files]
