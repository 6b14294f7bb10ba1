"""What the verbs of the catalogue have in common: its options, and the manager that they make."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from parlant_local.catalog import LocalModelManager

__all__ = ["SOURCES", "TYPES", "catalogue_options", "make_manager"]

F = TypeVar("F", bound=Callable[..., Any])

TYPES = click.Choice(["llama", "deepseek", "qwen", "mistral", "gemma", "phi", "embedding", "other"])
SOURCES = click.Choice(["huggingface", "ollama", "gguf", "custom"])

_OPTIONS = (
    click.option("--models-dir", type=click.Path(file_okay=False), metavar="DIR", help="Where models are kept."),
    click.option("--offline", is_flag=True, help="Never open a socket (HF_HUB_OFFLINE=1 does the same)."),
    click.option("--config", metavar="FILE", help="Settings file (YAML or TOML)."),
    click.option("--json", "as_json", is_flag=True, help="Print data as JSON."),
)


def catalogue_options(command: F) -> F:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def make_manager(
    models_dir: str | None, offline: bool, config: str | None, level: str = "warning"
) -> LocalModelManager:
    from parlant_local.catalog import LocalModelManager
    from parlant_local.observability import ConsoleLogger
    from parlant_local.settings import load_settings

    settings = load_settings(config, {"models_dir": models_dir, "offline": offline or None})
    logger = ConsoleLogger("debug" if settings.log_level == "debug" else level)  # type: ignore[arg-type]  # a literal
    return LocalModelManager(logger, settings=settings)
