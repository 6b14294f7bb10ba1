"""Which model a client's name means: a served name, a catalogue id, a reference that was fetched, or a remote one."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from parlant_local.backends.choice import Choice
from parlant_local.backends.referring import clients_may_name, split_reference
from parlant_local.catalog import LocalModel, LocalModelManager, ModelState
from parlant_local.errors import ModelNotFoundError, RequestRefusedError, SettingsError
from parlant_local.settings import ServedModelSettings, Settings
from parlant_local.switching import choose_model

__all__ = ["SWITCHED", "Directory", "Served"]

SWITCHED = "auto"
"""The name under which the switcher's chain is offered, where one is configured."""

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Served:
    """A model that can be asked by name."""

    name: str
    """As it is listed."""
    key: str
    """The pool's name: one per way of loading a model."""
    record: LocalModel
    options: ServedModelSettings | None = None


class Directory:
    """Names of local models. Paths and URLs are no names: a client's word opens no file."""

    def __init__(
        self, settings: Settings, manager: LocalModelManager, loaded: Callable[[], Iterable[str]] = tuple
    ) -> None:
        self._settings = settings
        self._manager = manager
        self._loaded = loaded
        self._chosen: tuple[frozenset[str], Choice] | None = None

    def known(self) -> list[Served]:
        """Everything that can be loaded: served names first, then the catalogue."""
        found = []
        for name, options in self._settings.models.items():
            if self.is_elsewhere(options.model):
                continue
            try:
                found.append(self._served(name, options))
            except ModelNotFoundError:
                continue  # not fetched yet; asking for it says so
        return found + [Served(record.id, record.id, record) for record in self.records()]

    def records(self) -> list[LocalModel]:
        return [record for record in self._manager.list_models() if record.path is not None]

    async def find(self, name: str) -> Served:
        """Raises :class:`ModelNotFoundError` with names that look similar."""
        return await asyncio.to_thread(self.look_up, name)

    def check_name(self, name: str) -> None:
        """Raises :class:`RequestRefusedError` for what can be no model's name, and would only fill logs and messages."""
        most = self._settings.limits.name_characters
        if len(name) > most:
            raise RequestRefusedError(
                400,
                f"The model's name has {len(name)} characters; {most} are allowed (limits.name_characters).",
                code="bad_name",
                param="model",
            )
        if not name.isprintable():
            raise RequestRefusedError(400, "A model's name has no control characters.", code="bad_name", param="model")

    def look_up(self, name: str) -> Served:
        if (options := self._settings.models.get(name)) is not None:
            return self._served(name, options)
        records = {record.id: record for record in self.records()}
        record = records.get(name)
        if record is None:
            last = [item for item in records.values() if item.id.rpartition("/")[2] == name.lower()]
            record = last[0] if len(last) == 1 else self._by_reference(name)
        return Served(record.id, record.id, record)

    def default(self) -> str:
        """The name of what answers where a request names none."""
        return self.choice().model

    def choice(self) -> Choice:
        """:func:`choose_model`'s, looked for again when other models are here: by free memory alone, a model that is loaded
        would seem not to fit."""
        here = frozenset(record.id for record in self.records())
        if self._chosen is None or self._chosen[0] != here:
            loaded = {name for name in self._loaded() if name in here}
            self._chosen = here, choose_model(self._settings, self._manager, loaded=loaded)
        return self._chosen[1]

    def owned(self, name: str) -> Served:
        """A model in this process that the owner named, or that was chosen; it may be a path."""
        if name in self._settings.models or name != self._settings.model:
            return self.look_up(name)
        record = self._manager.find(name)
        self._manager.resolve(name)
        return Served(record.id, record.id, record)

    def is_elsewhere(self, name: str) -> bool:
        """Whether a name is that of another backend's model: a daemon's, a configured endpoint's, a plug-in's."""
        return split_reference(name, self._settings) is not None

    def place_of(self, name: str) -> str | None:
        """The id of another backend's model that a name means: its own, or what a served name stands for. ``None`` where a
        client may not choose among the models of that backend, unless the owner's settings name this one."""
        if (options := self._settings.models.get(name)) is not None:
            name = options.model
        elif (
            (found := split_reference(name, self._settings)) is not None
            and not clients_may_name(found[0], self._settings)
            and name not in self._named()
        ):
            return None
        return name if self.is_elsewhere(name) else None

    def _named(self) -> set[str]:
        """What the owner's settings name as models, under whatever name."""
        switcher = self._settings.switcher
        served = (options.model for options in self._settings.models.values())
        return {*served, self._settings.model or "", *switcher.fallbacks, *switcher.targets}

    def elsewhere(self) -> dict[str, str]:
        """Names of configured models that are not in this process, each with its id."""
        switcher = self._settings.switcher
        named = [*self._settings.models, self._settings.model or "", *switcher.fallbacks, *switcher.targets]
        if self._chosen is not None:
            named.append(self._chosen[1].model)
        return {name: place for name in dict.fromkeys(named) if (place := self.place_of(name)) is not None}

    def check(self) -> None:
        """Raises what is wrong with the models that the owner named as the default and as those that stand in.

        Served names are left alone: a server may start before they are fetched.
        """
        if self._settings.model is not None and self.place_of(self._settings.model) is None:
            self.owned(self._settings.model)
        for name in self._settings.switcher.fallbacks:
            if self.place_of(name) is not None:
                continue
            if name in self._settings.models:
                self.look_up(name)
            else:
                self._manager.resolve(name)
        for name, options in self._settings.models.items():
            own = options.model_dump(exclude={"model", "preload"}, exclude_none=True)
            if own and self.is_elsewhere(options.model):
                raise SettingsError(
                    f"models.{name} sets {', '.join(own)} for {options.model}, which is not loaded here.",
                    hint="Set it where that model runs.",
                )

    def _served(self, name: str, options: ServedModelSettings) -> Served:
        record = self._manager.find(options.model)
        self._manager.resolve(options.model)
        own = options.model_dump(exclude={"model", "preload"}, exclude_none=True)
        return Served(name, name if own else record.id, record, options if own else None)

    def _by_reference(self, name: str) -> LocalModel:
        try:
            record = self._manager.get_model(name)
        except ModelNotFoundError as error:
            near = [item for item in self.elsewhere() if item.rpartition("/")[2] == name]  # its name, but not its place
            near += difflib.get_close_matches(name, self._settings.models, n=2, cutoff=0.5)
            near += [item for item in error.near if item not in near]
            if near:
                raise ModelNotFoundError(f"The model {name!r} is not here.", near=near[:3]) from None
            here = [*self._settings.models, *(item.id for item in self.records())][:_SHOWN]
            hint = f"Here: {', '.join(here)}; GET /v1/models has all." if here else error.hint
            raise ModelNotFoundError(f"The model {name!r} is not here.", hint=hint) from None
        if record.path is None or record.state is not ModelState.AVAILABLE:
            raise ModelNotFoundError(f"The model {name!r} has no file here.", hint="GET /v1/models lists what is here.")
        return record
