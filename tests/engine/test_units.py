"""Pure parts by themselves: the cells' ledger, the prefix store, text assembly, the sampler, the key guard."""

from __future__ import annotations

import json
import math
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from parlant_local.engine.admission import AdmissionRules, choose
from parlant_local.engine.cells import CellLedger
from parlant_local.engine.checking import check
from parlant_local.engine.constraint.keys import KeyGuard
from parlant_local.engine.prefixes import PrefixStore, RetainedPrefix, as_tokens, common_length
from parlant_local.engine.requests import GenerationRequest, ReasoningPrelude, Sampling
from parlant_local.engine.sampling import Sampler, log_softmax_at
from parlant_local.engine.sequence import Sequence
from parlant_local.engine.text import TextAssembler
from parlant_local.errors import BadRequestError

# -- cells ------------------------------------------------------------------------------------------------------------


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_the_ledger_counts_each_shared_cell_once(data: st.DataObject) -> None:
    """Against the obvious model: every sequence is a list of cells, and a cell is used while anyone has it."""
    ledger, cells, fresh = CellLedger(), dict[int, list[int]](), iter(range(1_000_000))
    for _ in range(data.draw(st.integers(1, 30))):
        free = [slot for slot in range(5) if slot not in cells]
        action = data.draw(st.sampled_from(["open", "grow", "fork", "trim", "close"]))
        if action == "open" and free:
            ledger.open(free[0])
            cells[free[0]] = []
        elif action == "fork" and free and cells:
            source = data.draw(st.sampled_from(sorted(cells)))
            length = data.draw(st.integers(0, len(cells[source])))
            ledger.open(free[0])
            ledger.fork(source, free[0], length)
            cells[free[0]] = cells[source][:length]
        elif cells:
            slot = data.draw(st.sampled_from(sorted(cells)))
            if action == "grow":
                count = data.draw(st.integers(0, 9))
                ledger.grow(slot, count)
                cells[slot] += [next(fresh) for _ in range(count)]
            elif action == "trim":
                length = data.draw(st.integers(0, len(cells[slot])))
                ledger.trim(slot, length)
                cells[slot] = cells[slot][:length]
            elif action == "close":
                ledger.close(slot)
                del cells[slot]
        assert ledger.used == len({cell for held in cells.values() for cell in held})
        assert all(ledger.length(slot) == len(held) for slot, held in cells.items())
    for slot in list(cells):
        ledger.close(slot)
    assert ledger.used == 0
    assert len(ledger) == 0


# -- prefixes ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 3), max_size=12), st.lists(st.integers(0, 3), max_size=12))
def test_the_common_length_is_where_two_prompts_diverge(one: list[int], other: list[int]) -> None:
    expected = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    assert common_length(as_tokens(one), as_tokens(other)) == expected


def _entry(
    tokens: list[int], group: str = "", session: str | None = None, *, size: int = 8, **more: object
) -> RetainedPrefix:
    return RetainedPrefix(as_tokens(tokens), group, session, np.zeros(size, dtype=np.uint8), **more)  # type: ignore[arg-type]


def test_one_prefix_is_kept_per_group_and_session() -> None:
    store = PrefixStore(1000, trims=True, min_tokens=2)
    store.add(_entry([1, 2, 3], "g", "a"))
    store.add(_entry([4, 5, 6], "g", "a"))
    store.add(_entry([7, 8, 9], "g", "b"))
    assert sorted(entry.tokens.tolist() for entry in store) == [[4, 5, 6], [7, 8, 9]]


def test_the_store_stays_within_its_budget_and_evicts_the_least_recently_used() -> None:
    store = PrefixStore(100, trims=True, min_tokens=1)
    first, second = _entry([1, 1], "a", size=40), _entry([2, 2], "b", size=40)
    store.add(first)
    store.add(second)
    store.touch(first)
    store.add(_entry([3, 3], "c", size=40))
    assert [entry.group for entry in store] == ["a", "c"]
    assert store.size <= 100
    assert not store.add(_entry([4, 4], "d", size=101))
    assert store.evicted == 1


def test_an_entry_that_is_also_on_disk_only_frees_its_memory() -> None:
    store = PrefixStore(50, trims=True, min_tokens=1)
    state = np.arange(40, dtype=np.uint8)
    kept = _entry([1, 2], "a", size=40, static=True, read=lambda: state)
    store.add(kept)
    store.add(_entry([3, 4], "b", size=40))
    assert kept.state is None
    assert kept in list(store)
    assert store.load(kept) is state


def test_the_last_prompt_token_is_always_computed() -> None:
    """Its last token must be computed, for its logits."""
    store = PrefixStore(100, trims=True, min_tokens=1)
    store.add(_entry([1, 2, 3]))
    found = store.find(as_tokens([1, 2, 3]))
    assert found is not None
    assert found[1] == 2


def test_states_that_cannot_be_trimmed_only_match_whole() -> None:
    store = PrefixStore(100, trims=False, min_tokens=1)
    store.add(_entry([1, 2, 3]))
    assert store.find(as_tokens([1, 2, 9])) is None
    assert store.find(as_tokens([1, 2, 3])) is None
    found = store.find(as_tokens([1, 2, 3, 4]))
    assert found is not None
    assert found[1] == 3


# -- admission --------------------------------------------------------------------------------------------------------


class _Words:
    end_tokens = frozenset({0})
    n_vocab = 16

    def piece(self, token: int, *, special: bool = False) -> bytes:
        return b"x"


def _sequence(tokens: list[int], **fields: object) -> Sequence:
    request = GenerationRequest(tokens, 8, **fields)  # type: ignore[arg-type]
    return Sequence(request, tokens, _Words(), matcher=None, early_closer=None)


def _rules(**changes: Any) -> AdmissionRules:
    values = {"unified": True, "shared_attention": False, "trims": True, **changes}
    return AdmissionRules(min_tokens=4, **values)


def _running(tokens: list[int], computed: int) -> Sequence:
    live = _sequence(tokens)
    live.stage, live.computed, live.slot = "prefill", computed, 0
    return live


def test_a_prefix_that_is_being_computed_is_waited_for_and_then_shared() -> None:
    prompt = list(range(100))
    live, waiting = _running(prompt, 10), _sequence([*prompt[:90], 1, 2])
    store = PrefixStore(0, trims=True, min_tokens=4)
    assert choose([waiting], [live], store, _rules(), 1000) is None
    live.computed = 95
    start = choose([waiting], [live], store, _rules(), 1000)
    assert start is not None
    assert (start.live, start.length) == (live, 90)


def test_unrelated_requests_wait_under_shared_attention_but_not_for_ever_and_interactive_ones_not_at_all() -> None:
    live, store = _running([1] * 50, 50), PrefixStore(0, trims=True, min_tokens=4)
    rules = _rules(shared_attention=True)
    stranger = _sequence([2] * 50)
    assert choose([stranger], [live], store, rules, 1000) is None
    assert choose([_sequence([3] * 50, priority="interactive")], [live], store, rules, 1000) is not None
    relative = _sequence([1] * 49 + [5])
    relative.clock.submitted = stranger.clock.submitted + 1
    picked = 0
    while choose([stranger, relative], [live], store, rules, 1000) is not None:
        picked += 1
        assert picked < 1000
    assert picked > 10  # relatives went first a while; then nobody does until the stranger had its turn
    alone = choose([stranger], [], store, rules, 1000)
    assert alone is not None


def test_past_the_first_wave_only_requests_with_few_own_cells_join() -> None:
    prompt = [1] * 1000
    store = PrefixStore(0, trims=True, min_tokens=4)
    live = [_running(prompt, 1000) for _ in range(3)]
    small, large = _sequence([*prompt, *[2] * 512]), _sequence([*prompt, *[2] * 513])
    rules = _rules(shared_attention=True, first_wave=4)
    assert choose([small], live, store, rules, 10_000) is not None
    assert choose([large], live, store, rules, 10_000) is None
    assert choose([large], live[:2], store, rules, 10_000) is not None  # the first wave is not full
    assert choose([large], live, store, _rules(shared_attention=True), 10_000) is not None
    two = _rules(shared_attention=True, first_wave=2)  # where somebody asked for two, two are no crowd
    assert choose([large], live[:1], store, two, 10_000) is not None
    urgent = _sequence([*prompt, *[2] * 513], priority="interactive")
    assert choose([urgent], live, store, rules, 10_000) is not None


def test_cells_are_shared_rather_than_copied_unless_the_copy_covers_much_more() -> None:
    live, store = _running([1] * 80, 80), PrefixStore(1000, trims=True, min_tokens=4)
    for kept, copied in ((89, False), (91, True)):
        store.clear()
        store.add(_entry([1] * 80 + [2] * (kept - 80)))
        waiting = _sequence([1] * 80 + [2] * 40)
        start = choose([waiting], [live], store, _rules(shared_attention=True), 1000)
        assert start is not None
        assert (start.retained is not None, start.length) == (copied, kept if copied else 80)
        start = choose([waiting], [live], store, _rules(), 1000)
        assert start is not None
        assert start.length == kept


def test_a_request_that_does_not_fit_waits_while_others_run() -> None:
    live, store = _running([1] * 50, 50), PrefixStore(0, trims=True, min_tokens=4)
    large = _sequence([2] * 50)
    assert choose([large], [live], store, _rules(), 57) is None
    assert choose([large], [live], store, _rules(), 58) is not None
    assert choose([large], [], store, _rules(), 0) is not None


# -- text -------------------------------------------------------------------------------------------------------------


@example(text="baa", stops=["a", "baa"], random=Random(1))
@given(st.text(max_size=40), st.lists(st.text("ab<>é", min_size=1, max_size=3), max_size=3), st.randoms())
def test_text_is_independent_of_chunking_and_ends_before_the_first_stop(
    text: str, stops: list[str], random: object
) -> None:
    data = text.encode("utf-8", "replace")
    text = data.decode()
    cuts = sorted(random.randrange(len(data) + 1) for _ in range(5))  # type: ignore[attr-defined]
    assembler = TextAssembler(tuple(stops))
    pieces = [assembler.feed(data[a:b]) for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    pieces.append(assembler.finish())
    said = "".join(pieces)
    # The stop text that is whole first ends it.
    places = [(place + len(stop), place) for stop in stops if (place := text.find(stop)) >= 0]
    assert said == (text[: min(places)[1]] if places else text)
    assert (assembler.stopped_by is not None) == bool(places)


def test_a_partial_character_is_held_back_and_an_invalid_one_replaced() -> None:
    assembler = TextAssembler()
    first, second = "é".encode()
    assert [assembler.feed(bytes([first])), assembler.feed(bytes([second]))] == ["", "é"]
    assembler.feed(bytes([first]))
    assert assembler.finish() == "\ufffd"


# -- sampling ---------------------------------------------------------------------------------------------------------

_LOGITS = st.lists(st.floats(-20, 20, width=32), min_size=4, max_size=30).map(lambda v: np.array(v, dtype=np.float32))


@given(_LOGITS, st.integers(0, 2**32), st.floats(0.1, 3), st.integers(0, 10), st.floats(0, 1), st.floats(0, 1))
def test_a_drawn_token_is_one_that_every_setting_allows(
    logits: np.ndarray[tuple[int], np.dtype[np.float32]], seed: int, temperature: float, k: int, p: float, min_p: float
) -> None:
    mask = np.zeros(logits.size, dtype=np.bool_)
    mask[np.random.default_rng(seed).permutation(logits.size)[: max(1, logits.size // 2)]] = True
    sampling = Sampling(temperature=temperature, top_k=k, top_p=p, min_p=min_p)
    token = Sampler(sampling, seed).draw(logits, mask)
    assert mask[token]
    order = sorted(np.flatnonzero(mask), key=lambda t: -logits[t])
    if k:
        assert logits[token] >= logits[order[min(k, len(order)) - 1]]
    assert math.exp(float(logits[token]) - float(logits[order[0]])) >= min_p * 0.999
    assert Sampler(sampling, seed).draw(logits, mask) == token


@given(_LOGITS)
def test_greedy_takes_the_best(logits: np.ndarray[tuple[int], np.dtype[np.float32]]) -> None:
    assert Sampler(Sampling(), None).draw(logits, None) == int(logits.argmax())
    assert Sampler(Sampling(temperature=5, top_k=1), 1).draw(logits, None) == int(logits.argmax())


def test_tokens_are_sampled_in_proportion_to_their_probabilities() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], dtype=np.float32))
    sampler = Sampler(Sampling(temperature=1.0, top_k=0, top_p=1.0), 7)
    counts = np.bincount([sampler.draw(logits, None) for _ in range(4000)], minlength=4) / 4000
    assert np.abs(counts - [0.5, 0.3, 0.15, 0.05]).max() < 0.03


def test_penalties_and_bias_change_logits_as_documented() -> None:
    logits = np.array([2.0, -2.0, 1.0, 0.0], dtype=np.float32)
    sampling = Sampling(repeat_penalty=2.0, presence_penalty=0.5, frequency_penalty=0.25, logit_bias={3: 9.0, 99: 1.0})
    adjusted = Sampler(sampling, None).adjust(logits, [0, 0, 1])
    assert adjusted.tolist() == [2.0 / 2 - 2 * 0.25 - 0.5, -2.0 * 2 - 0.25 - 0.5, 1.0, 9.0]
    assert logits.tolist() == [2.0, -2.0, 1.0, 0.0]
    assert Sampler(Sampling(repeat_penalty=2.0, penalty_window=1), None).adjust(logits, [0, 1]).tolist()[0] == 2.0


@given(_LOGITS, st.integers(0, 6))
def test_logprobs_are_the_logarithms_of_a_softmax(
    logits: np.ndarray[tuple[int], np.dtype[np.float32]], top: int
) -> None:
    wide = logits.astype(np.float64)
    expected = wide - wide.max() - math.log(np.exp(wide - wide.max()).sum())
    value, best = log_softmax_at(logits, 2, top)
    assert value == pytest.approx(expected[2], abs=1e-9)
    assert [v for _, v in best] == pytest.approx(sorted(expected, reverse=True)[: min(top, logits.size)], abs=1e-9)


# -- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -5}, "max_tokens"),
        ({"stop": ("x", "")}, "stop"),
        ({"logprobs": -1}, "logprobs"),
        ({"deadline": math.nan}, "deadline"),
        ({"sampling": Sampling(temperature=-1)}, "temperature"),
        ({"sampling": Sampling(temperature=math.nan)}, "temperature"),
        ({"sampling": Sampling(top_p=1.5)}, "top_p"),
        ({"sampling": Sampling(min_p=-0.1)}, "min_p"),
        ({"sampling": Sampling(repeat_penalty=0)}, "repeat_penalty"),
        ({"sampling": Sampling(presence_penalty=math.inf)}, "presence_penalty"),
        ({"sampling": Sampling(penalty_window=0)}, "penalty_window"),
        ({"sampling": Sampling(seed=-1)}, "seed"),
        ({"sampling": Sampling(logit_bias={-1: 1.0})}, "logit_bias"),
        ({"sampling": Sampling(logit_bias={1: math.nan})}, "logit_bias"),
        ({"reasoning": ReasoningPrelude("<a>", "", 5, opened=True)}, "reasoning.end"),
    ],
)
def test_absurd_values_are_refused_by_name(fields: dict[str, object], named: str) -> None:
    with pytest.raises(BadRequestError, match=named):
        check(GenerationRequest("x", **{"max_tokens": 1, **fields}))  # type: ignore[arg-type]


# -- keys -------------------------------------------------------------------------------------------------------------

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('ab"\\é{}[],:', max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(_JSON, st.booleans(), st.integers(1, 5))
def test_only_repeated_keys_are_detected_as_repeated(value: object, ascii_only: bool, step: int) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only).encode()
    guard = KeyGuard()
    for begin in range(0, len(data), step):
        piece = data[begin : begin + step]
        assert not guard.repeats(piece)
        assert not guard.feed(piece)


@pytest.mark.parametrize(
    ("before", "then"),
    [
        (b'{"a":1,"a', b'"'),
        (b'{"a":1,', b'"a":2'),
        (b'{"x":{"a":1},"y":[{"a":1,"b":[]', b',"a"'),
        (b'{"a":"}","\\u0061', b'":'),
    ],
)
def test_a_repeated_key_is_detected_before_it_is_accepted(before: bytes, then: bytes) -> None:
    guard = KeyGuard()
    assert not guard.feed(before)
    assert guard.repeats(then)


# -- thoughts -----------------------------------------------------------------------------------------------------------


class Words:
    """A vocabulary of given pieces; the last one ends an answer."""

    def __init__(self, *pieces: str) -> None:
        self._pieces = pieces
        self.n_vocab = len(pieces)
        self.end_tokens = frozenset({len(pieces) - 1})

    def piece(self, token: int, *, special: bool = False) -> bytes:
        return self._pieces[token].encode()


def says(vocabulary: Words, prelude: ReasoningPrelude, tokens: list[int]) -> tuple[str, str]:
    """Thoughts and answer of a model that says ``tokens``."""
    request = GenerationRequest(prompt=[0], max_tokens=64, sampling=Sampling(temperature=0), reasoning=prelude)
    sequence = Sequence(request, [0], vocabulary, matcher=None, early_closer=None)
    for token in tokens:
        logits = np.zeros(vocabulary.n_vocab, dtype=np.float32)
        logits[token] = 9
        sequence.take(logits)
    generation = sequence.result()
    return generation.reasoning, generation.text


def test_a_call_between_thoughts_ends_them_and_its_mark_is_part_of_the_answer() -> None:
    prelude = ReasoningPrelude("<in>", "</in>", 32, opened=True, call="<call>")
    whole = Words("Hm", "<call>", "[x]", "</in>", "Hi", "<eos>")
    assert says(whole, prelude, [0, 1, 2, 5]) == ("Hm", "<call>[x]")
    assert says(whole, prelude, [0, 3, 1, 2, 5]) == ("Hm", "<call>[x]")
    assert says(whole, prelude, [0, 3, 4, 5]) == ("Hm", "Hi")
    letters = Words("Hm", "<ca", "ll>[", "x]", "</in>Hi", "<eos>")  # marks that are no tokens, and share some
    assert says(letters, prelude, [0, 1, 2, 3, 5]) == ("Hm", "<call>[x]")
    assert says(letters, prelude, [0, 4, 5]) == ("Hm", "Hi")
    assert says(letters, ReasoningPrelude("<in>", "</in>", 32, opened=True), [0, 1, 2, 3, 4, 5]) == (
        "Hm<call>[x]",
        "Hi",
    )
