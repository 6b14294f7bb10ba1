"""Settings files parsed into plain data, or a :class:`SettingsError` that says what is wrong, and where."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from parlant_local.errors import SettingsError, StateFileError
from parlant_local.storage import read_text

__all__ = ["parse_settings", "read_settings_file"]

_MAX_BYTES = 1024 * 1024
_MAX_DEPTH = 32
_MAX_VALUES = 20_000


def read_settings_file(path: Path, named_by: str) -> dict[str, Any]:
    """``named_by``: the option or variable that named it, for error messages."""
    try:
        text = read_text(path, _MAX_BYTES)
    except FileNotFoundError:
        raise _unreadable(path, named_by, "No such file or directory") from None
    except StateFileError as error:
        raise _unreadable(path, named_by, error.reason) from None
    return parse_settings(text, path)


def parse_settings(text: str, path: Path) -> dict[str, Any]:
    """The content of ``path``, whose name tells its language."""
    try:
        data = _from_toml(text) if path.suffix.lower() == ".toml" else _from_yaml(text)
    except RecursionError:
        raise SettingsError(
            f"The settings file {path} is nested too deeply; {_MAX_DEPTH} levels are allowed."
        ) from None
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, OverflowError) as error:
        # Values that only look like a date or a number fail in whatever way Python's own constructors do.
        kind = "TOML" if path.suffix.lower() == ".toml" else "YAML"
        detail = " ".join(str(error).split())[:300]
        raise SettingsError(f"The settings file {path} is not valid {kind}: {detail}.") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise SettingsError(f"The settings file {path} must contain a mapping, not a {type(data).__name__}.")
    return data


def _unreadable(path: Path, named_by: str, reason: str) -> SettingsError:
    return SettingsError(
        f"The settings file {path} (from {named_by}) can't be read: {reason}.",
        hint="Check the path, or omit it to use the defaults.",
    )


def _from_toml(text: str) -> Any:
    data = tomllib.loads(text)
    level: list[Any] = [data]
    for _ in range(_MAX_DEPTH):
        if not (level := [below for item in level for below in _children(item)]):
            return data
    raise RecursionError


def _children(item: Any) -> Iterator[Any]:
    if isinstance(item, dict):
        yield from item.values()
    elif isinstance(item, list):
        yield from item


def _from_yaml(text: str) -> Any:
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _Check().size(node, 0)
        return loader.construct_document(node)
    finally:
        loader.dispose()


class _Check:
    """Checks a document's size before it is built: an alias is one node, and may expand to millions of values."""

    def __init__(self) -> None:
        self._sizes: dict[int, int] = {}
        self._open: set[int] = set()

    def size(self, node: yaml.Node, depth: int) -> int:
        """Values in ``node``, with aliases expanded."""
        if depth > _MAX_DEPTH:
            raise _problem(node, f"it is nested too deeply; {_MAX_DEPTH} levels are allowed")
        if id(node) in self._open:
            raise _problem(node, "it contains itself")
        if (known := self._sizes.get(id(node))) is None:
            self._open.add(id(node))
            known = self._sizes[id(node)] = self._count(node, depth)
            self._open.remove(id(node))
        return known

    def _count(self, node: yaml.Node, depth: int) -> int:
        if isinstance(node, yaml.ScalarNode):
            _check_scalar(node)
            return 1
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
            children = [child for pair in node.value for child in pair]
        else:
            children = node.value
        size = 1
        for child in children:
            if (size := size + self.size(child, depth + 1)) > _MAX_VALUES:
                raise _problem(node, f"it has more than {_MAX_VALUES:,} values with aliases expanded")
        return size


def _check_scalar(node: yaml.ScalarNode) -> None:
    try:
        str(node.value).encode()
    except UnicodeEncodeError:
        raise _problem(node, "it contains an unpaired surrogate") from None


def _check_keys(node: yaml.MappingNode) -> None:
    seen: set[tuple[str, str]] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _problem(key, "a key is not a string")
        if key.tag == "tag:yaml.org,2002:merge":
            continue
        if (named := (key.tag, key.value)) in seen:
            raise _problem(key, f"duplicate key {key.value[:60]!r}")
        seen.add(named)


def _problem(node: yaml.Node, what: str) -> yaml.YAMLError:
    mark = node.start_mark
    return yaml.YAMLError(f"{what} (line {mark.line + 1}, column {mark.column + 1})")
