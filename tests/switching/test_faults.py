"""The fault matrix: everything that can go wrong at the first target, over real sockets, whole and streamed.

For each: who answered, after how many attempts at the first target and which pauses between them; and that nothing was
lost and nothing called twice that must not be. Pauses are noted, not waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from parlant_local.backends.ollama import OllamaBackend
from parlant_local.backends.openai import OpenAIBackend
from parlant_local.errors import (
    AuthenticationError,
    BadRequestError,
    InsufficientMemoryError,
    ParlantLocalError,
    StreamInterruptedError,
)
from parlant_local.settings import BreakerSettings, SwitcherSettings
from parlant_local.switching import RoutedBackend, Target
from parlant_local.switching.chain import ChainLimits
from tests.fakes.http import Fault, FaultServer
from tests.fakes.ollama import FakeOllama
from tests.fakes.openai import FakeOpenAI
from tests.fakes.simulated import Clock, Fleet
from tests.support.eventually import eventually

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}}
OVERFLOW = {"error": {"message": "maximum context length is 8192 tokens, your messages resulted in 9000 tokens"}}
MEMORY = {"error": {"message": "model requires more system memory (5.6 GiB) than is available (2.1 GiB)"}}
SILENCE = 0.3
"""Seconds after which a target that says nothing is given up; those that answer get all the time they need."""
PATIENCE = 120.0


@dataclass(frozen=True)
class Row:
    name: str
    fault: Fault | None
    """None: the server is gone."""
    whole: str | type[ParlantLocalError]
    """Who answers a whole call, or what it fails with."""
    attempts: int
    """At the first target."""
    pause: float = 0.01
    """Seconds before each of the later ones; by itself it waits next to nothing here."""
    reconnects: int = 0
    """Of those attempts, the ones that the backend made itself: without a pause."""
    stream: str | type[ParlantLocalError] | None = None
    """The same of a stream, where it differs."""
    stream_attempts: int | None = None


MATRIX = [
    Row("refused", None, "second", 0),
    Row("reset", Fault("reset"), "second", 2, reconnects=1),
    Row("hang", Fault("hang"), "second", 1),
    Row("slow drip", Fault("drip", delay=0.02), "first", 1),
    Row("400", Fault("status", 400), BadRequestError, 1),
    Row("401", Fault("status", 401), AuthenticationError, 1),
    Row("404", Fault("status", 404), "second", 1),
    Row("408", Fault("status", 408), "second", 2),
    Row("413", Fault("status", 413), "second", 1),
    Row("429, soon", Fault("status", 429, headers={"retry-after": "0.1"}), "second", 2, 0.1),
    Row("429, much later", Fault("status", 429, headers={"retry-after": "600"}), "second", 1),
    Row("500", Fault("status", 500, body={"error": {"message": "boom"}}), "second", 2),
    Row("503", Fault("status", 503), "second", 2),
    Row("503, loading", Fault("status", 503, body={"error": {"message": "Loading model"}}), "second", 1),
    Row("redirect", Fault("redirect", body="http://192.0.2.9/v1"), "second", 1),
    Row("empty body", Fault("empty"), "second", 2, stream_attempts=1),
    Row("bad JSON", Fault("bad_json"), "second", 2, stream_attempts=1),
    Row("context overflow", Fault("status", 400, body=OVERFLOW), "second", 1),
    Row("out of memory", Fault("status", 500, body=MEMORY), "second", 1),
    Row("cut before the first piece", Fault("cut", after=0), "first", 1, stream="second"),
    Row(
        "error before the first piece",
        Fault("error_event", after=0),
        "first",
        1,
        stream="second",
        stream_attempts=2,
    ),
    Row("cut mid-stream", Fault("cut", after=3), "first", 1, stream=StreamInterruptedError),
    Row("error mid-stream", Fault("error_event", after=3), "first", 1, stream=StreamInterruptedError),
    Row("silence mid-stream", Fault("silence_mid_stream", after=3), "first", 1, stream=StreamInterruptedError),
]


@asynccontextmanager
async def pair(
    *, silence: float = PATIENCE, clock: Clock | None = None, **settings: Any
) -> AsyncIterator[tuple[RoutedBackend, FakeOpenAI, FakeOpenAI]]:
    """Two endpoints on loopback behind a switcher; ``silence`` is what the first may keep."""
    timing: dict[str, Any] = {} if clock is None else {"clock": clock, "sleep": clock.sleep}
    async with AsyncExitStack() as stack:
        first = FakeOpenAI(name="first")
        second = FakeOpenAI(name="second")
        await stack.enter_async_context(first)
        await stack.enter_async_context(second)
        first.text, second.text = "first answers", "second answers"
        routed = RoutedBackend(
            [_target("first", first, silence=silence), _target("second", second)],
            settings=SwitcherSettings(**settings),
            limits=ChainLimits(2, 30.0, jitter=lambda _attempt: 0.01),
            **timing,
        )
        await stack.enter_async_context(routed)
        yield routed, first, second


def _target(name: str, server: FakeOpenAI, *, silence: float = PATIENCE) -> Target:
    def open_() -> OpenAIBackend:
        return OpenAIBackend("m", base_url=server.base_url, name=name, timeout=silence)

    return Target(name, open_)


async def ask(routed: RoutedBackend, *, stream: bool, pieces: list[str] | None = None, **options: Any) -> str:
    pieces = [] if pieces is None else pieces
    if stream:
        async for chunk in routed.chat_stream("hello", **options):
            pieces.append(chunk.delta.content)
        return "".join(pieces)
    return (await routed.chat("hello", **options)).content


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("row", MATRIX, ids=lambda row: row.name)
async def test_the_matrix(row: Row, stream: bool) -> None:
    expected = row.stream if stream and row.stream is not None else row.whole
    attempts = row.stream_attempts if stream and row.stream_attempts is not None else row.attempts
    clock = Clock()
    async with pair(silence=_silence(row), clock=clock) as (routed, first, second):
        if row.fault is None:
            await first.stop()
        first.always = row.fault
        if isinstance(expected, str):
            assert await ask(routed, stream=stream) == f"{expected} answers"
        else:
            with pytest.raises(expected):
                await ask(routed, stream=stream)
        assert len(first.requests) == attempts
        assert clock.slept == [row.pause] * max(attempts - row.reconnects - 1, 0)
        assert len(second.requests) == (expected == "second")
        _nothing_is_left(routed)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_an_answer_against_its_schema_gets_one_more_try_and_then_another_model(stream: bool) -> None:
    async with pair() as (routed, first, second):
        assert json.loads(await ask(routed, stream=False, response_format=FORMAT))["city"]
        first.answer = lambda _body: '{"town": "x"}'
        calls = len(first.requests)
        if stream:  # its pieces were delivered before the whole could be judged
            with pytest.raises(ParlantLocalError, match="does not match"):
                await ask(routed, stream=True, response_format=FORMAT)
            assert len(first.requests) == calls + 1
        else:
            assert json.loads(await ask(routed, stream=False, response_format=FORMAT))["city"]
            assert len(first.requests) == calls + 2
            assert "was rejected" in first.requests[-1].body["messages"][-1]["content"]
            assert len(second.requests) == 1
        _nothing_is_left(routed)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_an_engine_out_of_memory_hands_over(stream: bool) -> None:
    fleet = Fleet()
    error = InsufficientMemoryError("too big", needed=2, available=1)
    fleet.prepare = lambda backend: setattr(backend, "always", error)
    async with FakeOpenAI() as second:
        second.text = "second answers"
        routed = RoutedBackend([fleet.target("engine"), _target("second", second)])
        assert await ask(routed, stream=stream) == "second answers"
        assert fleet["engine"].calls == 1
        await routed.close()


def _silence(row: Row) -> float:
    return SILENCE if row.fault is not None and row.fault.kind in ("hang", "silence_mid_stream") else PATIENCE


class Waiting(Clock):
    """Whoever pauses does so until it is cancelled."""

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.Event().wait()


@pytest.mark.parametrize("stage", ["before the answer", "during the wait", "during the fallback", "in the stream"])
async def test_cancelling_at_each_stage_leaves_nothing_behind(stage: str) -> None:
    waiting, pieces = Waiting(), list[str]()
    reached: dict[str, Callable[[], Any]] = {
        "before the answer": lambda: first.requests,
        "during the wait": lambda: waiting.slept,
        "during the fallback": lambda: second.requests,
        "in the stream": lambda: pieces,
    }
    async with pair(clock=waiting) as (routed, first, second):
        stream = stage == "in the stream"
        if stage == "before the answer":
            first.always = Fault("hang")
        elif stage == "during the wait":
            first.always = Fault("status", 429, headers={"retry-after": "5"})
        elif stage == "during the fallback":
            first.always, second.always = Fault("status", 404), Fault("hang")
        else:
            first.always = Fault("silence_mid_stream", after=3)
        task = asyncio.ensure_future(ask(routed, stream=stream, pieces=pieces))
        await eventually(reached[stage])
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        _nothing_is_left(routed)
        first.always = second.always = None
        assert await ask(routed, stream=stream) == "first answers"


async def test_a_daemon_falls_back_to_an_endpoint_and_the_other_way_round() -> None:
    async with FakeOllama() as daemon, FakeOpenAI() as endpoint:
        ollama = Target("ollama/m", lambda: OllamaBackend("m", host=daemon.url, timeout=PATIENCE))
        openai = _target("endpoint", endpoint)
        for targets, dead in (([ollama, openai], daemon), ([openai, ollama], endpoint)):
            await dead.stop()
            async with RoutedBackend(targets) as routed:
                assert "Paris" in await ask(routed, stream=False)
                assert "Paris" in await ask(routed, stream=True)
            await dead.start()


async def test_a_dead_primary_costs_its_timeout_three_times_in_a_hundred_calls_and_comes_back() -> None:
    clock = Clock()
    breaker = BreakerSettings(failure_threshold=3, cooldown_seconds=10)
    async with pair(breaker=breaker, silence=SILENCE, clock=clock) as (routed, first, _second):
        first.always = Fault("hang")
        answers = [await ask(routed, stream=number % 2 == 0) for number in range(100)]
        assert answers == ["second answers"] * 100
        assert len(first.requests) == 3
        for probes, pause in enumerate((10, 20), 1):  # it doubles with each probe that fails
            clock.now += pause
            assert [await ask(routed, stream=False) for _ in range(5)] == ["second answers"] * 5
            assert len(first.requests) == 3 + probes
        first.always = None
        clock.now += 40
        backend: Any = routed._pool.peek("first")
        backend._connection._client.timeout = (
            PATIENCE  # of that answer nobody says that it comes within a third of a second
        )
        assert await ask(routed, stream=False) == "first answers"
        assert len(first.requests) == 6


REMOTE_FAULTS = [row for row in MATRIX if row.name != "slow drip"]


@pytest.mark.parametrize("row", REMOTE_FAULTS, ids=lambda row: row.name)
async def test_never_opens_no_remote_connection_whatever_fails(row: Row, forbid_sockets: list[Any]) -> None:
    async with FakeOpenAI(name="local") as local:
        cloud = Target("openai/gpt-4o", lambda: OpenAIBackend("gpt-4o", api_key="sk-x", allow_remote=True), remote=True)
        far = Target(
            "ollama/m", lambda: OllamaBackend("m", host="http://192.0.2.7:11434", allow_remote=True), remote=True
        )
        routed = RoutedBackend(
            [_target("local", local, silence=_silence(row)), cloud, far],
            settings=SwitcherSettings(allow_cloud="never"),
            limits=ChainLimits(2, 30.0, jitter=lambda _attempt: 0.01),
        )
        if row.fault is None:
            await local.stop()
        local.always = row.fault
        for stream in (False, True):
            with contextlib.suppress(ParlantLocalError):
                await ask(routed, stream=stream)
        assert forbid_sockets == []
        assert all(routed._pool.peek(target) is None for target in ("openai/gpt-4o", "ollama/m"))
        await routed.close()


async def test_the_socket_guard_itself_notices(forbid_sockets: list[Any]) -> None:
    backend = OpenAIBackend("gpt-4o", base_url="http://192.0.2.7/v1", name="x", allow_remote=True, timeout=1)
    with pytest.raises((AssertionError, ParlantLocalError, ExceptionGroup)):
        await backend.chat("hello")
    assert forbid_sockets
    await backend.close()


async def test_a_crowd_over_a_flaky_target_loses_no_call() -> None:
    async with pair(breaker=BreakerSettings(failure_threshold=1000, min_calls=1000)) as (
        routed,
        first,
        second,
    ):
        kinds = ["status", "reset", "empty", "cut", "bad_json"]
        first.faults.extend(Fault(kinds[number % 5], 500, after=0) for number in range(30))  # type: ignore[arg-type]  # literals
        answers = await asyncio.gather(*(ask(routed, stream=number % 2 == 0) for number in range(60)))
        assert set(answers) <= {"first answers", "second answers"}
        assert len(answers) == 60
        _nothing_is_left(routed)
        _all_idle(first, second)


def _nothing_is_left(routed: RoutedBackend) -> None:
    assert not any(routed._pool.in_use.values())
    assert all(target["in_flight"] == 0 for target in routed.stats()["targets"].values())
    assert all(breaker.state != "half_open" for breaker in routed._attempts.breakers.values())


def _all_idle(*servers: FaultServer) -> None:
    assert all(server.in_flight == 0 for server in servers)
