"""A small registry of lazy factories: nothing is imported before it is asked for by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, Generic, TypeVar

from parlant_local.errors import ConfigurationError

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to factories, each given as ``"package.module:attribute"`` or as a callable."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._entries: dict[str, str | Callable[..., T]] = {}

    def register(self, name: str, factory: str | Callable[..., T]) -> None:
        self._entries[name] = factory

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def get(self, name: str) -> Callable[..., T]:
        """The factory of ``name``; an unknown one is a :class:`ConfigurationError` that lists the known ones."""
        entry = self._entries.get(name)
        if entry is None:
            near = difflib.get_close_matches(name, self._entries, n=1)
            guess = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigurationError(
                f"Unknown {self._kind} {name!r}.{guess}", hint=f"Known: {', '.join(sorted(self._entries))}."
            )
        if isinstance(entry, str):
            module, _, attribute = entry.partition(":")
            loaded: Any = getattr(import_module(module), attribute)
            self._entries[name] = loaded
            return loaded  # type: ignore[no-any-return]
        return entry
