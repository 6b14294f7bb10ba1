"""The step: admit, batch, decode, sample. Runs on the engine's thread and owns every live sequence."""

from __future__ import annotations

import time
from collections.abc import Callable

from parlant_local.engine.admission import AdmissionRules, Start, choose
from parlant_local.engine.cells import CellLedger
from parlant_local.engine.context import Batch, Context
from parlant_local.engine.failures import typed
from parlant_local.engine.growth import CellGrowth, MissingMemory
from parlant_local.engine.media.projector import Projector
from parlant_local.engine.media.spans import Span
from parlant_local.engine.prefix_disk import PrefixDisk
from parlant_local.engine.prefixes import PrefixStore
from parlant_local.engine.requests import Generation
from parlant_local.engine.reuse import PrefixReuse
from parlant_local.engine.sequence import Sequence
from parlant_local.engine.stats import StatsRecorder
from parlant_local.errors import DeadlineExceededError, EngineError, ParlantLocalError
from parlant_local.observability import Logger

__all__ = ["Finished", "Scheduler"]

Finished = Callable[[Sequence, Generation | ParlantLocalError | None], None]
"""Called once per sequence: with its result, its failure, or None where it was cancelled."""

_MIXED_STEP = 64  # tokens of a step that mixes decode and prefill: long prompts must not stall short answers


class Scheduler:
    """Continuous batching over one context."""

    def __init__(
        self,
        context: Context,
        store: PrefixStore,
        disk: PrefixDisk | None,
        rules: AdmissionRules,
        stats: StatsRecorder,
        logger: Logger,
        finished: Finished,
        missing_memory: MissingMemory,
        projector: Callable[[], Projector],
    ) -> None:
        self._context = context
        self._store = store
        self._rules = rules
        self._stats = stats
        self._logger = logger
        self._finished = finished
        self._projector = projector
        self._batch = Batch(context.layout.n_batch)
        self._ledger = CellLedger()
        self._growth = CellGrowth(context, self._ledger, store, missing_memory, logger)
        self._prefixes = PrefixReuse(context, self._ledger, store, disk, rules, logger)
        self._free = list(range(context.layout.n_seq - 1, -1, -1))
        self._waiting: list[Sequence] = []
        self._live: list[Sequence] = []
        self._any_answered = False  # since the engine was last idle
        self._in_batch: list[
            tuple[Sequence, int, int]
        ] = []  # sequence, tokens in this batch, index of its logits or -1
        self._span: Span | None = None
        """What this step computes instead of a batch: embeddings of the one sequence in it."""

    # -- from outside a step ------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def ahead_of(self, sequence: Sequence) -> int:
        """Waiting requests that are before it in the queue. From any thread."""
        return sum(other.rank < sequence.rank for other in list(self._waiting))

    @property
    def running(self) -> int:
        return len(self._live)

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._live)

    @property
    def cells(self) -> int:
        return self._context.cells

    @property
    def cells_used(self) -> int:
        return self._ledger.used

    def submit(self, sequence: Sequence) -> None:
        if not self.busy:
            self._any_answered = False
        if sequence.finished:  # a grammar that allows one answer only: nothing is left to compute
            self._complete(sequence)
            return
        self._prefixes.look_around()
        sequence.stage = "waiting"
        self._waiting.append(sequence)

    def prefill_share(self, sequence: Sequence) -> float:
        """Share of the batch being decoded that is this sequence's."""
        batch = list(self._in_batch)
        whole = sum(count for _, count, _ in batch)
        return sum(count for other, count, _ in batch if other is sequence) / whole if whole else 0.0

    # -- the step -----------------------------------------------------------------------------------------------------

    def prepare(self) -> bool:
        """Drops cancelled and overdue requests, admits, builds the batch; False where there is nothing to compute."""
        self._drop_cancelled()
        embedded, self._span = self._span is not None, None
        if embedded or not self._build_span():
            self._build_batch()  # steps of both kinds take turns, so that neither waits for all of the other
            if not self._batch.size:
                self._build_span()
        return bool(self._in_batch)

    def compute(self) -> str:
        """The native part: one ``llama_decode``, or as many as a picture takes."""
        if self._span is None:
            return self._context.decode(self._batch)
        [(sequence, _, _)] = self._in_batch
        position = sequence.spans.position(sequence.computed)
        return self._context.decode_span(self._projector(), self._span, sequence.slot, position)

    def conclude(self, status: str) -> None:
        """Accounts for what was computed and samples the next tokens."""
        batch, self._in_batch = self._in_batch, []
        if status != "ok":
            self._recover(batch, status)
            return
        for sequence, count, _ in batch:
            sequence.computed += count
            self._ledger.grow(sequence.slot, count)
            self._prefixes.save_checkpoints(sequence)
        for sequence, _, index in batch:
            if index < 0 or sequence.cancelled:
                continue
            sequence.stage = "decode"
            try:
                sequence.take(self._context.logits(index))
            except BaseException as error:  # one request's grammar or sampler must not fail the others
                self._free_slot(sequence)
                self._stats.failed += 1
                self._finished(sequence, typed(error))
                continue
            if sequence.finished:
                self._prefixes.retain(sequence)
                self._free_slot(sequence)
                self._complete(sequence)

    def fail_all(self, error: ParlantLocalError) -> None:
        """Fails all requests. The KV cache is left as it is: the context is about to be freed."""
        sequences = [*self._live, *self._waiting]
        self._live.clear()
        self._waiting.clear()
        for sequence in sequences:
            sequence.stage = "done"
            self._stats.failed += 1
            self._finished(sequence, error)

    # -- parts of a step ----------------------------------------------------------------------------------------------

    def _drop_cancelled(self) -> None:
        now = time.monotonic()
        for sequence in [*self._waiting, *self._live]:
            deadline = sequence.request.deadline
            overdue = deadline is not None and now - sequence.clock.submitted > deadline
            if not (sequence.cancelled or overdue):
                continue
            if sequence.slot >= 0:
                self._prefixes.retain(sequence)
                self._free_slot(sequence)
            else:
                self._waiting.remove(sequence)
            if sequence.cancelled:
                self._stats.cancelled += 1
                self._finished(sequence, None)
            else:
                self._stats.failed += 1
                self._finished(
                    sequence,
                    DeadlineExceededError(
                        f"The deadline of {deadline:g} s passed after {len(sequence.tokens) - sequence.prompt.size} tokens.",
                        hint="Allow more time, or shorten the prompt.",
                    ),
                )

    def _build_span(self) -> bool:
        """Takes the embeddings that a sequence has come to, if one has."""
        for sequence in sorted((s for s in self._live if s.stage == "prefill"), key=lambda s: s.rank):
            if (span := sequence.spans.at(sequence.computed)) is not None:
                self._batch.clear()
                self._span, self._in_batch = span, [(sequence, span.length, -1)]
                self._growth.make_room(self._in_batch)
                return True
        return False

    def _build_batch(self) -> None:
        self._batch.clear()
        self._in_batch = []
        decoding = [s for s in self._live if s.stage == "decode"]
        for sequence in decoding:
            self._add_pending(sequence, self._batch.capacity)
        budget = min(self._prefill_budget(), self._batch.room)
        for sequence in sorted((s for s in self._live if s.stage == "prefill"), key=lambda s: s.rank):
            budget -= self._add_pending(sequence, budget)
        while budget > 0 and (start := self._next_start()) is not None:
            if self._growth.has_room_for(start, self._batch.size):
                self._admit(start)
                budget -= self._add_pending(start.sequence, budget)
            elif self._live:
                break  # it waits until others have finished
            else:
                self._refuse(start.sequence)
        self._growth.make_room(self._in_batch)  # where there is none, decoding says so

    def _prefill_budget(self) -> int:
        """Prompt tokens that may join the decoding ones: what fills the step up, plus another step where that would be little.

        Matrix kernels are fastest at multiples of 16 rows, and a prefill in small pieces reads the weights again for each.
        """
        n_ubatch = self._context.layout.n_ubatch
        if not self._batch.size:
            return n_ubatch
        step = min(n_ubatch, max(_MIXED_STEP, n_ubatch // 4))
        budget = -self._batch.size % step
        return budget if budget >= step // 4 else budget + step

    def _add_pending(self, sequence: Sequence, budget: int) -> int:
        """Puts up to ``budget`` pending tokens into the batch; returns how many."""
        count = min(sequence.pending, budget, self._batch.room)
        pause = sequence.next_pause()
        if sequence.spans.at(sequence.computed) is not None:
            return 0
        if pause is not None:
            count = min(count, pause - sequence.computed)
        if count <= 0:
            return 0
        whole = count == sequence.pending
        start = sequence.computed
        tokens, position = sequence.tokens[start : start + count], sequence.spans.position(start)
        index = self._batch.add(sequence.slot, tokens, position, output_last=whole)
        self._in_batch.append((sequence, count, index if whole else -1))
        return count

    def _next_start(self) -> Start | None:
        if not self._waiting or not self._free:
            return None
        max_live = self._max_live()
        if len(self._live) > 1 and not any(s.request.priority == "interactive" for s in self._waiting):
            max_live -= 1  # the last slot is reserved for interactive calls
        if len(self._live) >= max_live:
            return None
        free_cells = 0
        if self._rules.unified:
            promised = sum(s.max_size - s.computed for s in self._live)
            free_cells = self._growth.limit - self._ledger.used - promised
        return choose(self._waiting, self._live, self._store, self._rules, free_cells)

    def _max_live(self) -> int:
        """The first wave until one request has finished, since each further sequence delays the first answer; then all slots,
        which finishes the whole set sooner."""
        layout = self._context.layout
        return layout.n_seq if self._any_answered else min(layout.first_wave, layout.n_seq)

    def _admit(self, start: Start) -> None:
        sequence = start.sequence
        self._waiting.remove(sequence)
        sequence.slot = self._free.pop()
        self._ledger.open(sequence.slot)
        sequence.stage = "prefill"
        if not sequence.clock.admitted:
            sequence.clock.admitted = time.monotonic()
        self._live.append(sequence)
        length = self._prefixes.load(start)
        sequence.computed = length
        sequence.reused = min(length, int(sequence.prompt.size))
        self._prefixes.plan_checkpoints(sequence)
        self._prefixes.save_checkpoints(sequence)  # what was shared or restored may be a checkpoint already

    def _refuse(self, sequence: Sequence) -> None:
        """Fails a waiting request that no memory is left for."""
        self._waiting.remove(sequence)
        sequence.stage = "done"
        self._stats.failed += 1
        self._finished(sequence, self._growth.shortage(sequence))

    def _recover(self, batch: list[tuple[Sequence, int, int]], status: str) -> None:
        """After an abort or a full cache: keeps what was computed; the rest is computed again."""
        for sequence, count, _ in batch:
            held, spans = self._context.length(sequence.slot), sequence.spans
            cached = spans.index(held)
            if not self._rules.trims and held != spans.held(sequence.computed):
                # An abort halfway leaves a recurrent state that is neither the old one nor the new one.
                self._reset(sequence)
                continue
            # The logits of a finished micro-batch are lost: its last token must be computed again.
            keep = max(sequence.computed, spans.whole(min(cached, sequence.computed + count - 1)))
            if held > spans.held(keep) and not self._context.trim(sequence.slot, spans.position(keep)):
                self._reset(sequence)
                continue
            self._ledger.grow(sequence.slot, keep - sequence.computed)
            sequence.computed = keep
        if status == "no_room":
            self._preempt_youngest()

    def _reset(self, sequence: Sequence) -> None:
        self._context.drop(sequence.slot)
        self._ledger.trim(sequence.slot, 0)
        sequence.computed = sequence.reused = 0

    def _preempt_youngest(self) -> None:
        """The cache was fuller than accounted for: the youngest sequence starts over later."""
        youngest = max(self._live, key=lambda s: s.rank)
        if len(self._live) == 1:
            self._free_slot(youngest)
            self._stats.failed += 1
            self._finished(youngest, self._growth.shortage(youngest))
            return
        self._free_slot(youngest)
        youngest.stage, youngest.computed = "waiting", 0
        self._waiting.append(youngest)
        self._logger.warning("The KV cache ran out of cells; the youngest request waits for others to finish.")

    # -- endings ------------------------------------------------------------------------------------------------------

    def _complete(self, sequence: Sequence) -> None:
        self._any_answered = True
        try:
            result = sequence.result()
        except Exception as error:
            self._stats.failed += 1
            self._finished(sequence, typed(error))
            return
        self._stats.record(result.usage.prompt_tokens, result.timings)
        self._finished(sequence, result)

    def _free_slot(self, sequence: Sequence) -> None:
        self._context.drop(sequence.slot)
        self._ledger.close(sequence.slot)
        self._free.append(sequence.slot)
        sequence.slot = -1
        sequence.stage = "done"
        self._live.remove(sequence)

    # -- checks --------------------------------------------------------------------------------------------------------

    def check_integrity(self) -> None:
        """Raises where the accounting and llama.cpp's memory differ; when idle, where anything is left at all."""
        n_seq = self._context.layout.n_seq
        live = {sequence.slot: sequence for sequence in self._live}
        problems = []
        if len(self._free) + len(live) != n_seq or set(self._free) & set(live):
            problems.append(f"{len(self._free)} free and {len(live)} live slots of {n_seq}")
        for slot in range(n_seq):
            held = self._context.length(slot)
            wanted = live[slot].computed if slot in live else 0
            if (live[slot].spans.held(wanted) if slot in live else 0) != held:
                problems.append(f"slot {slot} holds {held} positions instead of those of {wanted} tokens")
            if slot in live and self._ledger.length(slot) != wanted:
                problems.append(f"slot {slot} is accounted with {self._ledger.length(slot)} cells instead of {wanted}")
        if not live and (self._ledger.used or len(self._ledger)):
            problems.append(f"{self._ledger.used} cells are accounted to no sequence")
        if problems:
            raise EngineError(f"The engine's accounting is wrong: {'; '.join(problems)}.")
