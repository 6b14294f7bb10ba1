"""Everything that exists only while a model is loaded. Made and unmade on the engine's thread."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parlant_local.cores import usable_cores
from parlant_local.engine.admission import AdmissionRules
from parlant_local.engine.awaiting import on_thread
from parlant_local.engine.checking import check
from parlant_local.engine.constraint import ConstraintCompiler
from parlant_local.engine.constraint.landing import LandingStrip
from parlant_local.engine.constraint.marked_landing import landing_of
from parlant_local.engine.context import Context
from parlant_local.engine.embedding import EmbeddingContext
from parlant_local.engine.loading import LoadControl
from parlant_local.engine.model import LoadedModel
from parlant_local.engine.native import library
from parlant_local.engine.prefix_disk import PrefixDisk
from parlant_local.engine.prefixes import PrefixStore
from parlant_local.engine.requests import Generation, GenerationPiece, GenerationRequest
from parlant_local.engine.scheduler import Scheduler
from parlant_local.engine.sequence import Sequence
from parlant_local.engine.sizing import on_gpu, plan
from parlant_local.engine.stats import StatsRecorder
from parlant_local.engine.vetting import Vetting
from parlant_local.engine.worker import Worker
from parlant_local.errors import BadRequestError, ContextOverflowError, EngineError, ParlantLocalError
from parlant_local.gguf_info import GGUFHeader, in_use, read_header, shard_paths
from parlant_local.gguf_info.fingerprint import fingerprint
from parlant_local.observability import Logger
from parlant_local.settings import EngineSettings

__all__ = ["EngineSpec", "LoadedEngine", "Put"]

Put = Callable[[GenerationPiece | ParlantLocalError | None], None]
"""Takes what comes of a request, from any thread: pieces, the whole, a failure, or None where it was cancelled."""

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """What is to be loaded, and how."""

    path: Path
    settings: EngineSettings
    prefix_dir: Path | None = None
    measured_dir: Path | None = None
    vetting: Vetting = Vetting()


class LoadedEngine:
    """Weights, contexts, scheduler and prefixes of one model, with the thread that owns them."""

    def __init__(
        self, spec: EngineSpec, worker: Worker, recorder: StatsRecorder, logger: Logger, control: LoadControl
    ) -> None:
        """Seconds to minutes, on the worker's thread. Raises :class:`ModelLoadError` and its kin,
        :class:`InvalidModelError`, or :class:`EngineClosedError` where ``control`` gave up."""
        self.worker = worker
        self.settings = spec.settings
        self._spec = spec
        self.recorder = recorder
        self._logger = logger
        self._hold = contextlib.ExitStack()
        self._embedding: EmbeddingContext | None = None
        self.finishers: dict[Sequence, Put] = {}
        self.requests: set[object] = set()
        """A mark for each request under way, from before it is tokenised."""
        try:
            self._load(control)
        except BaseException:
            self._hold.close()
            raise
        worker.end_with(self.release)

    def _load(self, control: LoadControl) -> None:
        path = self._spec.path
        header = read_header(path)  # a broken file ends here, before native code sees it
        self._hold.enter_context(in_use.hold(shard_paths(path)))  # nobody deletes it while it is mapped
        if self._spec.measured_dir is not None:
            self.settings = self._as_measured(header, self._spec.measured_dir)
        self.sizing = plan(header, path.name, self.settings)
        for message in self.sizing.messages:
            self._logger.warning(f"{path.name}: {message}")
        self.model = LoadedModel(
            path,
            self.settings,
            vetting=self._spec.vetting,
            layout=self.sizing.layout,
            control=control,
            logger=self._logger,
        )
        self._hold.callback(self.model.release)
        self._hold.callback(self._close_embedding_context)
        control.check()
        self.compiler = ConstraintCompiler(self.model, self.settings.constraints)
        self._strip = LandingStrip(self.model)
        self._context: Context | None = None
        self._scheduler: Scheduler | None = None
        self._store: PrefixStore | None = None
        self._disk: PrefixDisk | None = None
        self.context_size = self.sizing.layout.n_ctx
        if self.model.generates:
            self._make_generation_context()
        control.check()

    def _make_generation_context(self) -> None:
        settings = self.settings
        context = self._context = Context(self.model, settings, self.sizing.layout)
        self._hold.callback(context.close)
        self.context_size = min(self.sizing.layout.n_ctx, context.n_ctx_seq)
        prefixes = settings.prefixes
        # A saved state of a sliding window has its last window only: cut back, it would lack what came before the cut.
        trims = context.trims and not self.model.sliding_window
        store = self._store = PrefixStore(prefixes.memory_mb * _MIB, trims=trims, min_tokens=prefixes.min_tokens)
        if self._spec.prefix_dir is not None and prefixes.disk and prefixes.disk_mb:
            disk = self._disk = PrefixDisk(
                self._spec.prefix_dir, self._prefix_key(), prefixes.disk_mb * _MIB, self._logger
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
        self._scheduler = Scheduler(context, store, self._disk, rules, self.recorder, self._logger, self._finished)
        self.worker.attach(self._scheduler, context.abort)

    def _as_measured(self, header: GGUFHeader, folder: Path) -> EngineSettings:
        from parlant_local.engine.saved import that_fits, with_saved

        asked, path = self.settings, self._spec.path
        found = with_saved(asked, folder, path, self._logger)
        return that_fits(found, asked, header, path.name)

    def _prefix_key(self) -> str:
        """Everything a saved state depends on."""
        settings, lib = self.settings, library()
        parts = [
            fingerprint(self._spec.path),
            self.sizing.layout.kv_type,
            self.sizing.layout.flash_attention,
            settings.rope_freq_base,
            settings.rope_freq_scale,
            sorted(settings.lora.items()),
            [fingerprint(Path(path)) for path in sorted(settings.lora)],
            lib.__version__,
        ]
        return repr(parts)

    def release(self) -> None:
        """Frees contexts and weights, and lets go of all that refers back here: memory returns now, not at some collection."""
        self._hold.close()
        if self._store is not None:
            self._store.clear()
        self._context = self._scheduler = self._store = self._disk = self._embedding = None

    # -- embedding ----------------------------------------------------------------------------------------------------

    async def embedding(self) -> EmbeddingContext:
        if self._embedding is None:
            return await on_thread(self.worker, self._make_embedding_context)
        return self._embedding

    def _make_embedding_context(self) -> EmbeddingContext:
        if self._embedding is None:
            threads = self.settings.n_threads_batch or self.settings.n_threads or usable_cores()
            self._embedding = EmbeddingContext(self.model, self.settings, threads)
        return self._embedding

    def _close_embedding_context(self) -> None:
        embedding, self._embedding = self._embedding, None
        if embedding is not None:
            embedding.close()

    async def pooled(self, context: EmbeddingContext, lists: list[list[int]]) -> Any:
        """Raw pooled rows of ``lists``. A native failure costs the embedding context, which the next call makes anew."""

        def compute() -> Any:
            # Another's failure may have closed it since: its pointers lead nowhere.
            usable = self._make_embedding_context() if context.closed else context
            try:
                return usable.compute(lists)
            except BaseException:
                if self._embedding is usable:
                    self._close_embedding_context()
                raise

        return await on_thread(self.worker, compute, batch=True)

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
            landing=landing_of(self._strip, matcher) if matcher is not None else None,
            seed=self.settings.seed,
            think_start=start,
            think_end=end,
            deliver=deliver,
        )

    def submit(self, sequence: Sequence, put: Put) -> None:
        self.finishers[sequence] = put
        self.worker.submit(sequence)

    def _prompt(self, request: GenerationRequest) -> list[int]:
        model = self.model
        if isinstance(request.prompt, str):
            tokens = model.tokenize(request.prompt, parse_special=True)
        else:
            tokens = list(request.prompt)
            model.check_tokens(tokens)
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
