"""Admission: which waiting request starts next, and from which prefix. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from parlant_local.engine.prefixes import PrefixStore, RetainedPrefix, common_length
from parlant_local.engine.sequence import Sequence

__all__ = ["AdmissionRules", "Start", "choose"]

_MIN_SHARED_TO_WAIT = 32
_MAX_OVERTAKEN = 64
_MAX_OWN_CELLS = 512  # unshared cells of a request that joins past the first wave: more slow down everyone's attention
_COPY_MARGIN = 1 / 8  # a copied prefix must be this share longer than one shared in place


@dataclass(frozen=True, slots=True)
class AdmissionRules:
    unified: bool
    """All live sequences share one pool of cells, and attend across it."""
    shared_attention: bool
    """Attention also covers other sequences' cells (a CPU with a unified cache), so unrelated requests don't run concurrently."""
    trims: bool
    min_tokens: int
    first_wave: int = 1 << 30
    """Concurrent sequences, the slot reserved for interactive calls included, beyond which only small ones join under
    ``shared_attention``."""


@dataclass(frozen=True, slots=True)
class Start:
    """Start ``sequence`` with the first ``length`` tokens of a live sequence or a retained prefix, or from nothing."""

    sequence: Sequence
    live: Sequence | None = None
    retained: RetainedPrefix | None = None
    length: int = 0


def choose(
    waiting: Iterable[Sequence],
    live: Collection[Sequence],
    store: PrefixStore,
    rules: AdmissionRules,
    free_cells: int,
) -> Start | None:
    """The next sequence to start, or None. ``free_cells``: cells neither used nor reserved (unified only).

    Order is priority, then arrival. A request whose prefix is just being computed waits for it. Under ``shared_attention``
    requests that share a prefix with a live sequence overtake ones that don't, and past the first wave only requests with few
    unshared cells join; a request is overtaken a bounded number of times.
    """
    past_first_wave = len(live) >= max(2, rules.first_wave - 1)
    for sequence in sorted(waiting, key=lambda sequence: sequence.rank):
        start, shared_with_live, pending = _best_start(sequence, live, store, rules)
        if pending > start.length + _MIN_SHARED_TO_WAIT and 2 * (pending - start.length) > sequence.size - start.length:
            continue  # a live sequence is about to compute most of it
        shared = start.length if start.live else 0
        does_not_fit = rules.unified and sequence.max_size - shared > free_cells
        deferrable = sequence.request.priority != "interactive"
        unrelated = 2 * shared_with_live < sequence.size or (
            past_first_wave and sequence.size - shared > _MAX_OWN_CELLS
        )
        if live and (does_not_fit or (deferrable and rules.shared_attention and unrelated)):
            if sequence.overtaken >= _MAX_OVERTAKEN:
                return None  # no other request starts before this one
            sequence.overtaken += 1
            continue
        return start
    return None


def _best_start(
    sequence: Sequence, live: Collection[Sequence], store: PrefixStore, rules: AdmissionRules
) -> tuple[Start, int, int]:
    """The best start, the most tokens shared with a live sequence, and the most that one in prefill will share."""
    tokens = sequence.tokens
    limit = tokens.size - 1  # the last token must be computed for its logits
    start, shared_with_live, pending = Start(sequence), 0, 0
    for other in live:
        common = sequence.spans.whole(min(common_length(other.tokens, tokens), limit))
        available = min(common, other.computed)
        shared_with_live = max(shared_with_live, common)
        if other.stage == "prefill":
            pending = max(pending, common)
        if not rules.trims and available != other.computed:
            continue
        if available >= rules.min_tokens and available > start.length:
            start = Start(sequence, live=other, length=available)
    if (found := store.find(tokens, sequence.spans.whole)) is not None:
        entry, length = found
        # Live cells are shared in a unified cache; in a split one a fork is a copy, as costly as any other.
        least = start.length * (1 + _COPY_MARGIN) if start.live and rules.shared_attention else start.length
        if length > least or (length == start.length and not rules.unified):
            start = Start(sequence, retained=entry, length=length)
    return start, shared_with_live, pending if rules.trims else 0
