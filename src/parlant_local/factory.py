"""Services by name, and the one that the settings describe."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from parlant_local.errors import ParlantLocalError
from parlant_local.observability import Logger, with_standard_logging
from parlant_local.registry import Registry
from parlant_local.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from lagom import Container
    from parlant.core.nlp.service import NLPService

    from parlant_local.backends.base import Backend
    from parlant_local.backends.choice import Choice
    from parlant_local.catalog import LocalModelManager

__all__ = ["SERVICES", "NLPServiceFactory", "model_backend", "nlp_service"]

SERVICES: Registry[Callable[..., NLPService]] = Registry("service")
SERVICES.register("llama", "parlant_local.nlp:LlamaService")
SERVICES.register("deepseek", "parlant_local.nlp:DeepSeekService")
SERVICES.register("ollama", "parlant_local.nlp:OllamaService")
SERVICES.register("openai", "parlant_local.nlp:OpenAIService")
SERVICES.register("model_switcher", "parlant_local.nlp:ModelSwitcher")


class NLPServiceFactory:
    """Makes services that share one catalogue, one logger and one set of settings."""

    def __init__(
        self,
        *,
        logger: Logger | None = None,
        model_manager: LocalModelManager | None = None,
        settings: Settings | None = None,
        container: Container | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.logger: Logger = with_standard_logging(logger, self.settings.log_level)
        self._manager = model_manager
        self._container = container

    @property
    def model_manager(self) -> LocalModelManager:
        if self._manager is None:
            from parlant_local.catalog import LocalModelManager

            self._manager = LocalModelManager(logger=self.logger, settings=self.settings)
        return self._manager

    async def initialize(self) -> None:
        """Reads the catalogue. No network."""
        await self.model_manager.initialize()

    @staticmethod
    def register(name: str, factory: str | Callable[..., NLPService]) -> None:
        """Adds a service: a callable, or ``"package.module:attribute"``, that takes the arguments of
        :class:`LocalNLPService`'s family members."""
        SERVICES.register(name, factory)

    async def create_service(self, name: str, **arguments: Any) -> NLPService:
        """The service of this name; an unknown one is a :class:`ConfigurationError` that lists the known ones.

        What is not given comes from the settings; the model, too, by the rules of :func:`choose_model`.
        """
        factory = SERVICES.get(name)
        return await asyncio.to_thread(self._create, name, factory, arguments)

    async def create_default_service(self) -> NLPService:
        """The service that the settings describe; the chosen model, and why, is logged."""
        return await asyncio.to_thread(self.default_service)

    def default_service(self) -> NLPService:
        """:meth:`create_default_service` for callers that can't await, such as the host's factory call."""
        choice = self._choose()
        return self._create(self._kind(choice.model), None, {"model": choice.model})

    def _choose(self) -> Choice:
        from parlant_local.switching import choose_model

        return self._announce(choose_model(self.settings, self.model_manager))

    def _announce(self, choice: Choice) -> Choice:
        self.logger.info(f"Using {choice.model}: {choice.reason}.")
        if choice.notice:
            self.logger.warning(f"{choice.model}: {choice.notice}")
        return choice

    def _kind(self, model: str) -> str:
        """A single local GGUF is used directly; everything else goes through the switcher."""
        from parlant_local.switching import TargetResolver

        if self.settings.switcher.fallbacks:
            return "model_switcher"
        resolver = TargetResolver(self.settings, manager=self.model_manager)
        return "llama" if resolver.target(model).in_process else "model_switcher"

    def _create(self, name: str, factory: Callable[..., NLPService] | None, given: dict[str, Any]) -> NLPService:
        from parlant_local.nlp.host import configuration_error

        arguments = {"settings": self.settings, "logger": self.logger, "container": self._container, **given}
        if arguments["container"] is not None and "logger" not in given:
            del arguments["logger"]  # the host's own is in its container
        if name in ("llama", "deepseek", "model_switcher"):
            arguments.setdefault("model_manager", self.model_manager)
            model = arguments.pop("model", None)
            key = "default_model_id" if name == "model_switcher" else "model_id"
            if model is not None:
                arguments.setdefault(key, model)
            if name == "llama" and not arguments.keys() & {"model_id", "model_path"}:
                arguments["model_id"] = self._choose_gguf()
            if name == "model_switcher" and key not in arguments and not self.settings.model:
                arguments[key] = self._choose().model
        try:
            return (factory or SERVICES.get(name))(**arguments)
        except ParlantLocalError as error:
            raise configuration_error(error) from error

    def _choose_gguf(self) -> str:
        from parlant_local.backends.choice import choose_local

        return self._announce(choose_local(self.settings, self.model_manager)).model


def nlp_service(container: Container, *, settings: Settings | None = None) -> NLPService:
    """For ``p.Server(nlp_service=parlant_local.nlp_service)``: the service that the settings describe.

    It looks at files and asks a daemon on this machine at most, but loads nothing: the host calls it on its event loop.
    """
    from parlant.core.loggers import Logger as HostLogger

    from parlant_local.nlp.host import configuration_error

    try:
        logger = container[HostLogger]  # type: ignore[type-abstract]  # lagom resolves interfaces
        return NLPServiceFactory(logger=logger, settings=settings, container=container).default_service()
    except ParlantLocalError as error:
        raise configuration_error(error) from error


def model_backend(settings: Settings) -> tuple[str, Backend]:
    """Id and backend of the agent's model, not loaded yet."""
    from parlant_local.catalog import LocalModelManager
    from parlant_local.switching import choose_model
    from parlant_local.switching.opening import open_model

    return open_model(choose_model(settings, LocalModelManager(settings=settings)).model, settings)
