"""The engine's public interface: asynchronous, lazy, cancellable."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from collections.abc import Sequence as AbstractSequence
from pathlib import Path

from parlant_local.engine import vectors
from parlant_local.engine.awaiting import on_thread
from parlant_local.engine.constraint.workers import wait_done
from parlant_local.engine.embedding import Embeddings, Reranking
from parlant_local.engine.failures import typed
from parlant_local.engine.filling import FilledPrompt, OtherText, fill_prompt
from parlant_local.engine.handle import EngineHandle
from parlant_local.engine.loaded import LoadedEngine, Sink
from parlant_local.engine.media.inputs import Media
from parlant_local.engine.media.reading import Senses
from parlant_local.engine.media.spans import ReadPrompt
from parlant_local.engine.named_prefixes import KeptPrefix, SavedPrefix
from parlant_local.engine.outputs import keep_generation, recall_generation, request_key
from parlant_local.engine.requests import Generation, GenerationPiece, GenerationRequest
from parlant_local.engine.sequence import Sequence
from parlant_local.engine.stats import EngineStats
from parlant_local.engine.watching import watching
from parlant_local.errors import (
    EngineClosedError,
    EngineFailedError,
    ParlantLocalError,
    QueueFullError,
    StallError,
)

__all__ = ["LlamaEngine"]


class LlamaEngine(EngineHandle):
    """What runs a GGUF (:class:`EngineHandle` says with what arguments), asked for answers, vectors and tokens."""

    # -- generating ---------------------------------------------------------------------------------------------------

    async def generate(self, request: GenerationRequest) -> Generation:
        """Runs a generation to its end. Cancelling the awaiting task cancels the work within a step."""
        result: Generation | None = None
        async for piece in self._run(request, streaming=False):
            result = piece.final
        assert result is not None
        return result

    def stream(self, request: GenerationRequest) -> AsyncGenerator[GenerationPiece, None]:
        """The generation in pieces; the last one has ``final``. Closing the iterator cancels the work."""
        return self._run(request, streaming=True)

    async def _run(self, request: GenerationRequest, *, streaming: bool) -> AsyncGenerator[GenerationPiece, None]:
        engine = await self._ensure_loaded()
        outputs, key = engine.outputs, None
        if outputs is not None and (key := request_key(request, self.settings.seed)) is not None:
            kept = await asyncio.to_thread(recall_generation, outputs, key)
            if kept is not None:
                yield GenerationPiece(kept.text, kept.reasoning, kept.tokens, kept.logprobs or (), final=kept)
                return
        in_flight = len(engine.requests)
        if in_flight >= self.settings.max_queue + engine.sizing.layout.n_seq:
            raise QueueFullError(
                f"{in_flight} requests are in flight at {self.path.name}; engine.max_queue is {self.settings.max_queue}.",
                limit=self.settings.max_queue,
                hint="Try again later, or raise engine.max_queue.",
            )
        loop = asyncio.get_running_loop()
        inbox: asyncio.Queue[GenerationPiece | ParlantLocalError | None] = asyncio.Queue()

        def put(item: GenerationPiece | ParlantLocalError | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and the waiter with it
                loop.call_soon_threadsafe(inbox.put_nowait, item)

        ticket = object()
        engine.requests.add(ticket)
        self._in_flight[ticket] = put
        sequence: Sequence | None = None
        try:
            sequence = await self._sequence(engine, request, put if streaming else None)
            engine.submit(sequence, put)
            if (watch := watching.get()) is not None:
                watch.follow(sequence, engine.ahead_of)
            while True:
                item = await self._next_item(inbox, engine, sequence)
                if isinstance(item, ParlantLocalError):
                    raise item
                if item is None:
                    raise asyncio.CancelledError
                # An answer whose thoughts were ended early is not the one that its request has.
                if item.final is not None and outputs is not None and key is not None and sequence.thoughts_wanted:
                    keep_generation(outputs, key, item.final)
                yield item
                if item.final is not None:
                    return
        finally:
            engine.requests.discard(ticket)
            self._in_flight.pop(ticket, None)
            if sequence is not None and engine.sinks.pop(sequence, None) is not None:
                engine.worker.cancel(sequence)

    async def _sequence(self, engine: LoadedEngine, request: GenerationRequest, deliver: Sink | None) -> Sequence:
        try:
            if request.constraint is not None:  # compiled on threads of their own: a slow one must not block tokenising
                await wait_done(await asyncio.to_thread(engine.compiler.begin, request.constraint))
            sequence: Sequence = await asyncio.to_thread(engine.sequence, request, deliver)
        except Exception as error:
            raise typed(error) from error
        if self._closed:
            raise EngineClosedError("The engine was closed while the request was running.")
        return sequence

    async def _next_item(
        self, inbox: asyncio.Queue[GenerationPiece | ParlantLocalError | None], engine: LoadedEngine, sequence: Sequence
    ) -> GenerationPiece | ParlantLocalError | None:
        """The next item; a running request without progress for the stall limit fails."""
        limit = self.settings.stall_seconds
        while True:
            try:
                async with asyncio.timeout(min(limit, 5.0)):
                    return await inbox.get()
            except TimeoutError:
                if engine.worker.stopped.done() and inbox.empty():
                    raise EngineFailedError(
                        f"The engine thread of {self.path.name} ended unexpectedly.",
                        hint="Send the request again: the model is reloaded.",
                    ) from None
                admitted = sequence.clock.admitted
                since = max(engine.worker.last_progress, admitted)
                if admitted and sequence.stage in ("prefill", "decode") and time.monotonic() - since > limit:
                    raise StallError(
                        f"{self.path.name} made no progress for {limit:g} s (engine.stall_seconds).",
                        hint="The machine may be swapping; use a smaller model or raise the limit.",
                    ) from None

    async def senses(self) -> Senses:
        """What the model reads besides text; loads its projector, if it has one."""
        engine = await self._ensure_loaded()
        try:
            return await engine.media.senses()
        except Exception as error:
            raise typed(error) from error

    async def read(self, parts: AbstractSequence[AbstractSequence[int] | Media]) -> ReadPrompt:
        """A prompt of token ids with pictures and sounds between them, for :class:`GenerationRequest`; a text is last.

        Reads each on a thread of its own, and keeps what it read of the last ones. Raises :class:`BadRequestError` where the model
        reads text only or can't read one of them.
        """
        engine = await self._ensure_loaded()
        try:
            return await engine.media.read(parts)
        except Exception as error:
            raise typed(error) from error

    # -- vectors ------------------------------------------------------------------------------------------------------

    async def embed(
        self, texts: AbstractSequence[str | AbstractSequence[int]], *, truncate: bool = False
    ) -> Embeddings:
        """Embeddings of ``texts``, each a text or its token ids, to which nothing is added.

        Raises :class:`TextTooLongError` for one that is too long, unless ``truncate``.
        """
        return await vectors.embed(await self._ensure_loaded(), texts, truncate=truncate)

    async def rerank(self, query: str, documents: AbstractSequence[str]) -> Reranking:
        """Relevance of each document to ``query``: by a rank-pooled model, else by cosine of embeddings."""
        return await vectors.rerank(await self._ensure_loaded(), query, documents)

    async def embedding_facts(self) -> tuple[str, int, int]:
        """Pooling, dimensions, and the maximum tokens of a text."""
        context = await (await self._ensure_loaded()).embedding()
        return context.pooling, context.dimensions, context.max_tokens

    # -- vocabulary ---------------------------------------------------------------------------------------------------

    async def tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = False) -> list[int]:
        """Token ids of ``text``; by default special tokens in it are plain text, and none are added.

        ``add_special`` adds what the vocabulary prescribes (BOS, CLS and SEP), as embedding does.
        """
        engine = await self._ensure_loaded()
        return await asyncio.to_thread(
            engine.model.tokenize, text, add_special=add_special, parse_special=parse_special
        )

    async def detokenize(self, tokens: AbstractSequence[int], *, special: bool = True) -> str:
        engine = await self._ensure_loaded()
        engine.model.check_tokens(tokens)
        return await asyncio.to_thread(engine.model.detokenize, tokens, special=special)

    async def pieces(self, tokens: AbstractSequence[int]) -> list[str]:
        """The text of each token by itself."""
        engine = await self._ensure_loaded()
        engine.model.check_tokens(tokens)
        return await asyncio.to_thread(lambda: [engine.model.detokenize([token], special=True) for token in tokens])

    async def fill_prompt(
        self,
        prefix: str,
        suffix: str,
        *,
        begun: str = "",
        others: AbstractSequence[OtherText] = (),
        room: int | None = None,
    ) -> FilledPrompt:
        """The prompt that asks for what stands between two texts (see :func:`filling.fill_prompt`)."""
        engine = await self._ensure_loaded()
        return await asyncio.to_thread(fill_prompt, engine.model, prefix, suffix, begun=begun, others=others, room=room)

    async def count_tokens(self, text: str) -> int:
        return len(await self.tokenize(text))

    # -- kept prefixes ------------------------------------------------------------------------------------------------

    async def kept_prefixes(self) -> list[KeptPrefix]:
        """Prefixes in memory, the most recently used first."""
        engine = await self._ensure_loaded()
        return await on_thread(engine.worker, engine.kept_prefixes)

    async def save_prefix(self, place: int, folder: Path, name: str) -> SavedPrefix:
        """Writes one of :meth:`kept_prefixes` to ``folder``, readable by its owner only.

        Raises :class:`BadRequestError` where there is none, or no space for it.
        """
        engine = await self._ensure_loaded()
        tokens, state = await on_thread(engine.worker, lambda: engine.take_prefix(place))
        try:
            return await asyncio.to_thread(engine.named_prefixes(folder).save, name, tokens, state)
        except MemoryError as error:
            raise typed(error) from error

    async def restore_prefix(self, folder: Path, name: str) -> SavedPrefix:
        """Keeps a saved prefix again, for prompts that begin with it.

        Raises :class:`BadRequestError` where it was made for another model or other settings.
        """
        engine = await self._ensure_loaded()
        try:
            tokens, state = await asyncio.to_thread(engine.named_prefixes(folder).read, name)
        except MemoryError as error:
            raise typed(error) from error
        await on_thread(engine.worker, lambda: engine.put_prefix(tokens, state))
        return SavedPrefix(int(tokens.size), tokens.nbytes + state.nbytes)

    async def erase_prefix(self, place: int) -> int:
        """Forgets one of :meth:`kept_prefixes`; the number of its tokens."""
        engine = await self._ensure_loaded()
        return await on_thread(engine.worker, lambda: engine.erase_prefix(place))

    # -- insight ------------------------------------------------------------------------------------------------------

    def stats(self) -> EngineStats:
        """Statistics of the shared engine; counters go on when a failed engine is replaced."""
        resident = self._resident
        if resident is None:
            return EngineStats()
        gauges = self._engine.gauges() if self._engine is not None else {"blocked_seconds": resident.blocked_seconds}
        return resident.recorder.snapshot(recent_failures=resident.recent_failures, **gauges)

    async def check_integrity(self) -> None:
        """Raises :class:`EngineError` where accounting and memory differ: leaked sequences, cells or requests."""
        engine = await self._ensure_loaded()
        await on_thread(engine.worker, engine.check_integrity)
