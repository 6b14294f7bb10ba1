"""``config``: settings shown, and changed in the settings file."""

from __future__ import annotations

from pathlib import Path

import click

from parlant_local.cli.printing import emit_json, say
from parlant_local.paths import exists
from parlant_local.settings import Settings
from parlant_local.settings.changing import change_setting, settings_file
from parlant_local.settings.lookup import key_named, leaf_keys, value_of

__all__ = ["config"]

_CONFIG = click.option("--config", metavar="FILE", help="Settings file (YAML or TOML).")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print data as JSON.")


def _keys(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    return [key for key in leaf_keys() if key.startswith(incomplete)]


_KEY = click.argument("key", shell_complete=_keys)


@click.group(subcommand_metavar="show | path | get | set | unset")
def config() -> None:
    """Show settings, and change them in the settings file.

    Command line, environment (PARLANT_LOCAL_…) and file are read in this order; `show --origins` tells which one a value comes from.
    """


@config.command()
@click.option("--origins", is_flag=True, help="Also show where each value comes from.")
@click.option("--all", "everything", is_flag=True, help="Also show what has its default.")
@_CONFIG
@_JSON
def show(origins: bool, everything: bool, config: str | None, as_json: bool) -> None:
    """Show the settings that differ from their defaults."""
    settings = Settings.load(config)
    keys = list(leaf_keys()) if everything else []
    keys += [key for key in settings.origins if key not in keys]
    if as_json:
        emit_json({key: {"value": value_of(settings, key), "origin": settings.origin(key)} for key in keys})
        return
    for key in keys:
        say(f"{key}: {_plain(value_of(settings, key))}" + (f"   (from {settings.origin(key)})" if origins else ""))
    if not keys:
        say("Every setting has its default; --all shows them.")


@config.command()
@_CONFIG
def path(config: str | None) -> None:
    """Print which settings file is read, and changed."""
    file = settings_file(config)
    say(str(file))
    if not exists(file):
        say("It does not exist; `parlant-local config set` creates it.", err=True)


@config.command()
@_KEY
@_CONFIG
@_JSON
def get(key: str, config: str | None, as_json: bool) -> None:
    """Print the value of a setting."""
    settings = Settings.load(config)
    value = value_of(settings, key_named(key))
    if as_json:
        emit_json(value)
    else:
        say(_plain(value))


@config.command("set")
@_KEY
@click.argument("value")
@_CONFIG
def set_(key: str, value: str, config: str | None) -> None:
    """Set a setting in the file: VALUE is YAML, as it would stand there. Checked before it is written."""
    known = key_named(key)
    file = change_setting(config, known, value)
    say(f"{known} is {_plain(value_of(Settings.load(config), known))} (in {file}).")
    _warn_if_hidden(known, file, config)


@config.command()
@_KEY
@_CONFIG
def unset(key: str, config: str | None) -> None:
    """Remove a setting from the file, which returns it to its default."""
    known = key_named(key)
    file = change_setting(config, known, None)
    say(f"{known} is no longer set in {file}.")
    _warn_if_hidden(known, file, config)


def _warn_if_hidden(key: str, file: Path, config: str | None) -> None:
    origin = Settings.load(config).origin(key)
    if origin not in ("default", str(file)):
        say(f"warning: {origin} overrides it.", err=True)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple | dict):
        from parlant_local.observability import printable_json

        return printable_json(value)
    return "null" if value is None else str(value)
