"""Which waiting request starts next, and from which prefix. Pure: decides, touches nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from parlant_local.engine.prefixes import PrefixStore, RetainedPrefix, common_length
from parlant_local.engine.sequence import Sequence

__all__ = ["AdmissionRules", "Start", "choose"]

_WORTH_WAITING = 32
_MAX_SKIPS = 64
_OWN_CELLS = 512  # of one that joins a crowd: more cost everyone's attention more than company spares
_COPY_COSTS = 1 / 8  # of its tokens, that a copied prefix must be longer than a shared one


@dataclass(frozen=True, slots=True)
class AdmissionRules:
    unified: bool
    """All live sequences share one pool of cells, and attend across it."""
    crowd_costs: bool
    """Attention pays for other sequences' cells (a CPU with a unified cache), so strangers don't run side by side."""
    trims: bool
    min_tokens: int
    first_wave: int = 1 << 30
    """Sequences at once, the place kept for interactive calls included, beyond which only small ones join where crowds cost."""


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
    room: int,
) -> Start | None:
    """The next one to start, or None. ``room``: cells that are neither used nor promised (unified only).

    Order is priority, then arrival. A request whose prefix is being computed right now waits for it; where strangers cost,
    requests that share with a live sequence go before ones that don't, and a crowd is joined by those that bring few cells of
    their own, a bounded number of times.
    """
    crowded = len(live) >= max(2, rules.first_wave - 1)
    for sequence in sorted(waiting, key=lambda sequence: sequence.rank):
        start, sharing, promised = _best_start(sequence, live, store, rules)
        if promised > start.length + _WORTH_WAITING and 2 * (promised - start.length) > sequence.size - start.length:
            continue  # most of what is left to compute is on its way
        shared = start.length if start.live else 0
        no_room = rules.unified and sequence.most - shared > room
        patient = sequence.request.priority != "interactive"
        costly = 2 * sharing < sequence.size or (crowded and sequence.size - shared > _OWN_CELLS)
        if live and (no_room or (patient and rules.crowd_costs and costly)):
            if sequence.skipped >= _MAX_SKIPS:
                return None  # nobody else starts until this one can
            sequence.skipped += 1
            continue
        return start
    return None


def _best_start(
    sequence: Sequence, live: Collection[Sequence], store: PrefixStore, rules: AdmissionRules
) -> tuple[Start, int, int]:
    """The best start, the tokens shared with some live sequence, and the tokens one will have in common soon."""
    tokens = sequence.tokens
    limit = tokens.size - 1  # the last token must be computed: its logits are wanted
    start, sharing, promised = Start(sequence), 0, 0
    for other in live:
        common = min(common_length(other.tokens, tokens), limit)
        available = min(common, other.computed)
        sharing = max(sharing, common)
        if other.stage == "prefill":
            promised = max(promised, common)
        if not rules.trims and available != other.computed:
            continue
        if available >= rules.min_tokens and available > start.length:
            start = Start(sequence, live=other, length=available)
    if (found := store.find(tokens)) is not None:
        entry, length = found
        # Live cells are shared in a unified cache; in a split one a fork is a copy like any other, and no cheaper.
        least = start.length * (1 + _COPY_COSTS) if start.live and rules.crowd_costs else start.length
        if length > least or (length == start.length and not rules.unified):
            start = Start(sequence, retained=entry, length=length)
    return start, sharing, promised if rules.trims else 0
