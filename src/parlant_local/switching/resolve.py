"""Model ids turned into targets."""

from __future__ import annotations

from collections.abc import Callable

from parlant_local.backends.addresses import is_remote
from parlant_local.backends.base import Backend, ModelInfo
from parlant_local.backends.described import info_of_record
from parlant_local.catalog import LocalModelManager
from parlant_local.errors import ConfigurationError
from parlant_local.observability import Logger, NullLogger
from parlant_local.settings import EndpointSettings, Settings, TargetSettings
from parlant_local.switching.targets import Target

__all__ = ["TargetResolver"]

_REMOTE_CAPABILITIES = frozenset({"chat", "schema", "tools", "streaming", "embed", "complete"})


class TargetResolver:
    """``ollama/<name:tag>``, ``<endpoint>/<model>`` (``openai`` always is one), else whatever the catalogue knows.

    Nothing is opened or loaded here; an id that means nothing is an error at once.
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

    def target(self, model: str) -> Target:
        """Raises :class:`ModelNotFoundError` (naming near misses), :class:`SettingsError`, :class:`ConfigurationError`."""
        place, slash, name = model.partition("/")
        if slash and name and place == "ollama":
            return self._ollama(name)
        if slash and name and (place == "openai" or place in self._settings.endpoints):
            return self._endpoint(place, name)
        return self._local(model)

    def _facts(self, model: str) -> TargetSettings:
        return self._settings.switcher.targets.get(model, TargetSettings())

    def _ollama(self, name: str) -> Target:
        from parlant_local.backends.ollama import OllamaBackend

        settings = self._settings.ollama

        def open_() -> Backend:
            return OllamaBackend(
                name,
                host=settings.host,
                num_ctx=settings.num_ctx,
                keep_alive=settings.keep_alive,
                timeout=self._settings.engine.stall_seconds,
                allow_remote=self.allow_remote,
                logger=self._logger,
            )

        probe = open_()  # cheap: it connects at the first call
        return self._target(probe.model_info(), open_)

    def _endpoint(self, place: str, name: str) -> Target:
        from parlant_local.backends.openai import OpenAIBackend

        endpoint = self._settings.endpoints.get(place)
        if endpoint is None:  # OpenAI itself, by its own environment variables

            def open_() -> Backend:
                return OpenAIBackend(name, allow_remote=self.allow_remote, logger=self._logger)

            return self._target(open_().model_info(), open_)
        return self._configured(place, endpoint, name)

    def _configured(self, place: str, endpoint: EndpointSettings, name: str) -> Target:
        from parlant_local.backends.openai import OpenAIBackend

        origin = self._settings.origin(f"endpoints.{place}.api_key")
        if endpoint.api_key is not None and ("/" in origin or "\\" in origin or "." in origin):
            raise ConfigurationError(
                f"The key of the endpoint {place!r} stands in {origin}; keys never stand in settings files.",
                hint=f"Name a variable with endpoints.{place}.api_key_env, or a file with api_key_file.",
            )

        def open_() -> Backend:
            return OpenAIBackend.from_endpoint(
                place, endpoint, name, allow_remote=self.allow_remote, logger=self._logger
            )

        info = ModelInfo(
            id=f"{place}/{name}",
            name=name,
            n_ctx=endpoint.n_ctx,
            remote=is_remote(endpoint.base_url),
            capabilities=_REMOTE_CAPABILITIES,
        )
        return self._target(info, open_)

    def _local(self, model: str) -> Target:
        record = self.manager.find(model)
        if record.path is None and record.id.startswith("ollama/"):
            return self._ollama(record.id.removeprefix("ollama/"))
        self.manager.resolve(model)  # says what to do about a model that is not whole
        settings, manager, logger = self._settings, self.manager, self._logger

        def open_() -> Backend:
            from parlant_local.backends.llama_cpp import LlamaCppBackend

            linger = settings.engine.linger_seconds
            return LlamaCppBackend(model=model, settings=settings, manager=manager, logger=logger, linger=linger)

        return self._target(info_of_record(record), open_, in_process=True)

    def _target(self, info: ModelInfo, open_: Callable[[], Backend], *, in_process: bool = False) -> Target:
        facts = self._facts(info.id)
        return Target(info.id, open_, remote=info.remote, in_process=in_process, info=info, facts=facts)
