"""Settings by their dotted keys."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, get_args, get_origin

from pydantic import BaseModel, SecretStr

from parlant_local.errors import SettingsError
from parlant_local.settings.tree import Settings

__all__ = ["is_secret", "key_named", "leaf_keys", "value_of"]

_SECRET = re.compile(r"key|token|secret|password", re.IGNORECASE)


def leaf_keys(section: type[BaseModel] = Settings, prefix: str = "") -> Iterator[str]:
    """Every key that has a value; of mappings from names only the mapping itself."""
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from leaf_keys(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def key_named(key: str) -> str:
    """``key``, if there is such a setting. Raises :class:`SettingsError` with the nearest."""
    if _annotation(key) is None:
        known = list(leaf_keys())
        near = get_close_matches(key, known, 1, 0.6) or [each for each in known if each.endswith(f".{key}")]
        raise SettingsError(
            f"There is no setting {key!r}.",
            hint=f"Did you mean {near[0]}?" if near else "`parlant-local config show --all` lists them.",
        )
    return key


def value_of(settings: Settings, key: str) -> Any:
    """Plain data, secrets hidden."""
    value: Any = settings.model_dump(mode="json")
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return _masked(value, key)


def _masked(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        return {name: _masked(below, f"{key}.{name}") for name, below in value.items()}
    return "***" if value is not None and is_secret(key) else value


def is_secret(key: str) -> bool:
    """Whether a value must not be shown: declared so, or a plug-in's that looks like it."""
    if key.startswith("plugins."):
        return _SECRET.search(key) is not None
    annotation = _annotation(key)
    return SecretStr in (annotation, *get_args(annotation))


def _annotation(key: str) -> Any:
    """The type of a key's value; below mappings any name will do. None where there is no such key."""
    found: Any = Settings
    for part in key.split("."):
        if not part:
            return None
        if isinstance(found, type) and issubclass(found, BaseModel):
            field = found.model_fields.get(part)
            found = None if field is None else field.annotation
        else:
            found = get_args(found)[1] if get_origin(found) is dict else Any if found is Any else None
        if found is None:
            return None
    return found
