"""The catalogue's face: which models exist, how they get here, and how they go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from parlant_local.catalog.adapters import Adapted, Adapters, adapted, no_adapter
from parlant_local.catalog.catalogue import Catalogue
from parlant_local.catalog.downloads import Accept, Downloads, Progress
from parlant_local.catalog.families import type_by_name
from parlant_local.catalog.hub_cache import environment_cache
from parlant_local.catalog.index import ModelIndex
from parlant_local.catalog.keeper import Keeper
from parlant_local.catalog.lookup import by_reference, find, near_misses, unusable
from parlant_local.catalog.names import local_id
from parlant_local.catalog.offline import check_online, offline_by_environment
from parlant_local.catalog.other_stores import OtherStores
from parlant_local.catalog.recommend import Recommendation, recommend
from parlant_local.catalog.records import LocalModel, Making, ModelFile, ModelSource, ModelState, ModelType
from parlant_local.catalog.references import (
    OllamaReference,
    PackageReference,
    PathReference,
    Reference,
    looks_like_path,
    parse_reference,
)
from parlant_local.catalog.scan import add_loose, loose_files, rebuild
from parlant_local.catalog.shipped import shipped_model
from parlant_local.catalog.sources import source_named
from parlant_local.catalog.speed import MachineSpeed, guessed_operations, machine_speed
from parlant_local.errors import (
    BadReferenceError,
    CatalogError,
    ModelInUseError,
    ModelNotFoundError,
    NoGGUFError,
)
from parlant_local.gguf_info import available_memory
from parlant_local.observability import Logger, with_standard_logging
from parlant_local.paths import is_dir, is_file, user_path
from parlant_local.settings import Settings
from parlant_local.storage import sweep

__all__ = ["LocalModelManager"]

States = Literal["all"] | Iterable[ModelState | str]


class LocalModelManager:
    """Finds, downloads, verifies and keeps models.

    Everything that only reads (``list_models``, ``get_model``, ``find``, ``resolve``) is synchronous and never opens a
    socket; what takes time is awaited. ``models_dir`` and ``offline`` override ``settings``, which default to the
    environment and the settings file.
    """

    def __init__(
        self,
        logger: Logger | None = None,
        models_dir: Path | str | None = None,
        settings: Settings | None = None,
        offline: bool | None = None,
    ) -> None:
        self.logger: Logger = with_standard_logging(logger)
        self.settings = settings or Settings()
        explicit = models_dir or self.settings.models_dir
        self.models_dir = user_path(explicit or self.settings.models_path).absolute()
        self._offline = bool(offline or self.settings.offline)
        self._index = ModelIndex(self.models_dir / "index")
        self._catalogue = Catalogue(self._index)
        cache, explicit_cache = environment_cache()
        # An explicit folder applies to everything, unless the environment sets the hub's cache.
        self.hub_cache = self.models_dir / "huggingface" if explicit is not None and not explicit_cache else cache
        self._downloads = Downloads(
            index=self._index,
            add=self._catalogue.add,
            models_dir=self.models_dir,
            hub_cache=self.hub_cache,
            settings=self.settings,
            logger=self.logger,
        )
        self._others = OtherStores(
            catalogue=self._catalogue,
            index=self._index,
            models_dir=self.models_dir,
            hub_cache=self.hub_cache,
            settings=self.settings,
            logger=self.logger,
        )
        self._keeper = Keeper(self._catalogue, self._index, self.models_dir, self.hub_cache, self.logger)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(models_dir={str(self.models_dir)!r}{', offline=True' if self.offline else ''})"

    @property
    def offline(self) -> bool:
        """Whether offline mode is on: by argument, by setting, or by ``HF_HUB_OFFLINE``."""
        return self._offline or offline_by_environment() is not None

    async def initialize(self) -> None:
        """Read the index, or rebuild it from disk where it is lost; add files that were put into the folder. No network."""
        await asyncio.to_thread(self._initialize)

    def _initialize(self) -> None:
        shipped_model()
        if is_dir(self.models_dir):
            self._sweep()
            if not self._index.exists():
                rebuilt = rebuild(self.models_dir, self.hub_cache, self._catalogue.add, self.logger)
                self.logger.info(f"The model index was rebuilt from disk: {len(rebuilt)} models.")
            for path in loose_files(self.models_dir, self._index.read()):
                add_loose(path, self._catalogue.add, self.logger)
        self._catalogue.records()
        for model in self._index.damaged():
            self.logger.warning(f"{model.id}: {model.reason}.")

    def _sweep(self) -> None:
        """Remove leftovers of killed writers."""
        self._index.sweep()
        sweep(self.models_dir)
        for name in ("files", "ollama"):
            sweep(self.models_dir / name, below=True)

    # -- looking ---------------------------------------------------------------------------------------------------

    def list_models(
        self,
        type: ModelType | str | None = None,
        source: ModelSource | str | None = None,
        states: States = (ModelState.AVAILABLE,),
    ) -> list[LocalModel]:
        """Models in the catalogue, by id; only whole and verified ones unless ``states`` says otherwise ("all": every one)."""
        family = None if type is None else ModelType(type)
        origin = None if source is None else source_named(source)
        wanted = set(ModelState) if states == "all" else {ModelState(state) for state in states}
        return [
            model
            for model in self._catalogue.records().values()
            if model.state in wanted and family in (None, model.type) and origin in (None, model.source)
        ]

    def get_model(self, model_id: str) -> LocalModel:
        """The available model of this id, or fetched by this reference. :class:`ModelNotFoundError` names near misses."""
        models = self._catalogue.records()
        model = models.get(model_id)
        if model is None:
            try:
                reference = parse_reference(model_id)
            except BadReferenceError:
                reference = None
            if reference is not None and not isinstance(reference, PathReference):
                model = by_reference(reference, models.values())
        if model is None:
            near = near_misses(model_id, models)
            raise ModelNotFoundError(
                f"No model {model_id!r} in the catalogue.",
                near=near,
                hint="" if near else "See `parlant-local list`; `parlant-local pull REFERENCE` downloads one.",
            )
        if model.state is not ModelState.AVAILABLE:
            raise unusable(model)
        return model

    def catalogued(self, model: LocalModel) -> bool:
        """Whether it has a record, or was only described from its file."""
        return self._catalogue.records().get(model.id) == model

    def find(self, model_ref: str | Path) -> LocalModel:
        """The record that an id, a reference or a GGUF path means, whatever its state (see ``LocalModel.state``).

        A path that is not catalogued gives a record made from its header. Never downloads. What names adapters as well is refused.
        """
        found = self.find_adapted(model_ref)
        if found.adapters:
            alone = str(model_ref).rpartition(":")[0]
            raise BadReferenceError(
                f"{str(model_ref)!r} is {alone} with adapters, and a model's file is wanted.",
                hint=f"Give {alone} alone.",
            )
        return found.record

    def find_adapted(self, model_ref: str | Path) -> Adapted:
        """The record that ``model_ref`` means, and the adapters on it: ``MODEL``, ``MODEL:ADAPTER``, ``MODEL:ONE+TWO@0.5``."""
        text, records = str(model_ref), self._catalogue.records()
        try:
            return Adapted(find(text, records))
        except ModelNotFoundError:
            if (named := Adapters(self.settings).split(text)) is not None:
                return adapted(find(named[0], records), named[1])
            self._explain_adapter(text, records)
            raise

    def _explain_adapter(self, text: str, records: Mapping[str, LocalModel]) -> None:
        """Raises where ``text`` is surely a model with an adapter, and no reference to another model."""
        model, _, rest = text.rpartition(":")
        if model in records or (rest and looks_like_path(model) and is_file(user_path(model))):
            raise no_adapter(find(model, records), text, Adapters(self.settings)) from None

    def resolve(self, model_ref: str | Path) -> Path:
        """The file to load (first shard of a split model) for an id, a reference or a GGUF path. Never downloads.

        Raises :class:`ModelNotFoundError` (with near misses, or what to do about the state it is in) and
        :class:`InvalidModelError` for a file that is not a usable GGUF.
        """
        return _file_of(self.find(model_ref))

    def resolve_adapted(self, model_ref: str | Path) -> Adapted:
        """:meth:`find_adapted`, of a model that can be loaded; raises as :meth:`resolve` does."""
        found = self.find_adapted(model_ref)
        _file_of(found.record)
        return found

    def recommend(
        self, limit: int = 5, *, measure: bool = True, again: bool = False, memory: int | None = None
    ) -> list[Recommendation]:
        """Models to pull for this machine: those that fit its memory, or ``memory`` bytes, with seconds per Parlant turn to expect.

        The first call measures how fast the machine reads prompts (a few seconds, remembered); ``measure=False`` leaves
        the seconds out where it has not been measured, and guesses by its cores what is quick on it; ``again`` measures anew. No network;
        the model that comes with the package is never named.
        """
        if (speed := self.machine_speed(measure=measure, again=again)) is not None:
            operations: float | None = speed.prefill_operations_per_second
        else:
            operations = guessed_operations() if memory is None else None  # nothing is guessed about a GPU
        found = recommend(available_memory() if memory is None else memory, operations, limit)
        return found if speed else [replace(item, cold_turn_seconds=None, warm_turn_seconds=None) for item in found]

    def machine_speed(self, *, measure: bool = True, again: bool = False) -> MachineSpeed | None:
        """What :meth:`recommend` measures, when that was, and whether other programs ran."""
        return machine_speed(self.settings.home, measure=measure, again=again, logger=self.logger)

    # -- fetching --------------------------------------------------------------------------------------------------

    async def download_model(
        self,
        model_name: str,
        model_type: ModelType | str | None = None,
        source: ModelSource | str | None = None,
        *,
        progress: Progress | None = None,
        via: Literal["registry", "daemon"] = "registry",
        accept: Accept | None = None,
    ) -> LocalModel:
        """Downloads what a reference names, verifies it and adds it to the catalogue; an available model needs no network.

        ``model_type`` None: read from the GGUF header. ``source`` None: told by the name. ``via="daemon"`` has an Ollama
        daemon pull instead. ``progress`` is called on the event loop, a few times a second. Callers that ask for the same
        model share one download. Cancelling leaves it resumable. ``accept`` is called, in a thread and before the first byte
        is downloaded, with the model's size and the missing bytes; it rejects by raising.

        Raises :class:`BadReferenceError`, :class:`OfflineError`, :class:`ModelNotFoundError`, :class:`InvalidModelError`
        and the kinds of :class:`DownloadError`.
        """
        family = None if model_type is None else ModelType(model_type)
        reference = parse_reference(model_name, source)
        if str(reference) != model_name:
            self.logger.info(f"{model_name} resolves to {reference}.")
        if isinstance(reference, PathReference):
            return await self.register_model(reference.path, model_type=family)
        if via == "daemon":
            return await self._pull_into_daemon(reference, progress)
        records = await asyncio.to_thread(self._catalogue.records)
        known = by_reference(reference, (model for model in records.values() if not model.id.startswith("ollama/")))
        if known is not None and known.state is ModelState.AVAILABLE:
            return known
        if (
            adopted := await asyncio.to_thread(self._others.adopt, reference, family, offline=self.offline)
        ) is not None:
            return adopted
        if not isinstance(reference, PackageReference) or await asyncio.to_thread(_needs_network, reference):
            check_online(self._offline, f"Downloading {reference}")
        try:
            return await self._downloads.fetch(reference, family, progress, accept)
        except NoGGUFError as error:
            await asyncio.to_thread(self._note_not_runnable, error, family)
            raise

    async def _pull_into_daemon(self, reference: Reference, progress: Progress | None) -> LocalModel:
        from parlant_local.catalog.sources.ollama_daemon import pull_into_daemon

        if not isinstance(reference, OllamaReference):
            raise BadReferenceError(f"{reference} is not an Ollama reference.", hint="Example: llama3.2:3b.")
        check_online(self._offline, f"Pulling {reference.short} through Ollama")
        model = await pull_into_daemon(reference, self.settings, progress or (lambda _: None))
        await asyncio.to_thread(self._index.write, model)
        return model

    def _note_not_runnable(self, error: NoGGUFError, family: ModelType | None) -> None:
        name = error.repo.rpartition("/")[2]
        chosen = family or type_by_name(error.repo)
        self._catalogue.add(
            LocalModel(
                id=local_id(chosen, name),
                name=name,
                type=chosen,
                source=ModelSource.HUGGINGFACE,
                state=ModelState.NOT_RUNNABLE,
                references=(f"hf.co/{error.repo}",),
                revision=error.revision,
                reason=f"{error.message} {error.hint}".rstrip(". "),
            )
        )

    async def discover(self, register: bool = False) -> list[LocalModel]:
        """Models on this disk that are not catalogued yet: in the Hugging Face cache and in Ollama's store.

        Their headers are checked, their files only hashed with ``register``, which catalogues them where they are. Models of an
        Ollama daemon are included unless offline (``register`` adds them too).
        """
        found = await asyncio.to_thread(self._others.discover, register)
        return found if self.offline else found + await self._others.in_daemon(register)

    # -- keeping ---------------------------------------------------------------------------------------------------

    async def register_model(
        self,
        path: Path | str,
        *,
        name: str | None = None,
        model_type: ModelType | str | None = None,
        copy: bool = False,
    ) -> LocalModel:
        """Catalogue a GGUF file (any shard of a split one) where it is, or a copy of it in the models folder.

        Its header is checked and its files are hashed, so that a later change is noticed. Registering a file again
        refreshes its record. Raises :class:`InvalidModelError`, :class:`DiskSpaceError` (copying).
        """
        family = None if model_type is None else ModelType(model_type)
        location = user_path(path).absolute()
        return await asyncio.to_thread(self._keeper.register, location, name, family, copy)

    def keep_product(self, path: Path, name: str, made: Making, *, projector: ModelFile | None = None) -> LocalModel:
        """Catalogue a file that was made here, any shard of a split one, with how it was; blocks while it is hashed.

        Deleting the model deletes the file if it lies in the models folder. ``projector``: that of the model it was made from.
        """
        return self._keeper.keep_product(path, name, made, projector)

    def keep_edited(self, model: LocalModel, sha256: str, put: Callable[[], None], made: Making) -> LocalModel:
        """The record of ``model`` once ``put`` has replaced its first file by one of this digest; blocks. Others write no record meanwhile."""
        return self._keeper.keep_edited(model, sha256, put, made)

    async def verify_model(self, model_id: str) -> LocalModel:
        """Hash a model's files again and check its header; returns its refreshed record.

        Raises :class:`VerificationError` when the digests differ from the recorded ones; the model is then
        listed as broken.
        """
        model = self._catalogue.known(model_id)
        return await asyncio.to_thread(self._keeper.verify, model)

    async def delete_model(self, model_id: str) -> int:
        """Removes a model from the catalogue and deletes files that nothing else uses; returns the bytes that were freed.

        Files that this catalogue did not download stay where they are. Raises :class:`ModelInUseError` while a file is
        loaded here or in another process, :class:`CatalogError` for the model that comes with the package.
        """
        model = self._catalogue.known(model_id)
        if model.shipped:
            raise CatalogError(f"{model.id} is bundled with parlant-local and can't be deleted.")
        if model.state is ModelState.DOWNLOADING:
            raise ModelInUseError(f"{model.id} is being downloaded.", hint="Stop the download first.")
        if model.id.startswith("ollama/"):
            from parlant_local.catalog.sources.ollama_daemon import delete_from_daemon

            check_online(self._offline, f"Deleting {model.id} from Ollama")
            await delete_from_daemon(model, self.settings)
            self._index.remove(model.id)
            return model.total or 0
        return await asyncio.to_thread(self._keeper.delete, model)


def _file_of(model: LocalModel) -> Path:
    if model.state is not ModelState.AVAILABLE:
        raise unusable(model)
    if model.path is None:
        raise ModelNotFoundError(
            f"{model.id} is in an Ollama daemon; it has no file of its own here.",
            hint=f"Use it as {model.id} through the ollama backend, or pull it without --via daemon.",
        )
    return model.path


def _needs_network(reference: PackageReference) -> bool:
    from parlant_local.catalog.sources.pypi import needs_network

    return needs_network(reference)
