"""What other programs have on this machine, catalogued where it is: the hub's cache, Ollama's stores and its daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from parlant_local.catalog.catalogue import Catalogue
from parlant_local.catalog.discovery import Found, find_in_hub_cache, find_in_ollama_stores, ollama_stores, verified
from parlant_local.catalog.index import ModelIndex
from parlant_local.catalog.lookup import by_reference
from parlant_local.catalog.names import local_id
from parlant_local.catalog.records import LocalModel, ModelState, ModelType
from parlant_local.catalog.references import HubReference, OllamaReference, Reference
from parlant_local.observability import Logger, NullLogger
from parlant_local.paths import real_path
from parlant_local.settings import Settings

__all__ = ["OtherStores"]


class OtherStores:
    """Nothing is copied, and nothing but the catalogue is written."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        index: ModelIndex,
        models_dir: Path,
        hub_cache: Path,
        settings: Settings,
        logger: Logger,
    ) -> None:
        self._catalogue = catalogue
        self._index = index
        self._models_dir = models_dir
        self._hub_cache = hub_cache
        self._settings = settings
        self._logger = logger

    def adopt(self, reference: Reference, family: ModelType | None, *, offline: bool) -> LocalModel | None:
        """A model of this reference that another program has downloaded already, verified and catalogued in place."""
        found: Iterable[Found] = ()
        if isinstance(reference, OllamaReference) and reference.digest is None:
            found = find_in_ollama_stores([self._models_dir / "ollama", *ollama_stores()], NullLogger())
        elif isinstance(reference, HubReference) and offline:
            found = find_in_hub_cache(self._hub_cache, NullLogger())
        candidates = {item.model.id: item for item in found}
        match = by_reference(reference, (item.model for item in candidates.values()))
        if match is None:
            return None
        model = verified(candidates[match.id])
        if model.state is not ModelState.AVAILABLE:
            self._logger.warning(f"{reference} is in another program's store, but broken: {model.reason}.")
            return None
        self._logger.info(f"{reference} was found on this disk: {model.path}.")
        model = model.having(owned=model.path is not None and model.path.is_relative_to(self._models_dir))
        if family is not None:
            model = model.having(type=family, id=local_id(family, model.name))
        return self._catalogue.add(model)

    def discover(self, register: bool) -> list[LocalModel]:
        """Models on this disk that are not catalogued yet; ``register`` verifies and adds them."""
        known = {real_path(path) for model in self._catalogue.records().values() for path in model.paths}
        found = [
            *find_in_hub_cache(self._hub_cache, self._logger),
            *find_in_ollama_stores(ollama_stores(), self._logger),
        ]
        new = [item for item in found if not any(real_path(path) in known for path in item.model.paths)]
        return [self._catalogue.add(verified(item)) if register else item.model for item in new]

    async def in_daemon(self, register: bool) -> list[LocalModel]:
        """Models of a daemon that responds which are not catalogued yet; ``register`` adds them."""
        from parlant_local.catalog.sources.ollama_daemon import daemon_models, is_reachable

        if not await is_reachable(self._settings):
            return []
        known = await asyncio.to_thread(self._index.read)
        new = [model for model in await daemon_models(self._settings) if model.id not in known]
        if register:
            for model in new:
                await asyncio.to_thread(self._index.write, model)
        return new
