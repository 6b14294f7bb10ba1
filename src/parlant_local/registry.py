"""Things of a kind by name: this package's own, and those that installed packages bring through an entry-point group.

Nothing is imported before it is asked for by name, and a plug-in that is broken hurts nobody who doesn't ask for it.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from importlib import import_module, metadata
from typing import Any, Generic, TypeVar

from parlant_local.errors import ConfigurationError, ParlantLocalError, PluginError

__all__ = ["Registry"]

T = TypeVar("T")
R = TypeVar("R")
_NAME = re.compile(r"[a-z][a-z0-9_-]*\Z")


class Registry(Generic[T]):
    """Names to entries, each given as ``"package.module:attribute"`` or as the thing itself.

    ``group``: the entry-point group that plug-ins use; a name of our own is never theirs. ``fits`` tells whether what a
    plug-in gives is of this kind, ``wanted`` says in an error what would be; ``reserved`` names mean something else already.
    """

    def __init__(
        self,
        kind: str,
        *,
        group: str | None = None,
        fits: Callable[[Any], bool] = lambda _: True,
        wanted: str = "",
        reserved: frozenset[str] = frozenset(),
    ) -> None:
        self._kind, self._group = kind, group
        self._fits, self._wanted, self._reserved = fits, wanted, reserved
        self._entries: dict[str, str | T] = {}
        self._loaded: dict[metadata.EntryPoint, T] = {}

    def register(self, name: str, entry: str | T) -> None:
        self._entries[name] = entry

    def __iter__(self) -> Iterator[str]:
        return iter((*self._entries, *self.plugins))

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self.plugins

    @property
    def plugins(self) -> Mapping[str, metadata.EntryPoint]:
        """What installed packages add, by name; read from their metadata, none of them imported."""
        found = {} if self._group is None else _installed(self._group, tuple(sys.path))
        return {name: points[0] for name, points in found.items() if not self._taken(name)}

    def get(self, name: str) -> T:
        """The entry of ``name``; an unknown one is a :class:`ConfigurationError` that lists the known ones, and a plug-in
        that can't be had is a :class:`PluginError` that names its package."""
        if name in self._entries:
            entry = self._entries[name]
            if isinstance(entry, str):
                module, _, attribute = entry.partition(":")
                entry = self._entries[name] = getattr(import_module(module), attribute)
            return entry
        if (point := self.plugins.get(name)) is not None:
            if point not in self._loaded:
                self._loaded[point] = self._load(point)
            return self._loaded[point]
        near = difflib.get_close_matches(name, list(self), n=1)
        guess = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigurationError(f"Unknown {self._kind} {name!r}.{guess}", hint=f"Known: {', '.join(sorted(self))}.")

    def packages(self) -> dict[str, str]:
        """The package, with its version, of every plug-in."""
        return {name: _package(point) for name, point in self.plugins.items()}

    def problems(self) -> list[PluginError]:
        """What is wrong with the plug-ins: names that can't be used, and those that don't load. Loads them all."""
        found = [] if self._group is None else [self._misnamed(self._group, name) for name in self._unusable()]
        for name in self.plugins:
            try:
                self.get(name)
            except PluginError as error:
                found.append(error)
        return found

    def attributed(self, name: str, work: Callable[[], R]) -> R:
        """``work()``; whatever a plug-in raises there without meaning to names its package, our own bugs keep their traceback."""
        try:
            return work()
        except ParlantLocalError:
            raise
        except Exception as error:
            if name in self.plugins:
                raise self.blame(name, error) from error
            raise

    def blame(self, name: str, error: BaseException) -> PluginError:
        """``error``, which the plug-in ``name`` raised without meaning to, as one that names its package."""
        return self._error(self.plugins[name], f"failed: {type(error).__name__}: {error}")

    def _load(self, point: metadata.EntryPoint) -> T:
        assert self._group is not None
        if len(rivals := _installed(self._group, tuple(sys.path))[point.name]) > 1:
            names = " and ".join(_package(rival) for rival in rivals)
            raise self._error(point, f"is brought by {names}", hint="Uninstall all of them but one.")
        try:
            loaded = point.load()
        except Exception as error:  # whatever a stranger's module raises when it is imported
            raise self._error(point, f"can't be loaded: {type(error).__name__}: {error}") from error
        if not self._fits(loaded):
            raise self._error(point, f"is {point.value}, which is not {self._wanted}")
        return loaded  # type: ignore[no-any-return]  # found fit just now

    def _taken(self, name: str) -> bool:
        return name in self._entries or name in self._reserved

    def _unusable(self) -> list[str]:
        assert self._group is not None
        found = metadata.entry_points(group=self._group)
        return [point.name for point in found if self._taken(point.name) or not _NAME.match(point.name)]

    def _misnamed(self, group: str, name: str) -> PluginError:
        point = next(iter(metadata.entry_points(group=group, name=name)))
        why = "has a name that parlant-local uses itself" if self._taken(name) else "has a name that is none"
        return self._error(point, why, hint="Its maker must give it another: lower-case letters, digits, - and _.")

    def _error(self, point: metadata.EntryPoint, what: str, *, hint: str = "") -> PluginError:
        package = _package(point)
        return PluginError(
            f"The {self._kind} {point.name!r} of the package {package} {what}.",
            plugin=point.name,
            package=package,
            hint=hint or f"Upgrade it, or `pip uninstall {package.partition(' ')[0]}`.",
        )


@lru_cache(maxsize=16)
def _installed(group: str, _path: tuple[str, ...]) -> dict[str, list[metadata.EntryPoint]]:
    """Entry points by name, in the order of the path; read again when the path changes."""
    found: dict[str, list[metadata.EntryPoint]] = {}
    for point in metadata.entry_points(group=group):
        if _NAME.match(point.name):
            found.setdefault(point.name, []).append(point)
    return found


def _package(point: metadata.EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.module
