"""Shared by the catalogue's verbs: their options, and the manager."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from parlant_local.catalog import LocalModelManager

    _Text = click.ParamType[str]
else:
    _Text = click.ParamType  # generic in newer versions only

__all__ = ["TYPES", "SourceChoice", "catalogue_options", "make_manager"]

F = TypeVar("F", bound=Callable[..., Any])

TYPES = click.Choice(["llama", "deepseek", "qwen", "mistral", "gemma", "phi", "embedding", "other"])


class SourceChoice(_Text):
    """The name of a source; plug-ins are only listed when one is given."""

    name = "source"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from parlant_local.catalog.sources import source_names

        if value not in (known := source_names()):
            self.fail(f"{value!r} is not one of {', '.join(map(repr, known))}.", param, ctx)
        return value

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002  # click's signature
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        from parlant_local.catalog.sources import source_names

        return [CompletionItem(name) for name in source_names() if name.startswith(incomplete)]


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
