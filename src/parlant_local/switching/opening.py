"""Backends of single models, behind the switcher's rules where these apply."""

from __future__ import annotations

from parlant_local.backends.base import Backend
from parlant_local.observability import Logger
from parlant_local.settings import Settings
from parlant_local.switching.budget import TokenBudget
from parlant_local.switching.resolve import TargetResolver
from parlant_local.switching.routed import RoutedBackend
from parlant_local.switching.targets import Target

__all__ = ["open_model", "open_target", "remote_budget", "routed"]


def open_model(
    model: str, settings: Settings, *, chat_format: str | None = None, logger: Logger | None = None
) -> tuple[str, Backend]:
    """Id and backend of whatever ``model`` names, not loaded yet."""
    target = TargetResolver(settings, logger=logger).target(model, chat_format=chat_format)
    return target.id, open_target(target, settings, logger)


def open_target(target: Target, settings: Settings, logger: Logger | None) -> Backend:
    """A single local model needs no rules, so its backend is returned as it is."""
    return routed([target], settings, logger) if target.remote else target.open()


def routed(targets: list[Target], settings: Settings, logger: Logger | None) -> RoutedBackend:
    """``targets`` behind the rules that the settings have for them; a single one gets permission and breaker as well."""
    return RoutedBackend(
        targets,
        settings=settings.switcher,
        budget=remote_budget(settings, logger),
        offline=settings.offline,
        logger=logger,
    )


def remote_budget(settings: Settings, logger: Logger | None) -> TokenBudget:
    """The budget whose ledger all processes of this home share."""
    return TokenBudget(settings.switcher.budget, settings.home / "remote-tokens.json", logger=logger)
