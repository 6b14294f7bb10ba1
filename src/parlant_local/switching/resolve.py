"""Model ids resolved to targets."""

from __future__ import annotations

from collections.abc import Callable

from parlant_local.backends.base import Backend
from parlant_local.backends.context import BackendContext
from parlant_local.backends.described import digest_of, info_of_record
from parlant_local.backends.referring import place, split_reference
from parlant_local.backends.registry import IN_PROCESS, create_backend
from parlant_local.catalog import LocalModelManager
from parlant_local.catalog.adapters import Adapted
from parlant_local.catalog.scores import scores
from parlant_local.errors import ConfigurationError
from parlant_local.observability import Logger, NullLogger
from parlant_local.settings import Settings, TargetSettings
from parlant_local.switching.targets import Target

__all__ = ["TargetResolver"]


class TargetResolver:
    """``<prefix>/<name>``, where the prefix is a backend's (``ollama``, ``openai``, a plug-in's) or a configured endpoint's;
    else whatever the catalogue knows.

    Nothing is opened or loaded here; an unknown id raises at once.
    """

    def __init__(
        self, settings: Settings, *, manager: LocalModelManager | None = None, logger: Logger | None = None
    ) -> None:
        self._settings = settings
        self._manager = manager
        self._logger = logger or NullLogger()

    @property
    def manager(self) -> LocalModelManager:
        if self._manager is None:
            self._manager = LocalModelManager(settings=self._settings, logger=self._logger)
        return self._manager

    @property
    def allow_remote(self) -> bool:
        return self._settings.switcher.allow_cloud != "never" and not self._settings.offline

    def target(self, model: str, *, chat_format: str | None = None) -> Target:
        """``chat_format``: another template for a model that this process runs; other backends apply their own.

        Raises :class:`ModelNotFoundError` (naming near misses), :class:`SettingsError`, :class:`ConfigurationError`.
        """
        if (placed := split_reference(model, self._settings)) is None:
            found = self.manager.find_adapted(model)
            placed = split_reference(found.record.id, self._settings) if found.record.path is None else None
            if placed is None:
                return self._local(model, found, chat_format)
        if chat_format is not None:
            raise ConfigurationError(f"{model} does not run in this process, so its chat format can't be set.")
        prefix, name = placed
        elsewhere = place(name, BackendContext(prefix, self._settings, self._logger, self.allow_remote))
        info = elsewhere.info
        score = self._score(lambda: info.id)
        return Target(info.id, elsewhere.open, remote=info.remote, info=info, facts=self._facts(info.id), score=score)

    def _local(self, model: str, found: Adapted, chat_format: str | None) -> Target:
        self.manager.resolve_adapted(model)  # raises, with the next step, for an incomplete model
        settings, manager, logger = self._settings, self.manager, self._logger

        def open_() -> Backend:
            linger = settings.engine.linger_seconds
            return create_backend(
                IN_PROCESS,
                model=model,
                chat_format=chat_format,
                settings=settings,
                manager=manager,
                logger=logger,
                linger=linger,
            )

        info = info_of_record(found.record, id=found.id)
        score = self._score(lambda: digest_of(found.record, found.on(settings.engine)) or info.id)
        return Target(info.id, open_, in_process=True, info=info, facts=self._facts(info.id), score=score)

    def _score(self, identity: Callable[[], str]) -> float | None:
        """``identity`` may have files to hash: only where anything was examined."""
        known = scores(self._settings.home, self._logger)
        found = known.get(identity()) if known else None
        return None if found is None else found.score

    def _facts(self, model: str) -> TargetSettings:
        return self._settings.switcher.targets.get(model, TargetSettings())
