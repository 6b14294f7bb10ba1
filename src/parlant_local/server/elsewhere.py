"""Models in other places, one route each. A name that a client made up is kept once it has answered, and then not for ever."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Unpack

from parlant_local.backends.base import ChatOptions, EmbedReply, ModelInfo, RerankReply
from parlant_local.messages import ChatChunk, ChatReply, MessageLike
from parlant_local.switching import RoutedBackend

__all__ = ["Elsewhere", "Routes"]

_KEPT = 32


class _Entry:
    def __init__(self, route: RoutedBackend) -> None:
        self.route = route
        self.users = 0
        self.answered = False


class Routes:
    """Belongs to one event loop. ``make`` opens nothing; ``lasting`` tells the names that the owner's settings have."""

    def __init__(self, make: Callable[[str], RoutedBackend], lasting: Callable[[str], bool]) -> None:
        self._make, self._lasting = make, lasting
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def open(self, name: str) -> RoutedBackend:
        """A route of the owner's, kept from now on."""
        if name not in self._entries:
            self._entries[name] = _Entry(self._make(name))
        return self._entries[name].route

    def all(self) -> Mapping[str, RoutedBackend]:
        return {name: entry.route for name, entry in self._entries.items()}

    @asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[RoutedBackend]:
        """The route of a name, forgotten afterwards unless it has ever answered."""
        if (entry := self._entries.get(name)) is None:
            made = await asyncio.to_thread(self._make, name)  # the first one imports a client: a second, maybe
            entry = self._entries.setdefault(name, _Entry(made))
        self._entries.move_to_end(name)
        entry.users += 1
        try:
            yield entry.route
            entry.answered = True
        finally:
            entry.users -= 1
            await self._tidy()

    async def close(self) -> None:
        while self._entries:
            await self._entries.popitem()[1].route.close()

    async def _tidy(self) -> None:
        passing = [name for name in self._entries if not self._lasting(name)]
        excess = len(passing) - _KEPT
        for name in passing:
            entry = self._entries[name]
            if not entry.users and (excess > 0 or not entry.answered):
                excess -= 1
                del self._entries[name]
                await entry.route.close()


class Elsewhere:
    """One name as a backend."""

    def __init__(self, routes: Routes, name: str) -> None:
        self._routes, self._name = routes, name

    async def chat(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> ChatReply:
        async with self._routes.use(self._name) as route:
            return await route.chat(messages, **options)

    async def chat_stream(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> AsyncGenerator[ChatChunk, None]:
        async with self._routes.use(self._name) as route:
            chunks: Any = route.chat_stream(messages, **options)
            try:
                async for chunk in chunks:
                    yield chunk
            finally:
                await chunks.aclose()

    async def complete(self, prompt: str, **options: Unpack[ChatOptions]) -> ChatReply:
        async with self._routes.use(self._name) as route:
            return await route.complete(prompt, **options)

    async def embed(self, texts: Sequence[str], *, truncate: bool = False) -> EmbedReply:
        async with self._routes.use(self._name) as route:
            return await route.embed(texts, truncate=truncate)

    async def rerank(self, query: str, documents: Sequence[str]) -> RerankReply:
        async with self._routes.use(self._name) as route:
            return await route.rerank(query, documents)

    async def tokenize(self, text: str) -> list[int]:
        async with self._routes.use(self._name) as route:
            return await route.tokenize(text)

    async def count_tokens(self, text: str) -> int:
        async with self._routes.use(self._name) as route:
            return await route.count_tokens(text)

    def model_info(self) -> ModelInfo:
        route = self._routes.all().get(self._name)
        return route.model_info() if route is not None else ModelInfo(self._name)

    async def close(self) -> None:
        """Nothing: the route belongs to the server."""
