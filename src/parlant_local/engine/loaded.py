"""Everything that exists only while a model is loaded. Created and released on the engine's thread."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parlant_local._version import __version__
from parlant_local.cores import usable_cores
from parlant_local.engine.account import MemoryAccount
from parlant_local.engine.admission import AdmissionRules
from parlant_local.engine.awaiting import on_thread
from parlant_local.engine.constraint import ConstraintCompiler
from parlant_local.engine.context import Context
from parlant_local.engine.embedding import EmbeddingContext
from parlant_local.engine.heap import give_back
from parlant_local.engine.intake import Intake
from parlant_local.engine.loading import LoadControl
from parlant_local.engine.media.projector import Projector
from parlant_local.engine.media.reading import MediaReader
from parlant_local.engine.model import LoadedModel
from parlant_local.engine.named_prefixes import KeptPrefix, NamedPrefixes, kept_prefixes, nth_prefix
from parlant_local.engine.native import library
from parlant_local.engine.outputs import OutputCache, OutputDisk
from parlant_local.engine.prefix_disk import PrefixDisk
from parlant_local.engine.prefixes import PrefixStore, RetainedPrefix, State, Tokens
from parlant_local.engine.requests import Generation, GenerationPiece, GenerationRequest
from parlant_local.engine.scheduler import Scheduler
from parlant_local.engine.sequence import Sequence
from parlant_local.engine.sizing import plan, usable_gpus
from parlant_local.engine.stats import StatsRecorder
from parlant_local.engine.vetting import Vetting
from parlant_local.engine.vetting.soundness import ensure_sound
from parlant_local.engine.weights import present
from parlant_local.engine.worker import Worker
from parlant_local.errors import BadRequestError, EngineError, InsufficientMemoryError, ParlantLocalError
from parlant_local.gguf_info import GGUFHeader, check_is_projector, in_use, read_header, shard_paths
from parlant_local.gguf_info.fingerprint import fingerprint
from parlant_local.observability import Logger
from parlant_local.paths import user_path
from parlant_local.settings import EngineSettings

__all__ = ["EngineSpec", "LoadedEngine", "Sink"]

Sink = Callable[[GenerationPiece | ParlantLocalError | None], None]
"""Receives a request's results, on any thread: pieces, the final generation, an error, or None where it was cancelled."""

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """What to load, and how."""

    path: Path
    settings: EngineSettings
    prefix_dir: Path | None = None
    output_dir: Path | None = None
    measured_dir: Path | None = None
    vetting: Vetting = Vetting()


class LoadedEngine:
    """Weights, contexts, scheduler and prefixes of one model, with the thread that owns them."""

    def __init__(
        self, spec: EngineSpec, worker: Worker, recorder: StatsRecorder, logger: Logger, control: LoadControl
    ) -> None:
        """Takes seconds to minutes, on the worker's thread. Raises :class:`ModelLoadError` and its subclasses,
        :class:`InvalidModelError`, or :class:`EngineClosedError` where ``control`` was cancelled."""
        self.worker = worker
        self.settings = spec.settings
        self._spec = spec
        self.recorder = recorder
        self._logger = logger
        self._resources = contextlib.ExitStack()
        self._context: Context | None = None
        self._embedding: EmbeddingContext | None = None
        self._media: MediaReader | None = None
        self.sinks: dict[Sequence, Sink] = {}
        self.requests: set[object] = set()
        """A ticket for each request in flight, from before it is tokenised."""
        try:
            self._load(control)
        except BaseException:
            self._resources.close()
            raise
        worker.on_exit(self.release)

    def _load(self, control: LoadControl) -> None:
        path = self._spec.path
        header = self._header = read_header(path)  # an invalid file fails here, before native code sees it
        self._resources.enter_context(in_use.hold(shard_paths(path)))  # it must not be deleted while it is mapped
        vetting = self._spec.vetting
        if self.settings.vetting != "never":
            ensure_sound(self.settings.library, vetting.verdicts, control, self._logger)
        if self._spec.measured_dir is not None:
            self.settings = self._with_findings(header, self._spec.measured_dir)
        self.sizing = plan(header, path.name, self.settings, shared=present(path))
        for message in self.sizing.messages:
            self._logger.warning(f"{path.name}: {message}")
        self._account = MemoryAccount(
            self.settings.memory_mb, lambda: self.memory_bytes - sum(self.gpu_bytes), lambda: self.gpu_bytes
        )
        self._resources.callback(self._account.close)
        self.model = LoadedModel(
            path,
            self.settings,
            vetting=vetting,
            layout=self.sizing.layout,
            control=control,
            logger=self._logger,
        )
        self._resources.callback(self.model.release)
        media = self._media = MediaReader(
            None if self.settings.projector is None else user_path(self.settings.projector),
            self.model,
            self._load_projector,
            self.sizing.layout.n_ubatch,
        )
        self._resources.callback(media.close)
        self._resources.callback(self._close_embedding_context)
        control.check()
        self.compiler = ConstraintCompiler(self.model, self.settings.constraints)
        self._scheduler: Scheduler | None = None
        self._store: PrefixStore | None = None
        self._disk: PrefixDisk | None = None
        self.context_size = self.sizing.layout.n_ctx
        self.outputs = self._make_outputs()
        self._intake = Intake(self.model, self.compiler, self.context_size, self.settings.seed)
        if self.model.generates:
            self._make_generation_context()
        control.check()

    def _make_generation_context(self) -> None:
        settings = self.settings
        context = self._context = Context(self.model, settings, self.sizing.layout)
        self._resources.callback(context.close)
        prefixes = settings.prefixes
        # A saved sliding-window state holds only its last window: trimmed, it would lack the window before the cut.
        trims = context.can_trim and not self.model.sliding_window
        store = self._store = PrefixStore(prefixes.memory_mb * _MIB, trims=trims, min_tokens=prefixes.min_tokens)
        if self._spec.prefix_dir is not None and prefixes.disk and prefixes.disk_mb:
            disk = self._disk = PrefixDisk(
                self._spec.prefix_dir, self._prefix_key(), prefixes.disk_mb * _MIB, self._logger
            )
            self._resources.callback(disk.close)
            for entry in disk.entries():
                store.add(entry)
        rules = AdmissionRules(
            unified=self.sizing.layout.unified,
            shared_attention=self.sizing.layout.unified and not self.sizing.layout.gpu_layers,
            trims=trims,
            min_tokens=prefixes.min_tokens,
            first_wave=self.sizing.layout.first_wave,
        )
        self._scheduler = Scheduler(
            context,
            store,
            self._disk,
            rules,
            self.recorder,
            self._logger,
            self._finished,
            self._missing_memory,
            self.media.projector,
        )
        self.worker.attach(self._scheduler, context.abort)

    def _make_outputs(self) -> OutputCache | None:
        """Where results are kept; None where none are."""
        settings = self.settings.outputs
        disk = None
        if self._spec.output_dir is not None and settings.disk and settings.disk_mb:
            disk = OutputDisk(self._spec.output_dir, self._output_key(), settings.disk_mb * _MIB, self._logger)
        elif not settings.memory_mb:
            return None
        cache = OutputCache(settings.memory_mb * _MIB, disk)
        self._resources.callback(cache.close)
        return cache

    @property
    def _cells(self) -> int:
        return self.sizing.layout.cells if self._context is None else self._context.cells

    @property
    def media(self) -> MediaReader:
        assert self._media is not None  # from loading on
        return self._media

    @property
    def memory_bytes(self) -> int:
        """What it takes now, on GPUs as well, as estimated; retained prefixes have a limit of their own."""
        embedding = self._embedding
        media = 0 if self._media is None else self._media.memory_bytes
        estimate = self.sizing.at(self._cells)
        return (
            estimate.total
            - self._counted_by_others(estimate.weights)
            + media
            + (0 if embedding is None else embedding.memory_bytes)
        )

    def _counted_by_others(self, weights: int) -> int:
        """Bytes of ``weights`` that other engines of this file count, each its part."""
        loaded: LoadedModel | None = self.__dict__.get("model")  # the account asks while it is being loaded, too
        return 0 if loaded is None else weights - weights // loaded.users

    @property
    def gpu_bytes(self) -> tuple[int, ...]:
        """What of it is in each GPU's own memory."""
        return self.sizing.on_gpus(self._cells)

    def _missing_memory(self, cells: int) -> int:
        """Bytes that are missing for a cache of ``cells``."""
        assert self._scheduler is not None
        sizing, now = self.sizing, self._cells
        moved = sizing.at(now).kv_cache * self._scheduler.cells_used // now
        missing = self._account.missing(sizing.in_ram(cells) - sizing.in_ram(now), passing=moved)
        if (wanted := sizing.on_gpus(cells)) and not missing:
            held = zip(wanted, sizing.on_gpus(now), usable_gpus(self.settings), strict=True)
            missing = max(0, *(size - own - gpu.free for size, own, gpu in held))
        return missing

    def _load_projector(self, path: Path) -> Projector:
        layout = self.sizing.layout
        check_is_projector(read_header(path))
        if (missing := self._account.missing(path.stat().st_size)) > 0:
            raise InsufficientMemoryError(
                f"{path.name} needs {path.stat().st_size:,} bytes, and {missing:,} of them are not there.",
                needed=path.stat().st_size,
                available=path.stat().st_size - missing,
                hint="Unload other models, or lower engine.n_ctx; engine.memory_mb is what loaded models may take together.",
            )
        return Projector(path, self.model, threads=layout.n_threads_batch, gpu=layout.gpu_layers > 0)

    def _with_findings(self, header: GGUFHeader, folder: Path) -> EngineSettings:
        from parlant_local.engine.saved import with_findings, without_costly_layout

        settings, path = self.settings, self._spec.path
        found = with_findings(settings, folder, path, self._logger)
        return without_costly_layout(found, settings, header, path.name)

    def _prefix_key(self) -> str:
        """Everything that a saved state depends on."""
        settings, lib = self.settings, library()
        parts = [
            fingerprint(self._spec.path),
            self.sizing.layout.kv_type,
            self.sizing.layout.flash_attention,
            settings.rope_freq_base,
            settings.rope_freq_scale,
            self._header.long_rope_from(self.context_size),
            sorted(settings.lora.items()),
            [fingerprint(user_path(path)) for path in sorted(settings.lora)],
            [(fingerprint(user_path(path)), strength) for path, strength in sorted(settings.control_vectors.items())],
            settings.control_vector_layers,
            str(lib.build),
            None if settings.projector is None else fingerprint(user_path(settings.projector)),
        ]
        return repr(parts)

    def _output_key(self) -> str:
        """Everything that an answer depends on besides its request."""
        return repr([__version__, self._prefix_key(), self.settings.constraints.model_dump_json()])

    def release(self) -> None:
        """Frees contexts and weights, and drops all reference cycles: memory is freed now, not at some garbage collection."""
        self._resources.close()
        if self._store is not None:
            self._store.clear()
        self._context = self._scheduler = self._store = self._disk = self._embedding = None
        give_back()

    # -- embedding ----------------------------------------------------------------------------------------------------

    async def embedding(self) -> EmbeddingContext:
        if self._embedding is None:
            return await on_thread(self.worker, self._make_embedding_context)
        return self._embedding

    def _make_embedding_context(self) -> EmbeddingContext:
        if self._embedding is None:
            threads = self.settings.n_threads_batch or self.settings.n_threads or usable_cores()
            self._embedding = EmbeddingContext(self.model, self._header, self.settings, threads, self._account.missing)
        return self._embedding

    def _close_embedding_context(self) -> None:
        embedding, self._embedding = self._embedding, None
        if embedding is not None:
            embedding.close()

    async def pooled(self, context: EmbeddingContext, lists: list[list[int]]) -> Any:
        """Raw pooled rows of ``lists``. A native failure closes the embedding context, which the next call recreates."""

        def compute() -> Any:
            # Another request's failure may have closed it since, which leaves its pointers dangling.
            current = self._make_embedding_context() if context.closed else context
            try:
                return current.compute(lists)
            except BaseException:
                if self._embedding is current:
                    self._close_embedding_context()
                raise

        return await on_thread(self.worker, compute, batch=True)

    # -- requests (any thread) ----------------------------------------------------------------------------------------

    def sequence(self, request: GenerationRequest, deliver: Callable[[GenerationPiece], None] | None) -> Sequence:
        return self._intake.sequence(request, deliver)

    def submit(self, sequence: Sequence, put: Sink) -> None:
        self.sinks[sequence] = put
        self.worker.submit(sequence)

    # -- on the engine's thread ---------------------------------------------------------------------------------------

    def _finished(self, sequence: Sequence, outcome: Generation | ParlantLocalError | None) -> None:
        put = self.sinks.pop(sequence, None)
        if put is None:
            return
        put(GenerationPiece(final=outcome) if isinstance(outcome, Generation) else outcome)

    def kept_prefixes(self) -> list[KeptPrefix]:
        return [
            KeptPrefix(int(entry.tokens.size), entry.size, entry.static, entry.read is not None)
            for entry in kept_prefixes(self._store)
        ]

    def take_prefix(self, place: int) -> tuple[Tokens, State]:
        """A kept prefix, whose arrays nobody changes."""
        entry = nth_prefix(self._store, place)
        assert self._store is not None  # it has an entry
        if (state := self._store.load(entry)) is None:
            raise BadRequestError(f"The prefix {place} is no longer there.", hint="Send its prompt again.")
        return entry.tokens, state

    def put_prefix(self, tokens: Tokens, state: State) -> None:
        self.model.check_tokens(tokens.tolist())
        if self._store is None or not self._store.add(RetainedPrefix(tokens, "", None, state)):
            raise BadRequestError(
                f"A prefix of {tokens.size} tokens and {state.nbytes >> 20} MiB can't be kept.",
                hint="See engine.prefixes.memory_mb and engine.prefixes.min_tokens.",
            )

    def erase_prefix(self, place: int) -> int:
        """The number of its tokens."""
        entry = nth_prefix(self._store, place)
        assert self._store is not None  # as above
        self._store.remove(entry)
        return int(entry.tokens.size)

    def named_prefixes(self, folder: Path) -> NamedPrefixes:
        return NamedPrefixes(folder, self._prefix_key(), self.settings.prefixes.saved_mb)

    def check_integrity(self) -> None:
        if self._scheduler is None:
            return
        self._scheduler.check_integrity()
        orphaned = [sequence for sequence in list(self.sinks) if sequence.stage != "new"]
        if orphaned and not self._scheduler.busy:
            raise EngineError(f"{len(orphaned)} callers wait for requests that no longer exist.")

    def ahead_of(self, sequence: Sequence) -> int:
        return self._scheduler.ahead_of(sequence) if self._scheduler is not None else 0

    def gauges(self) -> dict[str, Any]:
        scheduler, store = self._scheduler, self._store
        facts: dict[str, Any] = {"loaded": True}
        if scheduler is not None and store is not None:
            facts.update(
                waiting=scheduler.waiting,
                running=scheduler.running,
                cells=scheduler.cells,
                cells_used=scheduler.cells_used,
                retained_prefixes=len(store),
                retained_bytes=store.size,
                prefixes_on_disk=self._disk.count if self._disk is not None else 0,
            )
        if (outputs := self.outputs) is not None:
            facts.update(output_hits=outputs.hits, output_misses=outputs.misses, outputs_bytes=outputs.size)
        return facts
