"""A backend for scripts without an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import weakref
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from parlant_local.backends.base import Backend, ChatOptions, ChatStream, EmbedReply, ModelInfo, RerankReply, Text
from parlant_local.errors import EngineClosedError
from parlant_local.messages import ChatChunk, ChatReply, MessageLike

__all__ = ["SyncBackend"]

T = TypeVar("T")


class SyncBackend:
    """Blocking calls to ``backend``; its event loop runs in a thread of its own.

    ``with LlamaCppBackend("m.gguf").sync as backend: print(backend.chat("Hello").content)``. Use either the blocking or the async interface,
    not both: the model belongs to the loop that loaded it.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._loop = asyncio.new_event_loop()
        self._submit_lock = threading.Lock()
        self._closing = False
        self._thread = threading.Thread(target=_serve, args=[self._loop], name="parlant-local-sync", daemon=True)
        self._thread.start()
        self._finalizer = weakref.finalize(self, _stop_loop, self._loop)
        self._finalizer.atexit = False  # type: ignore[misc]  # a property that the stubs miss; its thread is a daemon

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def chat(self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]) -> ChatReply:
        return self._run(self._backend.chat(messages, **options))

    def chat_stream(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> Iterator[ChatChunk]:
        return self._iterate(self._backend.chat_stream(messages, **options))

    def complete(self, prompt: Text, **options: Unpack[ChatOptions]) -> ChatReply:
        return self._run(self._backend.complete(prompt, **options))

    def complete_stream(self, prompt: Text, **options: Unpack[ChatOptions]) -> Iterator[ChatChunk]:
        return self._iterate(self._backend.complete_stream(prompt, **options))

    def embed(self, texts: Sequence[Text], *, truncate: bool = False) -> EmbedReply:
        return self._run(self._backend.embed(texts, truncate=truncate))

    def rerank(self, query: str, documents: Sequence[str]) -> RerankReply:
        return self._run(self._backend.rerank(query, documents))

    def tokenize(self, text: str) -> list[int]:
        return self._run(self._backend.tokenize(text))

    def count_tokens(self, text: str) -> int:
        return self._run(self._backend.count_tokens(text))

    def load(self) -> None:
        self._run(self._backend.load())

    def model_info(self) -> ModelInfo:
        return self._backend.model_info()

    def close(self) -> None:
        """Idempotent. Calls under way in other threads end with :class:`EngineClosedError`."""
        with self._submit_lock:
            first, self._closing = not self._closing, True
        if first:
            self._finalizer.detach()
            try:
                self._submit(self._backend.close()).result()
            finally:
                _stop_loop(self._loop)
        self._thread.join()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        with (
            self._submit_lock
        ):  # whatever was submitted before the loop stops is cancelled with it; nothing is submitted later
            if self._closing:
                work.close()
                raise EngineClosedError("The backend is closed.", hint="Create a new one.")
            future = self._submit(work)
        try:
            return future.result()
        except BaseException:
            # Ctrl-C reaches this thread, not the loop's: the work must end with the wait for it.
            if not future.done():
                future.cancel()
            elif future.cancelled() and self._closing:
                raise EngineClosedError("The backend was closed during the call.", hint="Create a new one.") from None
            elif threading.current_thread().daemon and _interpreter_exiting():
                raise SystemExit from None  # daemon threads end with the interpreter: there is no caller left
            raise

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _iterate(self, stream: ChatStream) -> Iterator[ChatChunk]:
        async def advance() -> ChatChunk | None:
            return await anext(stream, None)

        try:
            while (chunk := self._run(advance())) is not None:
                yield chunk
        finally:
            self._close_stream(stream)

    def _close_stream(self, stream: ChatStream) -> None:
        """Closes a stream; the garbage collector may call it too, in any thread and during shutdown."""

        async def close() -> None:
            await stream.aclose()

        if sys.is_finalizing():
            return  # the loop's thread is gone
        with contextlib.suppress(CancelledError, EngineClosedError):
            if threading.current_thread() is not self._thread:
                self._run(close())
            elif not self._closing:
                self._submit(close())


def _interpreter_exiting() -> bool:
    """Whether the interpreter is shutting down: no new thread can be started, which is how calls fail then."""
    try:
        with ThreadPoolExecutor(1) as probe:
            probe.submit(int)
    except RuntimeError:
        return True
    return False


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    while tasks := asyncio.all_tasks(loop):  # a caller waits for each
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.wait(tasks))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def _stop_loop(loop: asyncio.AbstractEventLoop) -> None:
    """For a backend that was closed or garbage-collected."""
    with contextlib.suppress(RuntimeError):  # closed already
        loop.call_soon_threadsafe(loop.stop)
