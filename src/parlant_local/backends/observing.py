"""Who wants to know about calls is told here, by the backend that answers them; while nobody does, a call costs a look at one name.

A call never fails by who watches it: what an observer raises is logged, the first time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any, Literal, Protocol, TypeVar, cast

from parlant_local.backends.base import Backend, ChatStream
from parlant_local.observability import Bystander

__all__ = ["Observation", "Observer", "Operation", "observe", "observed", "observed_stream"]

Operation = Literal["chat", "text_completion", "embeddings", "rerank"]
M = TypeVar("M", bound=Callable[..., Any])


class Observation(Protocol):
    """One call. Of a whole answer ``finished`` is told, of a stream each chunk and then ``ended``; of a failure ``failed``."""

    def finished(self, reply: Any) -> None: ...

    def chunk(self, chunk: Any) -> None: ...

    def ended(self) -> None: ...

    def failed(self, error: BaseException) -> None:
        """Cancelled calls and abandoned streams, too."""


class Observer(Protocol):
    def began(
        self, backend: Backend, operation: Operation, asked: Any, options: Mapping[str, Any], *, streams: bool
    ) -> Observation:
        """``asked``: messages, a prompt or texts, as the caller gave them."""


class _Watcher:
    """An observer and what became of its failures."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._bystander = Bystander("An observer of calls")

    def began(self, *about: Any, streams: bool) -> _Watching:
        return _Watching(self._bystander, self._bystander.tell(self._observer.began, *about, streams=streams))


class _Watching:
    """One call as an observer sees it; None: it failed when the call began."""

    __slots__ = ("_bystander", "_observation")

    def __init__(self, bystander: Bystander, observation: Observation | None) -> None:
        self._bystander, self._observation = bystander, observation

    def finished(self, reply: Any) -> None:
        if self._observation is not None:
            self._bystander.tell(self._observation.finished, reply)

    def chunk(self, chunk: Any) -> None:
        if self._observation is not None:
            self._bystander.tell(self._observation.chunk, chunk)

    def ended(self) -> None:
        if self._observation is not None:
            self._bystander.tell(self._observation.ended)

    def failed(self, error: BaseException) -> None:
        if self._observation is not None:
            self._bystander.tell(self._observation.failed, error)


_observer: _Watcher | None = None


def observe(observer: Observer | None) -> None:
    """Tells ``observer`` of all calls from now on; None ends that."""
    global _observer
    _observer = None if observer is None else _Watcher(observer)


def observed(operation: Operation) -> Callable[[M], M]:
    """For a backend's method that returns a whole answer."""

    def decorate(method: M) -> M:
        @functools.wraps(method)
        async def call(self: Backend, *args: Any, **options: Any) -> Any:
            if _observer is None:
                return await method(self, *args, **options)
            observation = _observer.began(self, operation, args, options, streams=False)
            try:
                reply = await method(self, *args, **options)
            except BaseException as error:
                observation.failed(error)
                raise
            observation.finished(reply)
            return reply

        return cast(M, call)

    return decorate


def observed_stream(operation: Operation) -> Callable[[M], M]:
    """For a backend's method that returns a stream."""

    def decorate(method: M) -> M:
        async def told(
            observer: _Watcher, backend: Backend, args: tuple[Any, ...], options: Mapping[str, Any]
        ) -> ChatStream:
            observation = observer.began(backend, operation, args, options, streams=True)
            try:
                async with aclosing(method(backend, *args, **options)) as chunks:
                    async for chunk in chunks:
                        observation.chunk(chunk)
                        yield chunk
            except BaseException as error:
                observation.failed(error)
                raise
            observation.ended()

        @functools.wraps(method)
        def call(self: Backend, *args: Any, **options: Any) -> ChatStream:
            if _observer is None:  # the stream itself: its chunks take no detour
                stream: ChatStream = method(self, *args, **options)
                return stream
            return told(_observer, self, args, options)

        return cast(M, call)

    return decorate
