"""The other models that a service needs beside the one that thinks: for embedding, for guarding, for moderating."""

from __future__ import annotations

from typing import TypedDict

from lagom import Container
from parlant.core.loggers import Logger as HostLogger
from parlant.core.meter import Meter
from parlant.core.tracer import Tracer

from parlant_local.backends.base import Backend
from parlant_local.backends.openai import OpenAIBackend
from parlant_local.errors import CloudNotAllowedError
from parlant_local.nlp.host import Host
from parlant_local.observability import Logger
from parlant_local.settings import Settings
from parlant_local.switching import RoutedBackend, Target, TargetResolver, TokenBudget

__all__ = [
    "Collaborators",
    "embedding_backend",
    "guard_backend",
    "host_logger",
    "openai_moderator",
    "remote_budget",
    "routed",
]

_MODERATION_MODEL = "omni-moderation-latest"


class Collaborators(TypedDict, total=False):
    """What a service may be given beside its model: other models, and the host's own parts."""

    embedding_backend: Backend | None
    guard_backend: Backend | None
    logger: Logger | HostLogger | None
    tracer: Tracer | None
    meter: Meter | None
    container: Container | None


def host_logger(collaborators: Collaborators) -> HostLogger:
    """The logger that a service made with these arguments is going to have; put among them, so that it is made once."""
    host = Host(
        logger=collaborators.get("logger"),
        tracer=collaborators.get("tracer"),
        meter=collaborators.get("meter"),
        container=collaborators.get("container"),
    )
    collaborators["logger"] = host.logger
    return host.logger


def remote_budget(settings: Settings, logger: Logger | None) -> TokenBudget:
    """The ledger that every service of this home shares."""
    return TokenBudget(settings.switcher.budget, settings.home / "remote-tokens.json", logger=logger)


def routed(targets: list[Target], settings: Settings, logger: Logger | None) -> RoutedBackend:
    """``targets`` behind the rules that the settings have for them; a single one gets permission and breaker as well."""
    return RoutedBackend(
        targets,
        settings=settings.switcher,
        budget=remote_budget(settings, logger),
        offline=settings.offline,
        logger=logger,
    )


def embedding_backend(settings: Settings, resolver: TargetResolver, logger: Logger | None) -> Backend | None:
    """The configured embedding model, or ``None`` for the lexical embedder."""
    return _single(settings.embedding.model, settings, resolver, logger)


def guard_backend(settings: Settings, resolver: TargetResolver, logger: Logger | None) -> Backend | None:
    """The configured guard model, if any."""
    return _single(settings.moderation.model, settings, resolver, logger)


def _single(model: str | None, settings: Settings, resolver: TargetResolver, logger: Logger | None) -> Backend | None:
    if model is None:
        return None
    target = resolver.target(model)
    # Alone, with no rules to apply, a model of this machine needs nothing between it and its caller.
    return routed([target], settings, logger) if target.remote else target.open()


def openai_moderator(settings: Settings, logger: Logger | None) -> RoutedBackend:
    """OpenAI's moderation endpoint (or the endpoint named ``openai``), where the owner allows it."""
    allowed = settings.switcher.allow_cloud != "never" and not settings.offline
    endpoint = settings.endpoints.get("openai")

    def open_() -> Backend:
        if endpoint is not None:
            return OpenAIBackend.from_endpoint(
                "openai", endpoint, _MODERATION_MODEL, allow_remote=allowed, logger=logger
            )
        return OpenAIBackend(_MODERATION_MODEL, allow_remote=allowed, logger=logger)

    info = open_().model_info()
    if info.remote and not allowed:
        raise CloudNotAllowedError(
            "moderation.mode=openai would send customers' messages to OpenAI, and nobody allowed that.",
            hint="Set PARLANT_LOCAL_SWITCHER__ALLOW_CLOUD=always, or moderation.mode=model with a guard model.",
        )
    return routed([Target(info.id, open_, remote=info.remote, info=info)], settings, logger)
