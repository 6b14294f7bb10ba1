"""Targets without sockets, for simulations of the switcher itself: each call does what its script says."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from parlant_local.backends.base import Backend, ChatStream, EmbedReply, ModelInfo, RerankReply
from parlant_local.messages import ChatChunk, ChatReply, Delta, Usage
from parlant_local.settings import TargetSettings
from parlant_local.switching import Target

EVERYTHING = frozenset({"chat", "schema", "tools", "streaming", "embed", "complete", "reasoning", "rerank"})


class SimulatedBackend(Backend):
    """``script`` holds exceptions to raise, events to wait for, and ``None`` for an answer; empty means an answer."""

    def __init__(self, info: ModelInfo) -> None:
        self.info = info
        self.script: deque[Any] = deque()
        self.always: Any = None
        self.calls = 0
        self.active = 0
        self.closed = 0
        self.loads = 0
        self.seen: list[tuple[Any, dict[str, Any]]] = []
        self.midway: Exception | None = None
        """Raised by streams after their first chunk."""

    async def _act(self) -> None:
        assert self.closed == 0, "a closed backend was called"
        self.calls += 1
        self.active += 1
        try:
            await asyncio.sleep(0)
            action = self.script.popleft() if self.script else self.always
            if isinstance(action, asyncio.Event):
                await action.wait()
            elif isinstance(action, BaseException):
                raise action
        finally:
            self.active -= 1

    async def load(self) -> None:
        self.loads += 1
        if isinstance(self.always, BaseException):
            raise self.always

    async def chat(self, messages: Any, **options: Any) -> ChatReply:
        self.seen.append((messages, options))
        await self._act()
        return ChatReply(content=f"from {self.info.id}", model=self.info.id, usage=Usage(10, 5))

    async def chat_stream(self, messages: Any, **options: Any) -> ChatStream:
        self.seen.append((messages, options))
        await self._act()
        self.active += 1
        try:
            yield ChatChunk(Delta("from "), model=self.info.id)
            if self.midway is not None:
                raise self.midway
            yield ChatChunk(Delta(self.info.id), model=self.info.id)
            yield ChatChunk(finish_reason="stop", usage=Usage(10, 5), model=self.info.id)
        finally:
            self.active -= 1

    async def complete(self, prompt: str, **options: Any) -> ChatReply:
        return await self.chat(prompt, **options)

    async def embed(self, texts: Sequence[str], *, truncate: bool = False) -> EmbedReply:
        await self._act()
        return EmbedReply(tuple((1.0, 0.0) for _ in texts), 2, self.info.id)

    async def rerank(self, query: str, documents: Sequence[str]) -> RerankReply:
        await self._act()
        return RerankReply(tuple(0.0 for _ in documents), self.info.id)

    async def tokenize(self, text: str) -> list[int]:
        return list(text.encode())

    async def count_tokens(self, text: str) -> int:
        return len(text.encode())

    def model_info(self) -> ModelInfo:
        return self.info

    async def close(self) -> None:
        self.closed += 1


class Fleet:
    """Makes targets and remembers every backend that was opened."""

    def __init__(self) -> None:
        self.opened: dict[str, list[SimulatedBackend]] = {}
        self.prepare: Callable[[SimulatedBackend], None] = lambda backend: None

    def target(
        self,
        name: str,
        *,
        remote: bool = False,
        in_process: bool = False,
        facts: TargetSettings | None = None,
        **info: Any,
    ) -> Target:
        described = ModelInfo(name, remote=remote, capabilities=info.pop("capabilities", EVERYTHING), **info)

        def open_() -> SimulatedBackend:
            backend = SimulatedBackend(described)
            self.prepare(backend)
            self.opened.setdefault(name, []).append(backend)
            return backend

        return Target(
            name, open_, remote=remote, in_process=in_process, info=described, facts=facts or TargetSettings()
        )

    def __getitem__(self, name: str) -> SimulatedBackend:
        return self.opened[name][-1]

    def calls(self) -> dict[str, int]:
        return {name: sum(backend.calls for backend in backends) for name, backends in self.opened.items()}


class Clock:
    """Time that passes only when told to, or when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def failing(fleet: Fleet, failures: dict[str, Iterable[Any]]) -> None:
    """Backends of these names act out these scripts when they are opened."""

    def prepare(backend: SimulatedBackend) -> None:
        backend.script.extend(failures.get(backend.info.id, ()))

    fleet.prepare = prepare
