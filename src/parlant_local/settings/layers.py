"""The layers of settings: arguments over environment over one file over defaults, with each value's origin."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_settings import EnvSettingsSource

from parlant_local.errors import SettingsError
from parlant_local.paths import is_file, user_path
from parlant_local.settings.files import read_settings_file

__all__ = ["ENV_PREFIX", "Layers", "config_path", "describe_errors", "merged"]

ENV_PREFIX = "PARLANT_LOCAL_"
_MAX_SHOWN_CHARS = 100
_CONFIG_VARIABLES = ("PARLANT_LOCAL_CONFIG", "CONFIG_PATH")


def config_path(
    argument: Path | str | None = None, default: Callable[[], Path] | None = None
) -> tuple[Path, str] | None:
    """The settings file to read and what named it, or None. ``default``: the one that is read where nothing names another."""
    if argument is not None:
        return user_path(argument), "--config"
    for name in _CONFIG_VARIABLES:
        if value := os.environ.get(name):
            return user_path(value), name
    if default is not None and is_file(path := default()):
        return path, "the home"
    return None


@dataclass(frozen=True, slots=True)
class Layers:
    """Values of all layers, the upper over the lower, and the origin of each by its dotted key."""

    values: dict[str, Any]
    origins: dict[str, str]


def merged(
    model: type[BaseModel],
    arguments: Mapping[str, object],
    config: Path | str | None,
    *,
    default: Callable[[], Path] | None = None,
    content: dict[str, Any] | None = None,
) -> Layers:
    """The layers for ``model``. ``arguments``: dotted keys (``engine.n_ctx``), nested mappings or sections. ``default``: the file
    that is read where nothing names one. ``content``: of the file, which then is not read.

    Raises :class:`SettingsError` for a file or a variable that can't be read.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    if (found := config_path(config, default)) is not None:
        path, named_by = found
        known = read_settings_file(path, named_by) if content is None else content
        _merge(values, origins, known, lambda _key: str(path))
    _merge(values, origins, _read_environment(model), _variable_of)
    _merge(values, origins, _nest(arguments), lambda _key: "argument")
    return Layers(values, origins)


def _read_environment(model: type[BaseModel]) -> dict[str, Any]:
    known = set(model.model_fields)
    for name in os.environ:
        if name.upper().startswith(ENV_PREFIX) and name not in _CONFIG_VARIABLES:
            top = name[len(ENV_PREFIX) :].lower().split("__")[0]
            if top not in known:
                raise SettingsError(
                    f"The environment variable {name} is not a parlant-local setting.",
                    hint=f"Known: {', '.join(ENV_PREFIX + field.upper() for field in sorted(known))}.",
                )
    source = EnvSettingsSource(
        model,  # type: ignore[arg-type]  # any model works: the source only looks at its fields
        case_sensitive=False,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
    )
    try:
        return source()
    except Exception as error:  # pydantic-settings wraps a bad JSON value in its own SettingsError
        cause = error.__cause__ or error
        raise SettingsError(f"A {ENV_PREFIX}* environment variable can't be read: {error} ({cause}).") from None


def _variable_of(key: str) -> str:
    full = ENV_PREFIX + key.upper().replace(".", "__")
    if full in os.environ:
        return full
    # A whole section may have been given as JSON in one variable.
    return ENV_PREFIX + key.upper().split(".")[0]


def _nest(flat: Mapping[str, object]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        if value is None:
            continue
        node = nested
        *parents, leaf = key.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
        if isinstance(value, BaseModel):
            value = value.model_dump(exclude_unset=True)
        node[leaf] = value
    return nested


def _merge(
    target: dict[str, Any],
    origins: dict[str, str],
    layer: Mapping[str, Any],
    origin: Callable[[str], str],
    prefix: str = "",
) -> None:
    for key, value in layer.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, Mapping):
            node = target.setdefault(key, {})
            if isinstance(node, dict):
                _merge(node, origins, value, origin, f"{dotted}.")
                continue
        target[key] = value
        origins[dotted] = origin(dotted)


def describe_errors(error: ValidationError, model: type[BaseModel], origins: Mapping[str, str]) -> str:
    """One line with the first problems and the number of further ones."""
    problems = error.errors(include_url=False)
    lines = []
    for problem in problems[:3]:
        key = ".".join(str(part) for part in problem["loc"])
        where = origins.get(key) or next((o for k, o in origins.items() if k.startswith(key)), "argument")
        if problem["type"] == "extra_forbidden":
            near = get_close_matches(key, list(_keys(model)), 1, 0.7)
            meant = f", did you mean {near[0]!r}?" if near else ""
            lines.append(f"unknown key {key!r} (from {where}{meant})")
        else:
            lines.append(f"{key} = {_shown(key, problem['input'])} (from {where}): {problem['msg']}")
    more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
    return f"Invalid settings: {'; '.join(lines)}{more}."


def _shown(key: str, value: object) -> str:
    if key.endswith("api_key"):
        return "***"
    shown = ascii(value) if not (text := repr(value)).isprintable() else text
    return shown if len(shown) <= _MAX_SHOWN_CHARS else f"{shown[:_MAX_SHOWN_CHARS]}…"


def _keys(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield f"{prefix}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, f"{prefix}{name}.")
