"""Where a call goes: to its prefix, unless that is too busy, and the same way wherever it is asked."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlant_local.ray.affinity import CallKey, PrefixAffinity

TEN = {f"replica-{number}": 0 for number in range(10)}
SCHEMAS = [f"Schema{number}" for number in range(27)]

calls = st.builds(CallKey, st.just("m"), st.sampled_from(["", *SCHEMAS[:5]]), st.sampled_from(["", "a", "b", "c"]))
loads = st.dictionaries(st.sampled_from(list(TEN)), st.none() | st.integers(0, 40), min_size=1)


def first(policy: PrefixAffinity, call: CallKey, ongoing: dict[str, int]) -> str:
    """Routes a call as a router does: the first of the order takes it."""
    replica = policy.order(call, ongoing)[0]
    policy.sent(call, replica)
    return replica


@given(loads, st.lists(calls, max_size=20), calls)
def test_each_replica_is_named_once_whatever_was_sent(
    ongoing: dict[str, int | None], before: list[CallKey], call: CallKey
) -> None:
    policy = PrefixAffinity(states=3)
    for earlier in before:
        policy.sent(earlier, policy.order(earlier, ongoing)[0])
    assert sorted(policy.order(call, ongoing)) == sorted(ongoing)
    assert policy.order(call, ongoing) == policy.order(call, ongoing), "to ask is not to send"
    assert policy.order(call, dict(reversed(ongoing.items()))) == policy.order(call, ongoing)


@given(
    st.dictionaries(st.sampled_from(list(TEN)), st.integers(0, 40), min_size=1),
    st.lists(calls, max_size=20),
    calls,
    st.floats(0, 6),
    st.floats(0, 3),
)
def test_who_is_chosen_is_never_much_busier_than_another(
    ongoing: dict[str, int], before: list[CallKey], call: CallKey, head: float, history: float
) -> None:
    policy = PrefixAffinity(head=head, history=history)
    for earlier in before:
        first(policy, earlier, ongoing)
    chosen = policy.order(call, ongoing)[0]
    assert ongoing[chosen] <= min(ongoing.values()) + head + history


def test_a_schema_stays_at_its_home_in_every_session_and_router() -> None:
    one, other = PrefixAffinity(), PrefixAffinity(states=0)
    for schema in SCHEMAS:
        homes = {
            first(policy, CallKey("m", schema, f"s{number}"), TEN) for number in range(50) for policy in (one, other)
        }
        assert len(homes) == 1, schema


def test_schemas_and_models_are_spread() -> None:
    policy = PrefixAffinity()
    homes = Counter(first(policy, CallKey(model, schema), TEN) for model in "abcdefgh" for schema in SCHEMAS)
    assert len(homes) == len(TEN)
    assert max(homes.values()) < 2 * sum(homes.values()) / len(TEN)


def test_a_home_does_not_depend_on_the_process() -> None:
    program = (
        "from parlant_local.ray.affinity import *;"
        f"print(PrefixAffinity().order(CallKey('m', 'Draft', 's'), {TEN!r}), end='')"
    )
    asked = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert asked.stdout == repr(PrefixAffinity().order(CallKey("m", "Draft", "s"), TEN))


def test_load_spills_over_and_a_second_home_is_kept() -> None:
    policy = PrefixAffinity(head=4, history=1)
    call = CallKey("m", "Draft", "s")
    home, second = policy.order(call, TEN)[:2]
    assert first(policy, call, {**TEN, home: 4}) == home, "it has more to lose than to wait for"
    assert first(policy, call, {**TEN, home: 5}) == home, "and its history now, too"
    assert first(policy, call, {**TEN, home: 6}) == second
    assert {first(policy, CallKey("m", "Draft", f"s{n}"), TEN) for n in range(20)} == {home, second}
    another = CallKey("m", "Draft", "another")
    assert first(policy, another, {**TEN, home: 1}) == second, "which has the schema's head from now on"


def test_a_conversation_returns_to_where_it_was() -> None:
    policy = PrefixAffinity(head=4, history=1)
    call = CallKey("m", "Draft", "s")
    home, second = policy.order(call, TEN)[:2]
    first(policy, call, {**TEN, home: 9})
    for session in range(9):
        first(policy, CallKey("m", "Draft", f"other{session}"), TEN)
    assert first(policy, call, TEN) == second
    assert first(policy, call, {**TEN, second: 1}) == second
    assert first(policy, call, {**TEN, second: 2}) == home, (
        "the head is there as well: the history alone is not worth two"
    )


def test_a_replica_that_goes_moves_its_own_share_only() -> None:
    before = {schema: PrefixAffinity().order(CallKey("m", schema), TEN) for schema in SCHEMAS * 4}
    for lost in TEN:
        left = {replica: 0 for replica in TEN if replica != lost}
        for schema, order in before.items():
            assert PrefixAffinity().order(CallKey("m", schema), left) == [each for each in order if each != lost]


def test_a_replica_that_comes_takes_its_own_share_only() -> None:
    policy, moved = PrefixAffinity(states=0), 0
    more = {**TEN, "replica-new": 0}
    for number in range(1000):
        call = CallKey("m", f"Schema{number}")
        was, now = policy.order(call, TEN)[0], policy.order(call, more)[0]
        assert now in (was, "replica-new")
        moved += now != was
    assert 1000 / 11 * 0.6 < moved < 1000 / 11 * 1.4


def test_what_a_lost_replica_had_is_forgotten() -> None:
    policy = PrefixAffinity()
    call = CallKey("m", "Draft", "s")
    home, second = policy.order(call, TEN)[:2]
    first(policy, call, {**TEN, home: 99})
    policy.keep(replica for replica in TEN if replica != second)
    assert first(policy, call, TEN) == home, "it came back under its name, and empty"


def test_memory_is_that_of_the_replicas() -> None:
    """One that has been sent more than it retains is no longer thought to have the first of it."""
    policy = PrefixAffinity(states=2)
    call = CallKey("m", "Draft", "s")
    home, second = policy.order(call, TEN)[:2]
    policy.sent(call, second)
    policy.sent(CallKey("m", "Other", "s"), second)
    policy.sent(call, second)
    policy.sent(CallKey("m", "Third", "s"), second)
    assert policy.order(call, TEN)[0] == second, "used since"
    policy.sent(CallKey("m", "Fourth", "s"), second)
    policy.sent(CallKey("m", "Fifth", "s"), second)
    assert policy.order(call, TEN)[0] == home


def test_no_replica_and_unknown_counts() -> None:
    policy = PrefixAffinity(head=4, history=1)
    assert policy.order(CallKey("m"), {}) == []
    unknown = dict.fromkeys(TEN)
    assert policy.order(CallKey("m", "Draft"), unknown) == policy.order(CallKey("m", "Draft"), TEN)
    home, second, third = policy.order(CallKey("m", "Draft"), TEN)[:3]
    some = {home: 9, second: None, third: 1}
    assert policy.order(CallKey("m", "Draft"), some) == [third, home, second]


@pytest.mark.parametrize("wrong", [{"head": -1}, {"history": -0.1}, {"states": -1}])
def test_figures_below_zero_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="none is negative"):
        PrefixAffinity(**wrong)


def test_calls_without_a_schema_stay_with_their_session() -> None:
    policy = PrefixAffinity()
    homes = {first(policy, CallKey("m", session=f"s{number}"), TEN) for number in range(100)}
    assert homes == set(TEN)
    again = random.Random(1).sample(range(100), 20)
    assert all(
        first(policy, CallKey("m", session=f"s{n}"), TEN) == first(PrefixAffinity(), CallKey("m", session=f"s{n}"), TEN)
        for n in again
    )


def test_parts_of_a_name_do_not_run_into_each_other() -> None:
    keys = [CallKey("a", "bc"), CallKey("ab", "c"), CallKey("abc"), CallKey("", "abc"), CallKey("é\ud800", "x")]
    many = {f"r{number}": 0 for number in range(200)}
    assert len({tuple(PrefixAffinity().order(key, many)) for key in keys}) == len(keys)
