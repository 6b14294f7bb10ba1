"""The engine as callers see it: asynchronous, lazy, cancellable; one per loaded GGUF."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from collections.abc import Sequence as AbstractSequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from parlant_local.engine.admission import AdmissionRules
from parlant_local.engine.checking import check
from parlant_local.engine.constraint import ConstraintCompiler
from parlant_local.engine.constraint.landing import Landing, LandingStrip
from parlant_local.engine.context import Context
from parlant_local.engine.embedding import EmbeddingContext, Embeddings, Reranking, normalise
from parlant_local.engine.model import LoadedModel
from parlant_local.engine.native import library
from parlant_local.engine.prefix_disk import PrefixDisk
from parlant_local.engine.prefixes import PrefixStore
from parlant_local.engine.requests import Generation, GenerationPiece, GenerationRequest
from parlant_local.engine.scheduler import Scheduler
from parlant_local.engine.sequence import Sequence
from parlant_local.engine.sizing import Sizing, on_gpu, plan, usable_cores
from parlant_local.engine.stats import EngineStats, StatsRecorder
from parlant_local.engine.worker import Worker
from parlant_local.errors import (
    BadRequestError,
    ContextOverflowError,
    EngineClosedError,
    EngineError,
    ModelLoadError,
    ParlantLocalError,
    QueueFullError,
    StallError,
)
from parlant_local.gguf_info import GGUFHeader, in_use, read_header, shard_paths
from parlant_local.observability import ConsoleLogger, Logger
from parlant_local.paths import user_path
from parlant_local.settings import EngineSettings

__all__ = ["LlamaEngine"]

T = TypeVar("T")
_MIB = 1024 * 1024


class LlamaEngine:
    """Runs one GGUF. Every method may be called from any task; the model is loaded when the first one needs it.

    ``prefix_dir``: where static prefixes are kept between runs; None keeps none on disk. ``measured_dir``: where
    `bench --save` keeps what it found; its findings hold where ``settings`` leave something open. None: ``settings`` alone
    count, so that an engine never depends on a folder that nobody named.
    """

    def __init__(
        self,
        model_path: Path | str,
        *,
        settings: EngineSettings | None = None,
        prefix_dir: Path | None = None,
        measured_dir: Path | None = None,
        logger: Logger | None = None,
    ) -> None:
        self.path = user_path(model_path)
        self.settings = settings or EngineSettings()
        self._prefix_dir = prefix_dir
        self._measured_dir = measured_dir
        self._logger: Logger = logger or ConsoleLogger("warning")
        self._recorder = StatsRecorder()
        self._loading: asyncio.Future[None] | None = None
        self._unloading: asyncio.Future[None] | None = None
        self._room: _Room | None = None
        self._closed = False
        self._queued = 0

    # -- life ---------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> LlamaEngine:
        await self.load()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def load(self) -> None:
        """Loads the model once, off the event loop; callers that come meanwhile wait for the same load."""
        if self._room is not None:
            return
        if self._closed:
            raise EngineClosedError(f"The engine of {self.path.name} is closed.", hint="Create a new one.")
        if self._loading is None:
            self._loading = asyncio.ensure_future(self._load())
            self._loading.add_done_callback(_heard)
        await asyncio.shield(self._loading)

    async def _load(self) -> None:
        worker = Worker(self.path.stem, self._logger, self._recorder)
        made: list[_Room] = []
        try:
            await _on(worker, lambda: made.append(_Room(self, worker)))
            if self._closed:
                raise EngineClosedError(f"The engine of {self.path.name} was closed while it was loading.")
        except BaseException as error:
            self._loading = None  # a failed load may be tried again
            # Also where the event loop went away in the middle: what got loaded must not stay.
            await asyncio.to_thread(worker.stop, lambda: made[0].release() if made else None)
            if isinstance(error, ParlantLocalError) or not isinstance(error, Exception):
                raise
            raise ModelLoadError(f"{self.path} could not be loaded: {error!r}.") from error
        self._room = made[0]

    async def close(self) -> None:
        """Aborts what runs, frees context and weights, and waits until they are gone. Idempotent."""
        self._closed = True
        if self._loading is not None and not self._loading.done():
            await asyncio.wait([self._loading])
        room, self._room = self._room, None
        if room is not None:
            self._unloading = asyncio.ensure_future(asyncio.to_thread(room.close))
        if self._unloading is not None:
            await asyncio.shield(self._unloading)

    def close_now(self) -> None:
        """Like :meth:`close`, from synchronous code (interpreter shutdown); blocks until the memory is back."""
        self._closed = True
        room, self._room = self._room, None
        if room is not None:
            room.close()

    @property
    def loaded(self) -> bool:
        return self._room is not None

    @property
    def model(self) -> LoadedModel:
        """Facts and vocabulary of the loaded model; :class:`EngineClosedError` before it is loaded."""
        return self._open_room.model

    @property
    def sizing(self) -> Sizing:
        return self._open_room.sizing

    @property
    def effective_settings(self) -> EngineSettings:
        """``settings`` with what `bench --save` found for this model here, once it is loaded."""
        return self.settings if self._room is None else self._room.settings

    @property
    def n_ctx(self) -> int:
        """Longest request, prompt and answer together, in tokens."""
        return self._open_room.context_size

    @property
    def _open_room(self) -> _Room:
        if self._room is None:
            raise EngineClosedError(f"The model {self.path.name} is not loaded.", hint="Await load() first.")
        return self._room

    async def _ready(self) -> _Room:
        await self.load()
        return self._open_room

    # -- generating ---------------------------------------------------------------------------------------------------

    async def generate(self, request: GenerationRequest) -> Generation:
        """One whole generation. Cancelling the awaiting task cancels the work within a step."""
        result: Generation | None = None
        async for piece in self._pieces(request, streaming=False):
            result = piece.final
        assert result is not None
        return result

    def stream(self, request: GenerationRequest) -> AsyncIterator[GenerationPiece]:
        """The generation in pieces; the last one has ``final``. Closing the iterator cancels the work."""
        return self._pieces(request, streaming=True)

    async def _pieces(self, request: GenerationRequest, *, streaming: bool) -> AsyncIterator[GenerationPiece]:
        room = await self._ready()
        if self._queued >= self.settings.max_queue + room.sizing.layout.n_seq:
            raise QueueFullError(
                f"{self._queued} requests are under way at {self.path.name}; engine.max_queue is {self.settings.max_queue}.",
                limit=self.settings.max_queue,
                hint="Try again later, or raise engine.max_queue.",
            )
        loop = asyncio.get_running_loop()
        inbox: asyncio.Queue[GenerationPiece | ParlantLocalError | None] = asyncio.Queue()

        def put(item: GenerationPiece | ParlantLocalError | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is gone, and with it whoever waited
                loop.call_soon_threadsafe(inbox.put_nowait, item)

        self._queued += 1
        sequence: Sequence | None = None
        try:
            made: Sequence = await asyncio.to_thread(room.sequence, request, put if streaming else None)
            sequence = made
            room.submit(made, put)
            while True:
                item = await self._next(inbox, room, made)
                if isinstance(item, ParlantLocalError):
                    raise item
                if item is None:
                    raise asyncio.CancelledError
                yield item
                if item.final is not None:
                    return
        finally:
            self._queued -= 1
            if sequence is not None and room.finishers.pop(sequence, None) is not None:
                room.worker.cancel(sequence)

    async def _next(
        self, inbox: asyncio.Queue[GenerationPiece | ParlantLocalError | None], room: _Room, sequence: Sequence
    ) -> GenerationPiece | ParlantLocalError | None:
        """The next item; a running request that makes no progress for the stall limit is given up."""
        limit = self.settings.stall_seconds
        while True:
            try:
                async with asyncio.timeout(min(limit, 5.0)):
                    return await inbox.get()
            except TimeoutError:
                admitted = sequence.clock.admitted
                since = max(room.worker.last_progress, admitted)
                if admitted and sequence.stage in ("prefill", "decode") and time.monotonic() - since > limit:
                    raise StallError(
                        f"{self.path.name} made no progress for {limit:g} s (engine.stall_seconds).",
                        hint="The machine may be swapping; take a smaller model or raise the limit.",
                    ) from None

    # -- vectors ------------------------------------------------------------------------------------------------------

    async def embed(self, texts: AbstractSequence[str], *, truncate: bool = False) -> Embeddings:
        """Vectors of ``texts``. A text that is too long is :class:`TextTooLongError` unless ``truncate``."""
        room = await self._ready()
        context = await room.embedding()
        lists, cut = await asyncio.to_thread(context.tokens_of, texts, truncate=truncate)
        rows = await self._pooled(room, context, lists)
        self._recorder.embedded_texts += len(texts)
        return Embeddings(normalise(rows), tuple(len(tokens) for tokens in lists), tuple(cut))

    async def rerank(self, query: str, documents: AbstractSequence[str]) -> Reranking:
        """Relevance of each document to ``query``: by a rank-pooled model, else by cosine of embeddings."""
        room = await self._ready()
        context = await room.embedding()
        if context.pooling != "rank":
            result = await self.embed([query, *documents])
            scores = result.vectors[1:] @ result.vectors[0]
            return Reranking(tuple(float(score) for score in scores), sum(result.tokens))
        lists = await asyncio.to_thread(lambda: [context.pair(query, document) for document in documents])
        for index, tokens in enumerate(lists):
            if len(tokens) > context.max_tokens:
                raise ContextOverflowError(
                    f"Document {index} with its query has {len(tokens)} tokens; {self.path.name} takes {context.max_tokens}.",
                    needed=len(tokens),
                    available=context.max_tokens,
                    hint="Split the document.",
                )
        rows = await self._pooled(room, context, lists)
        return Reranking(tuple(float(row[0]) for row in rows), sum(len(tokens) for tokens in lists))

    async def _pooled(self, room: _Room, context: EmbeddingContext, lists: list[list[int]]) -> Any:
        import numpy as np

        rows = np.empty((len(lists), context.dimensions), dtype=np.float32)
        for group in context.batches(lists):  # a batch at a time: generations go on in between
            chosen = [lists[index] for index in group]
            rows[group] = await _on(room.worker, partial(context.compute, chosen))
        return rows

    async def embedding_facts(self) -> tuple[str, int, int]:
        """Pooling, dimensions, and tokens that one text may have."""
        context = await (await self._ready()).embedding()
        return context.pooling, context.dimensions, context.max_tokens

    # -- vocabulary ---------------------------------------------------------------------------------------------------

    async def tokenize(self, text: str, *, add_bos: bool = False, parse_special: bool = False) -> list[int]:
        """Token ids of ``text``; by default as typed: no BOS, special tokens as text."""
        room = await self._ready()
        tokens = await asyncio.to_thread(room.model.tokenize, text, parse_special=parse_special)
        return [room.model.bos, *tokens] if add_bos and room.model.bos >= 0 else tokens

    async def detokenize(self, tokens: AbstractSequence[int], *, special: bool = True) -> str:
        room = await self._ready()
        if any(not 0 <= token < room.model.n_vocab for token in tokens):
            raise BadRequestError(f"Token ids must be between 0 and {room.model.n_vocab - 1}.")
        return room.model.detokenize(tokens, special=special)

    async def count_tokens(self, text: str) -> int:
        return len(await self.tokenize(text))

    # -- insight ------------------------------------------------------------------------------------------------------

    def stats(self) -> EngineStats:
        room = self._room
        return self._recorder.snapshot(**(room.now() if room is not None else {}))

    async def check_integrity(self) -> None:
        """Raises :class:`EngineError` where books and memory differ: leaked sequences, cells or requests."""
        room = await self._ready()
        await _on(room.worker, room.check_integrity)


class _Room:
    """Everything that exists only while the model is loaded. Made and unmade on the engine's thread."""

    def __init__(self, engine: LlamaEngine, worker: Worker) -> None:
        self.worker = worker
        self._engine = engine
        self.settings = engine.settings
        self._logger = engine._logger
        self._hold = contextlib.ExitStack()
        self._embedding: EmbeddingContext | None = None
        self.finishers: dict[Sequence, Callable[[GenerationPiece | ParlantLocalError | None], None]] = {}
        try:
            header = read_header(engine.path)  # a broken file ends here, before native code sees it
            self._hold.enter_context(in_use.hold(shard_paths(engine.path)))  # nobody deletes it while it is mapped
            if engine._measured_dir is not None:
                self.settings = self._as_measured(header, engine._measured_dir)
            self.sizing = plan(header, engine.path.name, self.settings)
            for message in self.sizing.messages:
                self._logger.warning(f"{engine.path.name}: {message}")
            self.model = LoadedModel(engine.path, self.settings)
            self._hold.callback(self.model.release)
            self.compiler = ConstraintCompiler(self.model)
            self._strip = LandingStrip(self.model)
            self._context: Context | None = None
            self._scheduler: Scheduler | None = None
            self._store: PrefixStore | None = None
            self._disk: PrefixDisk | None = None
            self.context_size = self.sizing.layout.n_ctx
            if self.model.generates:
                self._generation_rooms()
        except BaseException:
            self._hold.close()
            raise

    def _generation_rooms(self) -> None:
        settings = self.settings
        context = self._context = Context(self.model, settings, self.sizing.layout)
        self._hold.callback(context.close)
        self.context_size = min(self.sizing.layout.n_ctx, context.n_ctx_seq)
        prefixes = settings.prefixes
        # A saved state of a sliding window has its last window only: cut back, it would lack what came before the cut.
        trims = context.trims and not self.model.sliding_window
        store = self._store = PrefixStore(prefixes.memory_mb * _MIB, trims=trims, min_tokens=prefixes.min_tokens)
        if self._engine._prefix_dir is not None and prefixes.disk and prefixes.disk_mb:
            disk = self._disk = PrefixDisk(
                self._engine._prefix_dir, self._prefix_key(), prefixes.disk_mb * _MIB, self._logger
            )
            self._hold.callback(disk.close)
            for entry in disk.entries():
                store.add(entry)
        rules = AdmissionRules(
            unified=self.sizing.layout.unified,
            crowd_costs=self.sizing.layout.unified and not on_gpu(settings),
            trims=trims,
            min_tokens=prefixes.min_tokens,
            first_wave=self.sizing.layout.first_wave,
        )
        self._scheduler = Scheduler(
            context, store, self._disk, rules, self._engine._recorder, self._logger, self._finished
        )
        self.worker.attach(self._scheduler, context.abort)

    def _as_measured(self, header: GGUFHeader, folder: Path) -> EngineSettings:
        from parlant_local.engine.measuring.saved import that_fits, with_saved

        asked, path = self.settings, self._engine.path
        found = with_saved(asked, folder, path, self._logger)
        return that_fits(found, asked, header, path.name)

    def _prefix_key(self) -> str:
        """Everything a saved state depends on."""
        settings, lib = self.settings, library()
        parts = [
            fingerprint(self._engine.path),
            self.sizing.layout.kv_type,
            self.sizing.layout.flash_attention,
            settings.rope_freq_base,
            settings.rope_freq_scale,
            sorted(settings.lora.items()),
            [fingerprint(Path(path)) for path in sorted(settings.lora)],
            lib.__version__,
        ]
        return repr(parts)

    def close(self) -> None:
        self.worker.stop(self.release)

    def release(self) -> None:
        """Frees contexts and weights, and lets go of all that refers back here: memory returns now, not at some collection."""
        self._hold.close()
        if self._store is not None:
            self._store.clear()
        self._context = self._scheduler = self._store = self._disk = self._embedding = None

    async def embedding(self) -> EmbeddingContext:
        if self._embedding is None:

            def make() -> EmbeddingContext:
                if self._embedding is None:
                    threads = self.settings.n_threads_batch or self.settings.n_threads or usable_cores()
                    self._embedding = EmbeddingContext(self.model, self.settings, threads)
                    self._hold.callback(self._embedding.close)
                return self._embedding

            return await _on(self.worker, make)
        return self._embedding

    # -- requests (any thread) ----------------------------------------------------------------------------------------

    def sequence(self, request: GenerationRequest, deliver: Callable[[GenerationPiece], None] | None) -> Sequence:
        """Tokenises, checks room and compiles the constraint: all that can fail before work starts."""
        check(request)
        with self.model.held():
            return self._sequence(request, deliver)

    def _sequence(self, request: GenerationRequest, deliver: Callable[[GenerationPiece], None] | None) -> Sequence:
        model = self.model
        if not model.generates:
            raise BadRequestError(
                f"{model.path.name} ({model.architecture}) embeds texts; it does not generate any.",
                hint="Take a chat model.",
            )
        prompt = self._prompt(request)
        if len(prompt) + 1 > self.context_size:
            raise ContextOverflowError(
                f"The prompt has {len(prompt)} tokens; {model.path.name} takes {self.context_size} with its answer.",
                needed=len(prompt) + 1,
                available=self.context_size,
                hint="Raise engine.n_ctx where memory allows, shorten the prompt, or take a model with a longer context.",
            )
        if len(prompt) + request.max_tokens > self.context_size:
            raise ContextOverflowError(
                f"The prompt's {len(prompt)} tokens and an answer of up to {request.max_tokens} need "
                f"{len(prompt) + request.max_tokens}; {model.path.name} takes {self.context_size}.",
                needed=len(prompt) + request.max_tokens,
                available=self.context_size,
                hint="Ask for fewer max_tokens, raise engine.n_ctx, or shorten the prompt.",
            )
        matcher = self.compiler.matcher(request.constraint) if request.constraint is not None else None
        landing = None
        if matcher is not None and matcher.landing_tokens is not None:
            landing = Landing(self._strip, matcher.landing_tokens)
        start: list[int] = []
        end: list[int] = []
        if (reasoning := request.reasoning) is not None:
            end = model.tokenize(reasoning.end, parse_special=True)
            start = [] if reasoning.opened else model.tokenize(reasoning.start, parse_special=True)
        return Sequence(
            request,
            prompt,
            model,
            matcher=matcher,
            landing=landing,
            seed=self.settings.seed,
            think_start=start,
            think_end=end,
            deliver=deliver,
        )

    def submit(self, sequence: Sequence, put: Callable[[GenerationPiece | ParlantLocalError | None], None]) -> None:
        self.finishers[sequence] = put
        self.worker.submit(sequence)

    def _prompt(self, request: GenerationRequest) -> list[int]:
        model = self.model
        if isinstance(request.prompt, str):
            tokens = model.tokenize(request.prompt, parse_special=True)
        else:
            tokens = list(request.prompt)
            if any(not 0 <= token < model.n_vocab for token in tokens):
                raise BadRequestError(f"Token ids must be between 0 and {model.n_vocab - 1}.")
        add_bos = model.add_bos if request.add_bos is None else request.add_bos
        if add_bos and model.bos >= 0 and (not tokens or tokens[0] != model.bos):
            tokens.insert(0, model.bos)
        if not tokens:
            if model.bos < 0 and model.eos < 0:
                raise BadRequestError("The prompt is empty.", hint="Give at least one token.")
            tokens = [model.bos if model.bos >= 0 else model.eos]
        return tokens

    # -- on the engine's thread ---------------------------------------------------------------------------------------

    def _finished(self, sequence: Sequence, outcome: Generation | ParlantLocalError | None) -> None:
        put = self.finishers.pop(sequence, None)
        if put is None:
            return
        put(GenerationPiece(final=outcome) if isinstance(outcome, Generation) else outcome)

    def check_integrity(self) -> None:
        if self._scheduler is None:
            return
        self._scheduler.check_integrity()
        lost = [sequence for sequence in list(self.finishers) if sequence.stage != "new"]
        if lost and not self._scheduler.busy:
            raise EngineError(f"{len(lost)} callers wait for requests that are gone.")

    def now(self) -> dict[str, Any]:
        scheduler, store = self._scheduler, self._store
        facts: dict[str, Any] = {"loaded": True}
        if scheduler is not None and store is not None:
            facts.update(
                waiting=scheduler.waiting,
                running=scheduler.running,
                cells=self.sizing.layout.cells,
                cells_used=scheduler.cells_used,
                retained_prefixes=len(store),
                retained_bytes=store.size,
                prefixes_on_disk=self._disk.count if self._disk is not None else 0,
            )
        return facts


def _heard(loading: asyncio.Future[None]) -> None:
    """Takes note of a failure that every waiting caller may have been cancelled before hearing."""
    if not loading.cancelled():
        loading.exception()


async def _on(worker: Worker, function: Callable[[], T]) -> T:
    """Awaits ``function`` run on the engine's thread."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(value: T, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)

    def done(value: Any, error: BaseException | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone, and with it whoever waited
            loop.call_soon_threadsafe(settle, value, error)

    worker.call(function, done)
    return await future


def fingerprint(path: Path) -> str:
    """Tells files apart without reading gigabytes: size, time of change, and samples of the content."""
    path = user_path(path)
    status = path.stat()
    digest = hashlib.sha256(f"{status.st_size} {status.st_mtime_ns}".encode())
    with path.open("rb") as file:
        for part in range(9):
            file.seek(max(0, (status.st_size - 65_536) * part // 8))
            digest.update(file.read(65_536))
    return digest.hexdigest()
