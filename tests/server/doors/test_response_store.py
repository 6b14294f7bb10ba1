"""What is kept of responses: how many, how large, how long, and for whom."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parlant_local.errors import RequestRefusedError
from parlant_local.server.auth import Keeper
from parlant_local.server.doors.response_store import KeptResponse, ResponseStore
from parlant_local.server.shapes.chat import ChatMessage
from parlant_local.settings import ResponseSettings

ANNA, BEN = "anna", "ben"


def put(
    store: ResponseStore, owner: Keeper, identity: str, text: str = "x", before: KeptResponse | None = None
) -> KeptResponse:
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
    store.put(owner, {"id": identity, "output": [said]}, [ChatMessage(role="user", content=text)], before)
    return store.get(owner, identity)


def gone(store: ResponseStore, owner: Keeper, identity: str) -> bool:
    try:
        store.get(owner, identity)
    except RequestRefusedError as error:
        return error.status == 404
    return False


def test_the_oldest_of_a_key_goes_first() -> None:
    store = ResponseStore(ResponseSettings(max_count=2))
    put(store, BEN, "b")
    for number in range(3):
        put(store, ANNA, f"a{number}")
    assert [gone(store, ANNA, f"a{number}") for number in range(3)] == [True, False, False]
    assert not gone(store, BEN, "b")


def test_who_keeps_most_gives_way_when_it_is_full() -> None:
    store = ResponseStore(ResponseSettings(max_mb=0.01))
    put(store, BEN, "b", "y" * 500)
    for number in range(20):
        put(store, ANNA, f"a{number}", "x" * 1000)
    assert not gone(store, BEN, "b")
    assert gone(store, ANNA, "a0")
    assert not gone(store, ANNA, "a19")
    with pytest.raises(RequestRefusedError):  # larger than all that may be kept
        put(store, ANNA, "large", "x" * 20_000)
    assert not gone(store, ANNA, "a19")


def test_a_conversation_counts_with_what_it_keeps_alive() -> None:
    store = ResponseStore(ResponseSettings(max_mb=0.01))
    last = put(store, ANNA, "first", "x" * 2000)
    for number in range(30):
        size = last.size
        store.put(ANNA, {"id": f"a{number}", "output": []}, [ChatMessage(role="user", content="x" * 500)], last)
        if gone(store, ANNA, f"a{number}"):
            break
        last = store.get(ANNA, f"a{number}")
        assert last.size > size + 500
    else:
        pytest.fail("It grew without end.")


def test_time_passes() -> None:
    now = 0.0
    store = ResponseStore(ResponseSettings(minutes=1), clock=lambda: now)
    put(store, ANNA, "a")
    now = 59.0
    later = put(store, ANNA, "b", before=store.get(ANNA, "a"))
    now = 61.0
    assert gone(store, ANNA, "a")
    assert [message.role for message in later.conversation] == ["user", "assistant"] * 2
    now = 200.0
    assert gone(store, ANNA, "b")
    assert len(store) == 0


def test_none_are_kept_where_none_may_be() -> None:
    store = ResponseStore(ResponseSettings(max_count=0))
    assert not store.keeps
    with pytest.raises(RequestRefusedError, match=r"responses\.max_count"):
        put(store, ANNA, "a")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["put", "go on", "delete"]), st.sampled_from([ANNA, BEN, ""]), st.integers(0, 4000)),
        max_size=40,
    )
)
def test_it_is_never_larger_than_it_may_be(steps: list[tuple[str, Keeper, int]]) -> None:
    store = ResponseStore(ResponseSettings(max_count=4, max_mb=0.01))
    known: dict[Any, list[str]] = {}
    for number, (what, owner, size) in enumerate(steps):
        alive = [name for name in known.get(owner, []) if not gone(store, owner, name)]
        if what == "delete" and alive:
            store.delete(owner, alive[0])
            assert gone(store, owner, alive[0])
            continue
        before = store.get(owner, alive[-1]) if what == "go on" and alive else None
        body = {"id": f"r{number}", "output": []}
        store.put(owner, body, [ChatMessage(role="user", content="x" * size)], before)
        known.setdefault(owner, []).append(f"r{number}")
        held = [item for kept in store._kept.values() for item in kept.values()]
        assert sum(item.size for item in held) == store._size <= 0.01 * 2**20
        assert all(len(kept) <= 4 for kept in store._kept.values())
        for other in known:
            assert all(gone(store, other, name) for whose in known if whose != other for name in known[whose])
