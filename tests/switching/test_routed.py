"""Who answers, and what it costs to find out; over simulated targets and a clock that waits for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from parlant_local.backends.base import Backend, ModelInfo
from parlant_local.errors import (
    AllTargetsFailedError,
    AuthenticationError,
    BadRequestError,
    BudgetExceededError,
    CloudNotAllowedError,
    ContextOverflowError,
    DeadlineExceededError,
    EmbeddingIdentityError,
    InsufficientMemoryError,
    InvalidOutputError,
    NoTargetError,
    QueueFullError,
    RateLimitedError,
    StallError,
    StreamInterruptedError,
    TargetDownError,
    TransientError,
    TruncatedOutputError,
)
from parlant_local.settings import BreakerSettings, BudgetSettings, SwitcherSettings, TargetSettings
from parlant_local.switching import POLICIES, CallRecord, Candidate, Requirements, RoutedBackend
from tests.fakes.simulated import Clock, Fleet, failing
from tests.support.eventually import eventually

Make = Callable[..., RoutedBackend]
NEVER_OPENS = BreakerSettings(failure_threshold=1000, min_calls=1000)


class Lines:
    """A logger that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def debug(self, message: str) -> None:
        self.lines.append(message)

    info = warning = error = debug


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log() -> Lines:
    return Lines()


@pytest.fixture
def make(fleet: Fleet, clock: Clock, log: Lines) -> Make:
    def build(*names: str, remote: tuple[str, ...] = (), **settings: Any) -> RoutedBackend:
        settings.setdefault("breaker", NEVER_OPENS)
        return RoutedBackend(
            [fleet.target(name, remote=name in remote) for name in names],
            settings=SwitcherSettings(**settings),
            logger=log,
            clock=clock,
            sleep=clock.sleep,
        )

    return build


async def test_a_routed_backend_is_a_backend(make: Make) -> None:
    routed = make("a")
    assert isinstance(routed, Backend)
    assert isinstance(routed.requiring(Requirements()), Backend)
    assert (await routed.chat("hello")).model == "a"
    assert (await routed.complete("hello")).model == "a"
    assert (await routed.rerank("q", ["d"])).model == "a"
    assert await routed.count_tokens("abc") == 3
    assert routed.model_info().id == "a"


# fault, attempts at the first target, who answers (None: nobody, the error is raised), does the breaker count it
TAXONOMY = [
    (TransientError("x"), 2, "b", True),
    (RateLimitedError("x", retry_after=1.0), 2, "b", True),
    (RateLimitedError("x", retry_after=600.0), 1, "b", True),
    (TargetDownError("x"), 1, "b", True),
    (StallError("x"), 1, "b", True),
    (InsufficientMemoryError("x", needed=2, available=1), 1, "b", True),
    (QueueFullError("x", limit=1), 1, "b", False),
    (ContextOverflowError("x", needed=9, available=8), 1, "b", False),
    (InvalidOutputError("x"), 2, "b", False),
    (TruncatedOutputError("x", used=1, limit=1), 1, "b", False),
    (BadRequestError("x"), 1, None, False),
    (AuthenticationError("x"), 1, None, False),
    (DeadlineExceededError("x"), 1, None, False),
    (RuntimeError("a bug"), 1, None, False),
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("error", "attempts", "answers", "counted"), TAXONOMY, ids=lambda item: type(item).__name__)
async def test_what_each_failure_means(
    error: Exception, attempts: int, answers: str | None, counted: bool, stream: bool, make: Make, fleet: Fleet
) -> None:
    failing(fleet, {"a": [error] * 9})
    routed = make("a", "b", breaker=BreakerSettings(failure_threshold=attempts))
    if answers is None:
        with pytest.raises(type(error)):
            await _ask(routed, stream)
        assert "b" not in fleet.opened
    else:
        assert await _ask(routed, stream) == f"from {answers}"
        assert fleet.calls()["b"] == 1
    assert fleet.calls()["a"] == attempts
    assert (routed.stats()["targets"]["a"]["breaker"] == "open") == counted
    _nothing_leaks(routed, fleet)


async def test_a_transient_failure_is_tried_again_where_it_happened(make: Make, fleet: Fleet, clock: Clock) -> None:
    failing(fleet, {"a": [RateLimitedError("x", retry_after=3.0)]})
    routed = make("a", "b")
    assert (await routed.chat("hello")).model == "a"
    assert clock.slept[0] >= 3.0
    assert "b" not in fleet.opened


async def test_an_invalid_answer_gets_one_more_try_that_says_what_was_wrong(make: Make, fleet: Fleet) -> None:
    failing(fleet, {"a": [InvalidOutputError("The rule 'type' is broken.")]})
    routed = make("a")
    assert (await routed.chat("hello")).model == "a"
    messages, _ = fleet["a"].seen[1]
    assert [message.role for message in messages] == ["user"]  # templates insist on turns that alternate
    assert messages[0].content.startswith("hello\n\nYour last answer was rejected")
    assert "rule 'type'" in messages[0].content


async def test_an_overflow_goes_to_a_larger_window_only(fleet: Fleet, clock: Clock) -> None:
    failing(fleet, {"a": [ContextOverflowError("x", needed=9000, available=8192)]})
    targets = [fleet.target("a", n_ctx=8192), fleet.target("small", n_ctx=4096), fleet.target("large", n_ctx=32768)]
    routed = RoutedBackend(targets, clock=clock, sleep=clock.sleep)
    assert (await routed.chat("long")).model == "large"
    assert "small" not in fleet.opened
    assert routed.model_info().n_ctx == 8192  # prompts are written for the primary


async def test_a_prompt_that_fits_alone_gets_a_shorter_answer_before_another_model_is_asked(
    make: Make, fleet: Fleet
) -> None:
    failing(fleet, {"a": [ContextOverflowError("x", needed=9000, available=8192)]})
    assert (await make("a", "b").chat("word " * 5600, max_tokens=2000)).model == "a"
    assert fleet["a"].seen[1][1]["max_tokens"] == 8192 - 7000


async def test_when_all_overflow_the_largest_one_tells_the_figures(make: Make, fleet: Fleet) -> None:
    failing(
        fleet,
        {
            "a": [ContextOverflowError("x", needed=9, available=4)],
            "b": [ContextOverflowError("x", needed=9, available=8)],
        },
    )
    with pytest.raises(ContextOverflowError) as caught:
        await make("a", "b").chat("long")
    assert caught.value.available == 8


async def test_all_causes_are_kept(make: Make, fleet: Fleet) -> None:
    failing(fleet, {"a": [TargetDownError("a is gone")], "b": [StallError("b stalls")]})
    with pytest.raises(AllTargetsFailedError, match="a: TargetDownError; b: StallError") as caught:
        await make("a", "b").chat("hello")
    assert [str(cause) for cause in caught.value.causes.exceptions] == ["a is gone", "b stalls"]


async def test_a_single_targets_failure_keeps_its_type(make: Make, fleet: Fleet) -> None:
    failing(fleet, {"a": [TargetDownError("a is gone")]})
    with pytest.raises(TargetDownError, match="a is gone"):
        await make("a").chat("hello")


async def test_earlier_failures_stay_visible_behind_one_that_ends_the_call(make: Make, fleet: Fleet) -> None:
    failing(fleet, {"a": [TargetDownError("a is gone")], "b": [AuthenticationError("no key")]})
    with pytest.raises(AuthenticationError) as caught:
        await make("a", "b").chat("hello")
    assert isinstance(caught.value.__cause__, ExceptionGroup)


# The breaker


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_dead_primary_costs_a_handful_of_attempts_in_a_hundred_calls(
    stream: bool, make: Make, fleet: Fleet, clock: Clock
) -> None:
    failing(fleet, {"a": [TargetDownError("dead")] * 500})
    routed = make("a", "b", breaker=BreakerSettings(failure_threshold=3, cooldown_seconds=15))
    for _ in range(100):
        assert await _ask(routed, stream) == "from b"
    assert fleet.calls() == {"a": 3, "b": 100}
    clock.now += 15
    await _ask(routed, stream)
    assert fleet.calls()["a"] == 4  # one probe
    fleet["a"].script.clear()
    clock.now += 30
    assert await _ask(routed, stream) == "from a"
    assert await _ask(routed, stream) == "from a"
    assert routed.stats()["targets"]["a"]["breaker"] == "closed"
    assert routed.stats()["targets"]["b"]["fallbacks"] == 101


async def test_a_crowd_sends_one_probe_and_goes_on_elsewhere(make: Make, fleet: Fleet, clock: Clock) -> None:
    failing(fleet, {"a": [TargetDownError("dead")] * 3})
    routed = make("a", "b", breaker=BreakerSettings(failure_threshold=3))
    for _ in range(3):
        await routed.chat("hello")
    clock.now += 15
    gate = asyncio.Event()
    fleet["a"].script.append(gate)
    crowd = [asyncio.ensure_future(routed.chat("hello")) for _ in range(17)]
    await eventually(lambda: sum(task.done() for task in crowd) == 16)
    gate.set()
    answers = [reply.model for reply in await asyncio.gather(*crowd)]
    assert answers.count("a") == 1
    assert answers.count("b") == 16


async def test_a_single_target_is_left_alone_too_and_says_for_how_long(make: Make, fleet: Fleet) -> None:
    failing(fleet, {"a": [TargetDownError("dead")] * 3})
    routed = make("a", breaker=BreakerSettings(failure_threshold=3))
    for _ in range(3):
        with pytest.raises(TargetDownError, match="dead"):
            await routed.chat("hello")
    with pytest.raises(TargetDownError, match="open for another 15 s") as caught:
        await routed.chat("hello")
    assert caught.value.retry_after == pytest.approx(15)
    assert fleet.calls()["a"] == 3


async def test_cancelled_calls_and_bugs_do_not_count_against_a_target(make: Make, fleet: Fleet) -> None:
    routed = make("a", breaker=BreakerSettings(failure_threshold=1))
    await routed.chat("warm")
    fleet["a"].script.append(asyncio.Event())
    task = asyncio.ensure_future(routed.chat("hello"))
    await eventually(lambda: not fleet["a"].script)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    fleet["a"].script.append(RuntimeError("a bug"))
    with pytest.raises(RuntimeError):
        await routed.chat("hello")
    assert (await routed.chat("hello")).model == "a"
    _nothing_leaks(routed, fleet)


# Streams


async def test_after_the_first_chunk_no_other_target_takes_over(make: Make, fleet: Fleet) -> None:
    routed = make("a", "b")
    await routed.chat("warm")
    fleet["a"].midway = TargetDownError("cut")
    stream = routed.chat_stream("hello")
    assert (await anext(stream)).delta.content == "from "
    with pytest.raises(StreamInterruptedError):
        await anext(stream)
    assert "b" not in fleet.opened
    _nothing_leaks(routed, fleet)


async def test_an_unusable_answer_at_a_streams_end_keeps_its_type(make: Make, fleet: Fleet) -> None:
    routed = make("a", "b")
    await routed.chat("warm")
    fleet["a"].midway = InvalidOutputError("no JSON")
    with pytest.raises(InvalidOutputError):
        [chunk async for chunk in routed.chat_stream("hello")]
    assert "b" not in fleet.opened


async def test_a_stream_closed_early_gives_everything_back(make: Make, fleet: Fleet) -> None:
    routed = make("a")
    stream = routed.chat_stream("hello")
    await anext(stream)
    assert routed.reports()[0].in_flight == 1
    await stream.aclose()  # type: ignore[attr-defined]  # async generators have it
    assert fleet["a"].active == 0
    _nothing_leaks(routed, fleet)


# Permission


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_never_means_never_whatever_fails(stream: bool, make: Make, fleet: Fleet, log: Lines) -> None:
    failing(fleet, {"a": [TargetDownError("dead")]})
    routed = make("a", "cloud", remote=("cloud",))
    assert sum("cloud is configured" in line for line in log.lines) == 1
    with pytest.raises(AllTargetsFailedError) as caught:
        await _ask(routed, stream)
    assert any(isinstance(cause, CloudNotAllowedError) for cause in caught.value.causes.exceptions)
    assert "cloud" not in fleet.opened
    assert routed.reports()[1].blocked


async def test_a_remote_primary_that_is_not_allowed_says_how_to_allow_it(make: Make) -> None:
    with pytest.raises(CloudNotAllowedError, match="ALLOW_CLOUD"):
        await make("cloud", remote=("cloud",)).chat("hello")


async def test_fallback_means_after_every_local_target(make: Make, fleet: Fleet, log: Lines) -> None:
    routed = make("cloud", "a", "b", remote=("cloud",), allow_cloud="fallback")
    assert (await routed.chat("hello")).model == "a"
    fleet["a"].always = TargetDownError("dead")
    assert (await routed.chat("hello")).model == "b"
    assert "cloud" not in fleet.opened
    fleet["b"].always = StallError("stuck")
    assert (await routed.chat("a secret question")).model == "cloud"
    told = [line for line in log.lines if line.startswith("remote call")]
    assert told == ["remote call: target=cloud reason='b: StallError' 10 + 5 tokens outcome=answered"]
    assert not any("secret" in line for line in log.lines)


async def test_fallback_does_not_wait_for_a_local_target_that_is_left_alone(make: Make, fleet: Fleet) -> None:
    failing(fleet, {"a": [TargetDownError("dead")] * 3})
    routed = make("a", "cloud", remote=("cloud",), allow_cloud="fallback", breaker=BreakerSettings(failure_threshold=1))
    assert (await routed.chat("hello")).model == "cloud"
    assert (await routed.chat("hello")).model == "cloud"
    assert fleet.calls()["a"] == 1


async def test_always_uses_a_remote_primary_first(make: Make) -> None:
    assert (await make("cloud", "a", remote=("cloud",), allow_cloud="always").chat("hello")).model == "cloud"


async def test_offline_overrules_every_permission(fleet: Fleet, clock: Clock) -> None:
    settings = SwitcherSettings(allow_cloud="always")
    routed = RoutedBackend([fleet.target("cloud", remote=True)], settings=settings, offline=True, clock=clock)
    with pytest.raises(CloudNotAllowedError, match="offline"):
        await routed.chat("hello")


async def test_a_spent_budget_refuses_remote_calls_and_local_ones_go_on(make: Make, fleet: Fleet) -> None:
    budget = BudgetSettings(total_tokens=600)
    routed = make("cloud", "a", remote=("cloud",), allow_cloud="always", budget=budget)
    assert (await routed.chat("hello", max_tokens=500)).model == "cloud"
    assert (await routed.chat("hello", max_tokens=595)).model == "a"
    assert routed.stats()["remote"]["tokens_total"] == 15
    alone = make("cloud", remote=("cloud",), allow_cloud="always", budget=budget)
    with pytest.raises(BudgetExceededError):
        await alone.chat("hello", max_tokens=700)
    _nothing_leaks(routed, fleet)


# Time


async def test_remote_targets_share_one_deadline(fleet: Fleet) -> None:
    fleet.prepare = lambda backend: setattr(backend, "always", asyncio.Event())
    targets = [fleet.target("one", remote=True), fleet.target("two", remote=True)]
    routed = RoutedBackend(targets, settings=SwitcherSettings(allow_cloud="always", deadline_seconds=0.2))
    with pytest.raises(AllTargetsFailedError) as caught:
        await routed.chat("hello")
    assert fleet.calls() == {"one": 1}
    assert "deadline_seconds" in caught.value.hint
    _nothing_leaks(routed, fleet)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_local_targets_have_no_clock_but_the_callers_own(stream: bool, fleet: Fleet) -> None:
    fleet.prepare = lambda backend: setattr(backend, "always", asyncio.Event())
    routed = RoutedBackend([fleet.target("a")], settings=SwitcherSettings(deadline_seconds=0.05))
    with pytest.raises(DeadlineExceededError):
        await _ask(routed, stream, deadline=0.3)
    assert routed.stats()["targets"]["a"]["breaker"] == "closed"


# Choosing


async def test_targets_without_what_a_call_needs_are_left_out(fleet: Fleet) -> None:
    plain = fleet.target("plain", capabilities=frozenset({"chat", "streaming"}))
    routed = RoutedBackend([plain, fleet.target("able")])
    assert (await routed.chat("hello")).model == "plain"
    assert (await routed.chat("hello", response_format={"type": "json_object"})).model == "able"
    assert (await routed.chat("hello", reasoning="on")).model == "able"
    assert (await routed.chat("hello", reasoning="always")).model == "plain", "any model can, one way or another"
    alone = RoutedBackend([plain])
    with pytest.raises(NoTargetError, match="plain lacks schema"):
        await alone.chat("hello", response_format={"type": "json_object"})


async def test_a_view_adds_requirements(fleet: Fleet) -> None:
    small = fleet.target("small", n_ctx=4096, facts=TargetSettings(model_size="nano"))
    large = fleet.target("large", n_ctx=32768, facts=TargetSettings(model_size="large"))
    routed = RoutedBackend([small, large])
    assert (await routed.requiring(Requirements(min_context=8192)).chat("hello")).model == "large"
    assert (await routed.requiring(Requirements(model_size="large")).chat("hello")).model == "large"
    assert (await routed.requiring(Requirements(model_size="mini")).chat("hello")).model == "small"


async def test_policies_order_the_targets(fleet: Fleet) -> None:
    dear = fleet.target("dear", remote=True, facts=TargetSettings(cost_per_million_tokens=9, quality=9))
    small = fleet.target("small", parameters=1_000_000_000)
    big = fleet.target("big", parameters=7_000_000_000)

    async def chosen(policy: Any) -> str:
        named = {"policy": policy} if isinstance(policy, str) else {}
        settings = SwitcherSettings(allow_cloud="always", **named)
        function = None if isinstance(policy, str) else policy
        return (await RoutedBackend([dear, small, big], settings=settings, policy=function).chat("hello")).model

    assert await chosen("explicit") == "dear"
    assert await chosen("local_first") == "dear"  # the owner made it the primary, and allows it
    assert await chosen("cheapest") == "small"
    assert await chosen("quality") == "dear"
    assert await chosen(lambda candidates: [item for item in candidates if item.id == "big"]) == "big"


@pytest.mark.parametrize(
    ("scored", "order"),
    [
        ({}, ["stated", "big", "middle", "small", "unknown"]),
        ({"middle": 0.4}, ["stated", "big", "middle", "small", "unknown"]),
        ({"big": 0.4, "small": 0.9}, ["stated", "small", "middle", "big", "unknown"]),
        ({"big": 0.4, "middle": 0.4, "small": 0.4}, ["stated", "big", "middle", "small", "unknown"]),
        ({"unknown": 0.9, "big": 0.8}, ["stated", "unknown", "middle", "small", "big"]),
        ({"stated": 0.1, "small": 0.9}, ["stated", "big", "middle", "small", "unknown"]),
    ],
)
def test_quality_is_what_was_stated_and_what_evaluation_found(scored: dict[str, float], order: list[str]) -> None:
    """Evaluated ones change places among themselves; a stated rank is the owner's word."""
    parameters = {"stated": 1, "small": 2, "middle": 4, "big": 8, "unknown": None}
    candidates = [
        Candidate(
            name,
            position,
            ModelInfo(name, parameters=size and size * 10**9),
            TargetSettings(quality=100 if name == "stated" else None),
            healthy=True,
            typical_seconds=None,
            score=scored.get(name),
        )
        for position, (name, size) in enumerate(parameters.items())
    ]
    assert [item.id for item in POLICIES["quality"](candidates)] == order


async def test_the_fastest_target_is_found_by_measuring(fleet: Fleet, clock: Clock) -> None:
    seconds = {"slow": 5.0, "quick": 1.0}

    class Slowed:
        def __init__(self, backend: Any) -> None:
            self._backend = backend

        def __getattr__(self, name: str) -> Any:
            return getattr(self._backend, name)

        async def chat(self, messages: Any, **options: Any) -> Any:
            clock.now += seconds[self._backend.info.id]
            return await self._backend.chat(messages, **options)

    targets = []
    for name in seconds:
        target = fleet.target(name)
        targets.append(type(target)(target.id, lambda open_=target.open: Slowed(open_()), info=target.info))
    routed = RoutedBackend(targets, settings=SwitcherSettings(policy="fastest"), clock=clock, sleep=clock.sleep)
    assert [(await routed.chat("hello")).model for _ in range(5)] == ["slow", "quick", "quick", "quick", "quick"]


# Embeddings


async def test_embeddings_stay_with_one_model_for_good(make: Make, fleet: Fleet) -> None:
    routed = make("a", "b")
    assert (await routed.embed(["text"])).model == "a"
    fleet["a"].always = TargetDownError("dead")
    with pytest.raises(TargetDownError):
        await routed.embed(["text"])
    assert "b" not in fleet.opened
    with pytest.raises(EmbeddingIdentityError, match="again"):
        routed.pin_embeddings("b")


# Swapping


async def test_a_swap_lets_calls_in_flight_finish_and_then_unloads(make: Make, fleet: Fleet) -> None:
    routed = make("old")
    gate = asyncio.Event()
    await routed.chat("warm")
    old = fleet["old"]
    old.script.append(gate)
    running = asyncio.ensure_future(routed.chat("hello"))
    await eventually(lambda: not old.script)
    routed.set_primary(fleet.target("new"))
    assert (await routed.chat("hello")).model == "new"
    assert old.closed == 0
    gate.set()
    assert (await running).model == "old"
    await routed.drained()
    assert old.closed == 1
    assert routed.primary == "new"
    _nothing_leaks(routed, fleet)


async def test_swapping_back_while_it_drains_keeps_the_model(make: Make, fleet: Fleet) -> None:
    routed = make("old")
    gate = asyncio.Event()
    await routed.chat("warm")
    fleet["old"].script.append(gate)
    running = asyncio.ensure_future(routed.chat("hello"))
    await eventually(lambda: not fleet["old"].script)
    routed.set_primary(fleet.target("new"))
    routed.set_primary(fleet.target("old"))
    gate.set()
    await running
    assert (await routed.chat("hello")).model == "old"
    assert len(fleet.opened["old"]) == 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_model_that_does_not_fit_beside_the_old_one_waits_until_that_is_unloaded(
    stream: bool, fleet: Fleet
) -> None:
    """Memory for one model only: loading the second fails while the first is there."""

    def prepare(backend: Any) -> None:
        present = [other for name, made in fleet.opened.items() for other in made if not other.closed]
        if present:
            backend.script.append(InsufficientMemoryError("no room", needed=2, available=1))

    fleet.prepare = prepare
    routed = RoutedBackend([fleet.target("old", in_process=True)])
    await routed.chat("warm")
    old, gate = fleet["old"], asyncio.Event()
    old.script.append(gate)
    running = asyncio.ensure_future(routed.chat("hello"))
    await eventually(lambda: not old.script)
    routed.set_primary(fleet.target("new", in_process=True))
    later = asyncio.ensure_future(_ask(routed, stream))
    await eventually(lambda: "new" in fleet.opened)
    assert not later.done()
    gate.set()
    assert (await running).model == "old"
    assert await later == "from new"
    assert old.closed == 1
    _nothing_leaks(routed, fleet)


async def test_an_idle_fallback_makes_room_and_is_opened_again_when_needed(fleet: Fleet) -> None:
    def prepare(backend: Any) -> None:
        if any(not other.closed for made in fleet.opened.values() for other in made):
            backend.script.append(InsufficientMemoryError("no room", needed=2, available=1))

    fleet.prepare = prepare
    targets = [fleet.target(name, in_process=True) for name in ("a", "b")]
    routed = RoutedBackend(targets, settings=SwitcherSettings(breaker=NEVER_OPENS))
    await routed.chat("warm")
    fleet["a"].always = StallError("stuck")
    assert (await routed.chat("hello")).model == "b"  # a is idle, so it gives way
    assert fleet["a"].closed == 1
    assert (await routed.chat("hello")).model == "a"  # and comes back, opened anew
    assert len(fleet.opened["a"]) == 2


async def test_a_call_whose_target_is_swapped_out_goes_on_with_the_new_one(
    make: Make, fleet: Fleet, clock: Clock
) -> None:
    routed = make("old")
    await routed.chat("warm")
    fleet["old"].script.append(TransientError("hiccup"))
    original = clock.sleep

    async def swap_while_waiting(seconds: float) -> None:
        routed.set_primary(fleet.target("new"))
        await original(seconds)

    routed._calls._sleep = swap_while_waiting
    assert (await routed.chat("hello")).model == "new"


# Watching


async def test_statistics_tell_what_happened_by_target_and_schema(make: Make, fleet: Fleet) -> None:
    failing(fleet, {"a": [TargetDownError("x"), None, None]})
    seen: list[CallRecord] = []
    routed = make("a", "b")
    routed._attempts._observer = seen.append
    await routed.chat("hello", prefix_group="Draft")
    await routed.chat("hello", prefix_group="Draft")
    [chunk async for chunk in routed.chat_stream("hello", prefix_group="Reply")]
    stats = routed.stats()["targets"]
    assert stats["a"]["calls"] == 3
    assert stats["a"]["failures"] == {"TargetDownError": 1}
    assert stats["a"]["schemas"]["Draft"]["calls"] == 2
    assert stats["a"]["schemas"]["Reply"]["first_chunk_p50"] is not None
    assert stats["b"]["fallbacks"] == 1
    assert [(record.target, record.error) for record in seen] == [
        ("a", "TargetDownError"), ("b", None), ("a", None), ("a", None)
    ]  # fmt: skip


async def test_reports_tell_what_each_target_is(make: Make) -> None:
    routed = make("a", "cloud", remote=("cloud",))
    await routed.chat("hello")
    a, cloud = routed.reports()
    assert (a.primary, a.remote, a.healthy, a.blocked) == (True, False, True, False)
    assert (cloud.primary, cloud.remote, cloud.blocked) == (False, True, True)
    assert a.to_json()["capabilities"] == sorted(a.capabilities)


async def test_a_primary_that_can_not_be_loaded_is_fatal_only_when_alone(make: Make, fleet: Fleet, log: Lines) -> None:
    error = InsufficientMemoryError("too big", needed=2, available=1)
    fleet.prepare = lambda backend: setattr(backend, "always", error if backend.info.id == "a" else None)
    with pytest.raises(InsufficientMemoryError):
        await make("a").load()
    routed = make("a", "b")
    await routed.load()
    assert any("can't be loaded" in line for line in log.lines)
    assert (await routed.chat("hello")).model == "b"


def test_no_target_at_all_is_an_error() -> None:
    with pytest.raises(NoTargetError):
        RoutedBackend([])


async def _ask(routed: RoutedBackend, stream: bool, **options: Any) -> str:
    if stream:
        return "".join([chunk.delta.content async for chunk in routed.chat_stream("hello", **options)])
    return (await routed.chat("hello", **options)).content


def _nothing_leaks(routed: RoutedBackend, fleet: Fleet) -> None:
    assert not any(routed._pool.in_use.values())
    assert all(target["in_flight"] == 0 for target in routed.stats()["targets"].values())
    assert routed.stats()["remote"]["reserved"] == 0
    assert all(backend.active == 0 for backends in fleet.opened.values() for backend in backends)
    assert all(breaker.state != "half_open" for breaker in routed._attempts.breakers.values())
