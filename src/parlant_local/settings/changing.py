"""One setting changed in the settings file: comments stay, the result is checked, and the file is replaced as a whole."""

from __future__ import annotations

import io
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from parlant_local.errors import SettingsError, StateFileError
from parlant_local.settings.files import parse_settings, read_settings_file
from parlant_local.settings.layers import config_path
from parlant_local.settings.lookup import is_secret
from parlant_local.settings.tree import Settings, default_file
from parlant_local.storage import locked, read_text, write_whole

__all__ = ["change_setting", "settings_file"]

_MAX_BYTES = 1024 * 1024
_LOCK_SECONDS = 10.0


def settings_file(config: Path | str | None = None) -> Path:
    """The file that is read, or that would be if it were there."""
    found = config_path(config, default_file)
    return found[0] if found is not None else default_file()


def change_setting(config: Path | str | None, key: str, value: str | None) -> Path:
    """Sets ``key`` to what ``value`` means as YAML, or removes it; returns the file, which is created if need be.

    Raises :class:`SettingsError`, and leaves the file as it was, for a value that is not valid, a file in which comments
    could not be kept, and a secret, which does not belong there.
    """
    path = settings_file(config)
    if path.suffix.lower() == ".toml":
        raise SettingsError(f"{path} is TOML, which is not changed from here.", hint=f"Edit it: {key}")
    if is_secret(key):
        variable = f"PARLANT_LOCAL_{key.upper().replace('.', '__')}"
        raise SettingsError(f"{key} is a secret, and does not belong in a file.", hint=f"Set {variable}.")
    new = None if value is None else _parsed(key, value)
    try:
        with locked(default_file().with_name("config.lock"), _LOCK_SECONDS):
            _change(path, key, new, remove=value is None)
    except TimeoutError as error:
        raise SettingsError(f"{path} can't be changed: {error}.", hint="Try again.") from None
    except StateFileError as error:
        raise SettingsError(str(error)) from None
    return path


def _parsed(key: str, value: str) -> Any:
    try:
        return yaml.safe_load(value)
    except (yaml.YAMLError, ValueError) as error:
        raise SettingsError(f"The value of {key} is not YAML: {' '.join(str(error).split())[:200]}.") from None


def _change(path: Path, key: str, value: Any, *, remove: bool) -> None:
    text = read_text(path, _MAX_BYTES) if path.exists() else ""
    data = read_settings_file(path, "its name") if text else {}

    def edit(tree: MutableMapping[str, Any]) -> None:
        if remove:
            _remove(tree, key)
        else:
            _put(tree, key, value)

    edit(data)
    Settings.model_validate({}, context={"config": path, "content": data})
    new = _rewritten(path, text, edit)
    if parse_settings(new, path) != data:
        raise SettingsError(f"{path} can't be changed without losing something of it.", hint=f"Edit it: {key}")
    write_whole(path, new)


def _rewritten(path: Path, text: str, edit: Callable[[MutableMapping[str, Any]], None]) -> str:
    """``text`` with one change; its comments, order and quotes stay."""
    keeper = YAML()
    keeper.preserve_quotes = True
    keeper.width = 10_000
    try:
        tree = keeper.load(text)
        if any(True for token in yaml.scan(text) if isinstance(token, yaml.AliasToken)):
            raise SettingsError(f"{path} uses YAML aliases, which are not changed from here.", hint="Edit it.")
        tree = CommentedMap() if tree is None else tree
        edit(tree)
        out = io.StringIO()
        if tree:
            keeper.dump(tree, out)
    except YAMLError as error:
        raise SettingsError(f"{path} can't be changed: {' '.join(str(error).split())[:200]}.") from None
    return out.getvalue()


def _put(tree: MutableMapping[str, Any], key: str, value: Any) -> None:
    *parents, leaf = key.split(".")
    for parent in parents:
        if not isinstance(tree.get(parent), MutableMapping):
            tree[parent] = {}
        tree = tree[parent]
    tree[leaf] = value


def _remove(tree: MutableMapping[str, Any], key: str) -> None:
    first, _, rest = key.partition(".")
    if first not in tree:
        raise SettingsError(f"{key} is not set in the file.")
    if not rest:
        del tree[first]
        return
    if not isinstance(tree[first], MutableMapping):
        raise SettingsError(f"{rest} is not set in the file.")
    _remove(tree[first], rest)
    if not tree[first]:
        del tree[first]
