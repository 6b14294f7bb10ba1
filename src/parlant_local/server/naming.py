"""Resolves model names of clients: a served name, a catalogue id, a downloaded reference, or an external model."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from parlant_local.backends.choice import Choice
from parlant_local.backends.referring import clients_may_name, split_reference
from parlant_local.catalog import LocalModel, LocalModelManager, ModelState
from parlant_local.catalog.adapters import Adapted, Adapter, Adapters, no_adapter
from parlant_local.errors import BadReferenceError, ModelNotFoundError, RequestRefusedError, SettingsError
from parlant_local.settings import ServedModelSettings, Settings
from parlant_local.switching import choose_model

__all__ = ["SWITCHED", "Directory", "Served"]

SWITCHED = "auto"
"""The name of the switcher's chain, where fallbacks are configured."""

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Served:
    """A model that requests can name."""

    name: str
    """The listed name."""
    key: str
    """The pool's name: one per way of loading a model."""
    record: LocalModel
    options: ServedModelSettings | None = None
    adapters: tuple[Adapter, ...] = ()
    """On it, by name."""

    @property
    def id(self) -> str:
        return Adapted(self.record, self.adapters).id


class Directory:
    """Names of local models. Paths and URLs are not accepted: clients can't open files."""

    def __init__(
        self, settings: Settings, manager: LocalModelManager, loaded: Callable[[], Iterable[str]] = tuple
    ) -> None:
        self._settings = settings
        self._manager = manager
        self._loaded = loaded
        self.adapters = Adapters(settings)
        self._chosen: tuple[frozenset[str], Choice] | None = None

    def known(self) -> list[Served]:
        """Everything that can be loaded: served names first, then the catalogue."""
        found = []
        for name, options in self._settings.models.items():
            if self.is_external(options.model):
                continue
            try:
                found.append(self._served(name, options))
            except ModelNotFoundError:
                continue  # not downloaded yet; a request for it says so
        found += [Served(record.id, record.id, record) for record in self.records()]
        usable = [adapter for adapter in self.adapters.all().values() if adapter.problem is None]
        return found + [
            self._adapted(f"{served.name}:{adapter.name}", served, (adapter,))
            for adapter in usable
            for served in found
            if served.record.architecture == adapter.architecture and not served.adapters
        ]

    def records(self) -> list[LocalModel]:
        """Language models with a file here."""
        return [record for record in self._manager.list_models() if record.path is not None and not record.for_pictures]

    async def find(self, name: str) -> Served:
        """Raises :class:`ModelNotFoundError` with names that look similar."""
        return await asyncio.to_thread(self.look_up, name)

    def check_name(self, name: str) -> None:
        """Raises :class:`RequestRefusedError` for a name that is too long or unprintable."""
        most = self._settings.limits.name_characters
        if len(name) > most:
            raise RequestRefusedError(
                400,
                f"The model's name has {len(name)} characters; {most} are allowed (limits.name_characters).",
                code="bad_name",
                param="model",
            )
        if not name.isprintable():
            raise RequestRefusedError(
                400, "A model's name can't contain control characters.", code="bad_name", param="model"
            )

    def look_up(self, name: str) -> Served:
        if (options := self._settings.models.get(name)) is not None:
            return self._served(name, options)
        records = {record.id: record for record in self.records()}
        record = records.get(name)
        if record is None:
            if (adapted := self.adapters.split(name)) is not None:
                return self._adapted(name, self.look_up(adapted[0]), adapted[1])
            if (alone := records.get(name.rpartition(":")[0])) is not None:
                raise no_adapter(alone, name, self.adapters)
            last = [item for item in records.values() if item.id.rpartition("/")[2] == name.lower()]
            record = last[0] if len(last) == 1 else self._by_reference(name)
        return Served(record.id, record.id, record)

    def default(self) -> str:
        """The model for requests that name none."""
        return self.choice().model

    def choice(self) -> Choice:
        """:func:`choose_model`'s, evaluated again when the catalogue changes: by free memory alone, a loaded model
        would seem not to fit."""
        here = frozenset(record.id for record in self.records())
        if self._chosen is None or self._chosen[0] != here:
            loaded = {name for name in self._loaded() if name in here}
            self._chosen = here, choose_model(self._settings, self._manager, loaded=loaded)
        return self._chosen[1]

    def owned(self, name: str) -> Served:
        """A configured or default model of this process; it may be a path."""
        if self._is_served(name) or name != self._settings.model:
            return self.look_up(name)
        found = self._manager.resolve_adapted(name)
        base = Served(found.record.id, found.record.id, found.record)
        return self._adapted(found.id, base, found.adapters) if found.adapters else base

    def _is_served(self, name: str) -> bool:
        """Whether it is a name of the settings, with adapters or without."""
        return name in self._settings.models or name.rpartition(":")[0] in self._settings.models

    def is_external(self, name: str) -> bool:
        """Whether a name belongs to another backend: a daemon, a configured endpoint, a plug-in."""
        return split_reference(name, self._settings) is not None

    def external_id(self, name: str) -> str | None:
        """The id of the external model that a name means, directly or as a served name. ``None`` where a
        client may not choose a model of that backend, unless this one is configured."""
        if (options := self._settings.models.get(name)) is not None:
            name = options.model
        elif (
            (found := split_reference(name, self._settings)) is not None
            and not clients_may_name(found[0], self._settings)
            and name not in self._named()
        ):
            return None
        return name if self.is_external(name) else None

    def _named(self) -> set[str]:
        """All models in the settings, under whatever name."""
        switcher = self._settings.switcher
        served = (options.model for options in self._settings.models.values())
        return {*served, self._settings.model or "", *switcher.fallbacks, *switcher.targets}

    def external_models(self) -> dict[str, str]:
        """Names of configured external models, each with its id."""
        switcher = self._settings.switcher
        named = [*self._settings.models, self._settings.model or "", *switcher.fallbacks, *switcher.targets]
        if self._chosen is not None:
            named.append(self._chosen[1].model)
        return {name: place for name in dict.fromkeys(named) if (place := self.external_id(name)) is not None}

    def check(self) -> None:
        """Raises what is wrong with the configured default model and fallbacks.

        Served names are not checked: a server may start before they are downloaded.
        """
        if self._settings.model is not None and self.external_id(self._settings.model) is None:
            self.owned(self._settings.model)
        for name in self._settings.switcher.fallbacks:
            if self.external_id(name) is not None:
                continue
            if self._is_served(name):
                self.look_up(name)
            else:
                self._manager.resolve_adapted(name)
        for name, options in self._settings.models.items():
            own = options.model_dump(exclude={"model", "preload"}, exclude_none=True)
            if own and self.is_external(options.model):
                raise SettingsError(
                    f"models.{name} sets {', '.join(own)} for {options.model}, which does not run in this process.",
                    hint="Configure it where that model runs.",
                )

    def _served(self, name: str, options: ServedModelSettings) -> Served:
        found = self._manager.resolve_adapted(options.model)
        record = found.record
        own = options.model_dump(exclude={"model", "preload", "adapters"}, exclude_none=True)
        served = Served(name, name if own else record.id, record, options if own else None)
        if found.adapters:
            served = self._adapted(name, served, found.adapters)
        if options.adapters is None:
            return served
        if (adapted := self.adapters.split(f"{name}:{options.adapters}")) is None:
            raise ModelNotFoundError(
                f"models.{name}.adapters names {options.adapters}, which is not known here.",
                hint=f"Known: {', '.join(self.adapters.all()) or 'none'}.",
            )
        return self._adapted(name, served, adapted[1])

    def _adapted(self, name: str, base: Served, adapters: tuple[Adapter, ...]) -> Served:
        """``base`` with adapters: a model of its own, over the same weights."""
        if twice := {each.name for each in base.adapters} & {each.name for each in adapters}:
            raise BadReferenceError(f"{name} names the adapter {min(twice)} twice.")
        for adapter in adapters:
            if adapter.architecture != base.record.architecture:
                raise BadReferenceError(
                    f"The adapter {adapter.name} was made for {adapter.architecture}, {base.name} is {base.record.architecture}."
                )
        key = f"{base.key}:{'+'.join(adapter.scaled for adapter in adapters)}"
        return replace(base, name=name, key=key, adapters=(*base.adapters, *adapters))

    def _by_reference(self, name: str) -> LocalModel:
        try:
            record = self._manager.get_model(name)
        except ModelNotFoundError as error:
            near = [item for item in self.external_models() if item.rpartition("/")[2] == name]  # without its prefix
            near += difflib.get_close_matches(name, self._settings.models, n=2, cutoff=0.5)
            near += [item for item in error.near if item not in near]
            if near:
                raise ModelNotFoundError(f"The model {name!r} is not available.", near=near[:3]) from None
            here = [*self._settings.models, *(item.id for item in self.records())][:_SHOWN]
            hint = f"Available: {', '.join(here)}; GET /v1/models lists all." if here else error.hint
            raise ModelNotFoundError(f"The model {name!r} is not available.", hint=hint) from None
        if record.for_pictures:
            raise ModelNotFoundError(
                f"{name!r} is for making pictures; it neither chats nor embeds.",
                hint="Ask for them at /v1/images/generations.",
            )
        if record.path is None or record.state is not ModelState.AVAILABLE:
            raise ModelNotFoundError(
                f"The model {name!r} is not available.", hint="GET /v1/models lists the available ones."
            )
        return record
