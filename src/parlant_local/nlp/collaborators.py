"""The other models of a service: embedding, guard and moderation."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from lagom import Container
from parlant.core.loggers import Logger as HostLogger
from parlant.core.meter import Meter
from parlant.core.tracer import Tracer

from parlant_local.backends.base import Backend
from parlant_local.backends.registry import IN_PROCESS, create_backend
from parlant_local.catalog import LocalModelManager
from parlant_local.errors import CloudNotAllowedError
from parlant_local.nlp.embedder_choice import LEXICAL
from parlant_local.nlp.host import Host
from parlant_local.observability import Logger
from parlant_local.settings import Settings
from parlant_local.switching import RoutedBackend, TargetResolver
from parlant_local.switching.opening import open_target, routed

__all__ = ["Collaborators", "embedding_backend", "gguf_backend", "guard_backend", "host_logger", "openai_moderator"]

_MODERATION_MODEL = "omni-moderation-latest"


class Collaborators(TypedDict, total=False):
    """What a service may be given besides its model: other models, and the host's components."""

    embedding_backend: Backend | None
    guard_backend: Backend | None
    logger: Logger | HostLogger | None
    tracer: Tracer | None
    meter: Meter | None
    container: Container | None


def host_logger(collaborators: Collaborators) -> HostLogger:
    """The logger of a service created with these arguments; added to them, so that it is created once."""
    host = Host(
        logger=collaborators.get("logger"),
        tracer=collaborators.get("tracer"),
        meter=collaborators.get("meter"),
        container=collaborators.get("container"),
    )
    collaborators["logger"] = host.logger
    return host.logger


def gguf_backend(reference: str | Path, settings: Settings, manager: LocalModelManager | None = None) -> Backend:
    """The engine over a catalogue id, a reference or a GGUF path. Resolves it but loads nothing; names near misses."""
    manager = manager or LocalModelManager(settings=settings)
    manager.resolve_adapted(reference)
    return create_backend(
        IN_PROCESS, model_path=reference, settings=settings, manager=manager, linger=settings.engine.linger_seconds
    )


def embedding_backend(settings: Settings, resolver: TargetResolver, logger: Logger | None) -> Backend | None:
    """The configured embedding model; ``None`` for the lexical embedder, and for the default one."""
    model = settings.embedding.model
    return _single(None if model == LEXICAL else model, settings, resolver, logger)


def guard_backend(settings: Settings, resolver: TargetResolver, logger: Logger | None) -> Backend | None:
    """The configured guard model, if any."""
    return _single(settings.moderation.model, settings, resolver, logger)


def _single(model: str | None, settings: Settings, resolver: TargetResolver, logger: Logger | None) -> Backend | None:
    return None if model is None else open_target(resolver.target(model), settings, logger)


def openai_moderator(settings: Settings, logger: Logger | None) -> RoutedBackend:
    """OpenAI's moderation endpoint (or the endpoint named ``openai``), where the owner allows it."""
    resolver = TargetResolver(settings, logger=logger)
    target = resolver.target(f"openai/{_MODERATION_MODEL}")
    if target.remote and not resolver.allow_remote:
        raise CloudNotAllowedError(
            "moderation.mode=openai would send customers' messages to OpenAI, and sending prompts off this machine is disabled.",
            hint="Set PARLANT_LOCAL_SWITCHER__ALLOW_CLOUD=always, or moderation.mode=model with a guard model.",
        )
    target.open()  # fails now if the key is missing
    return routed([target], settings, logger)
