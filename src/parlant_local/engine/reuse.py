"""Prefix reuse over time: the state that a sequence starts from, and the states of it that are worth retaining."""

from __future__ import annotations

from collections import OrderedDict, deque

from parlant_local.engine.admission import AdmissionRules, Start
from parlant_local.engine.cells import CellLedger
from parlant_local.engine.context import Context
from parlant_local.engine.failures import typed
from parlant_local.engine.prefix_disk import PrefixDisk
from parlant_local.engine.prefixes import PrefixStore, RetainedPrefix, Tokens, common_length
from parlant_local.engine.sequence import Checkpoint, Sequence
from parlant_local.observability import Logger

__all__ = ["PrefixReuse"]

_HISTORY_LENGTH = 4  # prompts per group that new ones are compared with
_MAX_GROUPS = 128


class PrefixReuse:
    """Moves states between the context, the store and the disk. Used from the engine's thread alone."""

    def __init__(
        self,
        context: Context,
        ledger: CellLedger,
        store: PrefixStore,
        disk: PrefixDisk | None,
        rules: AdmissionRules,
        logger: Logger,
    ) -> None:
        self._context = context
        self._ledger = ledger
        self._store = store
        self._disk = disk
        self._rules = rules
        self._logger = logger
        self._history: OrderedDict[str, deque[tuple[Tokens, str | None]]] = OrderedDict()

    def look_around(self) -> None:
        """Takes note of the static prefixes that other processes have put into the folder."""
        for entry in () if self._disk is None else self._disk.fresh():
            self._store.add(entry)

    def load(self, start: Start) -> int:
        """Fills the sequence's slot from its source; the number of tokens that it then holds."""
        slot, length = start.sequence.slot, start.length
        if start.live is not None:
            source = start.live
            if self._rules.unified:
                if self._context.fork(source.slot, slot, start.sequence.spans.position(length)):
                    self._ledger.fork(source.slot, slot, length)
                    return length
                return 0
            # In a split cache a fork copies the whole stream; a saved state copies the used part, and serves the next request, too.
            entry = self._retain_state(source, source.tokens[: source.computed])
            return 0 if entry is None else self._restore(start.sequence, entry, length)
        if start.retained is not None:
            self._store.touch(start.retained)
            return self._restore(start.sequence, start.retained, length)
        return 0

    def _restore(self, sequence: Sequence, entry: RetainedPrefix, length: int) -> int:
        slot, held = sequence.slot, sequence.spans.held(length)
        try:
            state = self._store.load(entry)
        except MemoryError:
            self._logger.warning(f"No memory to restore a prefix of {entry.tokens.size} tokens; it is computed again.")
            return 0
        if state is None:
            return 0
        if not self._context.restore(slot, state) or self._context.length(slot) < held:
            self._context.drop(slot)
            self._store.remove(entry)
            self._logger.warning("A retained prefix no longer fits its context and was dropped.")
            return 0
        if self._context.length(slot) > held and not self._context.trim(slot, sequence.spans.position(length)):
            self._context.drop(slot)
            return 0
        self._ledger.grow(slot, length)
        return length

    def plan_checkpoints(self, sequence: Sequence) -> None:
        """Plans checkpoints where this prompt diverges from earlier ones of its group.

        Always for memories that can't be trimmed; otherwise for what two sessions share, which goes to disk.
        """
        earlier = self._history.get(sequence.group, ())
        session = sequence.request.session
        positions: dict[int, bool] = {}
        limit = int(sequence.prompt.size) - 1
        for tokens, other in earlier:
            length = sequence.spans.whole(min(common_length(tokens, sequence.prompt), limit))
            static = session is not None and other is not None and session != other
            if length >= self._rules.min_tokens and (static or not self._rules.trims):
                positions[length] = positions.get(length, False) or static
        for position, static in sorted(positions.items()):
            if position >= sequence.computed and not self._store_has(sequence.prompt[:position], static):
                sequence.checkpoints.append(Checkpoint(position, static))
        history = self._history.setdefault(sequence.group, deque(maxlen=_HISTORY_LENGTH))
        self._history.move_to_end(sequence.group)
        history.append((sequence.prompt, session))
        while len(self._history) > _MAX_GROUPS:
            self._history.popitem(last=False)

    def _store_has(self, tokens: Tokens, static: bool) -> bool:
        return any(
            entry.tokens.size == tokens.size
            and entry.static >= static
            and common_length(entry.tokens, tokens) == tokens.size
            for entry in self._store
        )

    def save_checkpoints(self, sequence: Sequence) -> None:
        """Saves the state of a sequence that has reached a planned checkpoint."""
        for checkpoint in list(sequence.checkpoints):
            if checkpoint.position > sequence.computed:
                return
            sequence.checkpoints.remove(checkpoint)
            if checkpoint.position == sequence.computed:
                self._retain_state(sequence, sequence.prompt[: checkpoint.position], static=checkpoint.static)

    def retain(self, sequence: Sequence) -> None:
        """Retains the state of a finished sequence, unless a retained one already covers most of it."""
        prompt_only = bool(sequence.group)
        length = min(sequence.computed, int(sequence.prompt.size)) if prompt_only else sequence.computed
        if length < self._rules.min_tokens or self._store.covers(sequence.tokens[:length]):
            return
        held, position = sequence.spans.held(length), sequence.spans.position(length)
        if self._context.length(sequence.slot) > held and not self._context.trim(sequence.slot, position):
            if prompt_only:
                return  # its checkpoints suffice
            length = sequence.computed
        self._retain_state(sequence, sequence.tokens[:length])

    def _retain_state(self, sequence: Sequence, tokens: Tokens, *, static: bool = False) -> RetainedPrefix | None:
        """Retains a sequence's state as that of ``tokens``; None where that fails, which costs time but no answer."""
        try:
            entry = RetainedPrefix(
                tokens=tokens.copy(),
                group=sequence.group,
                session=sequence.request.session,
                state=self._context.save(sequence.slot),
                static=static,
            )
            if self._store.add(entry) and static and self._disk is not None:
                self._disk.write(entry)
        except Exception as error:  # whatever it is, the answers go on without it
            self._logger.warning(f"A prefix of {tokens.size} tokens could not be kept: {typed(error).message}")
            return None
        return entry
