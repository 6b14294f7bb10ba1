"""External models, one route each. A route that a client named is kept once it has answered, up to a limit."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from parlant_local.backends.base import ModelInfo
from parlant_local.backends.moderator import Moderator
from parlant_local.backends.wrapper import BorrowingBackend
from parlant_local.switching import RoutedBackend

__all__ = ["ExternalModel", "Routes"]

_MAX_KEPT = 32


class _Entry:
    def __init__(self, route: RoutedBackend) -> None:
        self.route = route
        self.users = 0
        self.answered = False


class Routes:
    """Belongs to one event loop. ``make`` opens nothing; ``permanent`` says which names are configured."""

    def __init__(self, make: Callable[[str], RoutedBackend], permanent: Callable[[str], bool]) -> None:
        self._make, self._permanent = make, permanent
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def open(self, name: str) -> RoutedBackend:
        """A configured route, kept from now on."""
        if name not in self._entries:
            self._entries[name] = _Entry(self._make(name))
        return self._entries[name].route

    def all(self) -> Mapping[str, RoutedBackend]:
        return {name: entry.route for name, entry in self._entries.items()}

    @asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[RoutedBackend]:
        """The route of a name, dropped afterwards unless it has ever answered."""
        if (entry := self._entries.get(name)) is None:
            made = await asyncio.to_thread(self._make, name)  # the first one imports a client, which may take a second
            entry = self._entries.setdefault(name, _Entry(made))
        self._entries.move_to_end(name)
        entry.users += 1
        try:
            yield entry.route
            entry.answered = True
        finally:
            entry.users -= 1
            await self._evict()

    async def close(self) -> None:
        while self._entries:
            await self._entries.popitem()[1].route.close()

    async def _evict(self) -> None:
        passing = [name for name in self._entries if not self._permanent(name)]
        excess = len(passing) - _MAX_KEPT
        for name in passing:
            entry = self._entries[name]
            if not entry.users and (excess > 0 or not entry.answered):
                excess -= 1
                del self._entries[name]
                await entry.route.close()


class ExternalModel(BorrowingBackend[RoutedBackend], Moderator):
    """One external model as a backend."""

    def __init__(self, routes: Routes, name: str) -> None:
        self._routes, self._name = routes, name

    def borrowed(self) -> AbstractAsyncContextManager[RoutedBackend]:
        return self._routes.use(self._name)

    async def moderate(self, text: str) -> dict[str, float]:
        async with self.borrowed() as route:
            return await route.moderate(text)

    def model_info(self) -> ModelInfo:
        route = self._routes.all().get(self._name)
        return route.model_info() if route is not None else ModelInfo(self._name)
