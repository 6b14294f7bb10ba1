"""What an answer may cost: requests that arrive at real servers, whatever goes wrong, in one target and in a chain."""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from parlant.core.engines.alpha.prompt_builder import PromptBuilder
from pydantic import BaseModel

from parlant_local.backends.ollama import OllamaBackend
from parlant_local.backends.openai import OpenAIBackend
from parlant_local.errors import (
    AllTargetsFailedError,
    ContextOverflowError,
    InvalidOutputError,
    ParlantLocalError,
    RateLimitedError,
    SchemaError,
    TransientError,
    TruncatedOutputError,
)
from parlant_local.nlp import LocalNLPService
from parlant_local.observability import NullLogger
from parlant_local.settings import BreakerSettings, Settings, SwitcherSettings
from parlant_local.switching import RoutedBackend, Target
from parlant_local.switching.chain import ChainLimits
from parlant_local.switching.ladder import UNCHANGED, Change, Ladder, Leeway
from tests.fakes.http import Fault
from tests.fakes.ollama import FakeOllama
from tests.fakes.openai import FakeOpenAI

NEVER_OPENS = BreakerSettings(failure_threshold=1000, min_calls=1000)
OFF_SCHEMA = '{"town": "Paris"}'
GOOD = '{"capital": "Paris"}'
CHAT = "/v1/chat/completions"


class Capital(BaseModel):
    capital: str


class AgentIntentionProposerSchema(BaseModel):
    """The host's schema of this name, which is tightened."""

    condition: str
    is_agent_intention: bool


def quick(attempts: int = 2, total_attempts: int = 5) -> ChainLimits:
    return ChainLimits(attempts, 30.0, total_attempts, jitter=lambda _attempt: 0.0)


def target(name: str, server: FakeOpenAI, dialect: Any = "json_schema") -> Target:
    def open_() -> OpenAIBackend:
        return OpenAIBackend("m", base_url=server.base_url, name=name, timeout=2.0, dialect=dialect)

    return Target(name, open_)


@asynccontextmanager
async def chain(
    count: int, *, dialect: Any = "json_schema", limits: ChainLimits | None = None
) -> AsyncIterator[tuple[LocalNLPService, list[FakeOpenAI]]]:
    async with AsyncExitStack() as stack:
        servers = [FakeOpenAI(name=f"s{number}") for number in range(count)]
        for server in servers:
            await stack.enter_async_context(server)
            server.answer = lambda _body: OFF_SCHEMA
        targets = [target(server.name, server, dialect) for server in servers]
        routed = RoutedBackend(targets, settings=SwitcherSettings(breaker=NEVER_OPENS), limits=limits or quick())
        await stack.enter_async_context(routed)
        yield LocalNLPService(routed, settings=Settings(), logger=NullLogger()), servers


async def ask(service: LocalNLPService, **hints: Any) -> Capital:
    return (await (await service.get_schematic_generator(Capital)).generate("Which?", hints)).content


def arrived(servers: list[FakeOpenAI]) -> list[int]:
    return [server.calls(CHAT) for server in servers]


def bodies(server: FakeOpenAI) -> list[Any]:
    return [request.body for request in server.requests if request.path == CHAT]


# What an answer off its schema costs


@pytest.mark.parametrize("dialect", ["json_schema", "prompt", "auto"])
async def test_one_target_that_is_always_off_schema_is_asked_three_times(dialect: str) -> None:
    async with chain(1, dialect=dialect) as (service, servers):
        for calls in (3, 6, 9):
            with pytest.raises(InvalidOutputError):
                await ask(service)
            assert arrived(servers) == [calls]
        assert service.stats()["Capital"]["completion_tokens"] == 9 * 8


@pytest.mark.parametrize(
    ("count", "expected"),
    [(2, [2, 3]), (3, [2, 2, 1]), (4, [2, 1, 1, 1]), (5, [1, 1, 1, 1, 1]), (6, [1, 1, 1, 1, 1, 0])],
)
async def test_a_chain_costs_five_and_every_model_is_asked_before_one_is_asked_again(
    count: int, expected: list[int]
) -> None:
    async with chain(count) as (service, servers):
        with pytest.raises(AllTargetsFailedError) as caught:
            await ask(service)
        assert arrived(servers) == expected
        assert {type(cause) for cause in caught.value.causes.exceptions} == {InvalidOutputError}


@pytest.mark.parametrize("backend", ["openai", "ollama"])
async def test_a_backend_without_a_switcher_climbs_the_same_ladder(backend: str) -> None:
    made: Any = None
    async with FakeOpenAI() as endpoint, FakeOllama() as daemon:
        endpoint.answer = daemon.answer = lambda _body: OFF_SCHEMA
        if backend == "openai":
            made = OpenAIBackend("m", base_url=endpoint.base_url, name="x")
        else:
            made = OllamaBackend("m", host=daemon.url)
        service = LocalNLPService(made, settings=Settings(), logger=NullLogger())
        with pytest.raises(InvalidOutputError):
            await ask(service)
        assert (endpoint.calls(CHAT), daemon.calls("/api/chat")) == ((3, 0) if backend == "openai" else (0, 3))
        await service.close()


async def test_the_model_is_told_what_was_wrong() -> None:
    async with chain(1) as (service, servers):
        with pytest.raises(InvalidOutputError):
            await ask(service)
        said = [body["messages"][-1]["content"] for body in bodies(servers[0])]
        assert said[0] == "Which?"
        assert all("rule" in text and text.startswith("Which?\n\nYour last answer was rejected") for text in said[1:])


async def test_a_setting_means_never_again() -> None:
    async with chain(1, limits=quick(1)) as (service, servers):
        with pytest.raises(InvalidOutputError):
            await ask(service)
        assert arrived(servers) == [1]


async def test_an_answer_that_was_cut_gets_room_and_no_more_attempts_than_another() -> None:
    async with chain(1) as (service, servers):
        servers[0].answer, servers[0].finish = (lambda _body: '{"capital": "Par'), "length"
        with pytest.raises(TruncatedOutputError, match=r"generation\.max_tokens"):
            await ask(service)
        assert [body["max_tokens"] for body in bodies(servers[0])] == [2048, 4096, 8192]
        with pytest.raises(TruncatedOutputError):
            await ask(service, max_tokens=64)
        assert arrived(servers) == [4]


async def test_what_unusable_answers_cost_is_counted() -> None:
    async with chain(1) as (service, servers):
        answers = iter([OFF_SCHEMA, GOOD])
        servers[0].answer = lambda _body: next(answers)
        assert (await ask(service)).capital == "Paris"
        counted = service.stats()["Capital"]
        assert (counted["completion_tokens"], counted["retried"], counted["failed"]) == (16, 1, 0)
        routed: Any = service.backend
        of_target = routed.stats()["targets"]["s0"]
        assert (of_target["completion_tokens"], of_target["failures"]) == (16, {"InvalidOutputError": 1})


# Mixtures


def invalid(_server: FakeOpenAI) -> str:
    return OFF_SCHEMA


def cut(server: FakeOpenAI) -> str:
    server.finish = "length"
    return '{"capital": "Par'


def refused(server: FakeOpenAI) -> Fault:
    return Fault("status", 400, body={"error": {"message": "const is not supported here"}})


def broken(_server: FakeOpenAI) -> Fault:
    return Fault("status", 500)


def slowed(_server: FakeOpenAI) -> Fault:
    return Fault("status", 429, headers={"retry-after": "0"})


def gone(_server: FakeOpenAI) -> Fault:
    return Fault("status", 404)


def reset(_server: FakeOpenAI) -> Fault:
    return Fault("reset")


def overflowing(_server: FakeOpenAI) -> Fault:
    text = "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens."
    return Fault("status", 400, body={"error": {"message": text}})


EVENTS: list[Callable[[FakeOpenAI], str | Fault]] = [invalid, cut, refused, broken, slowed, gone, reset, overflowing]


def acting(server: FakeOpenAI, events: Iterator[Callable[[FakeOpenAI], str | Fault]]) -> None:
    """``server`` does what the next event says, at every request."""

    async def answer(request: Any, writer: Any) -> None:
        if request.path != CHAT:
            server.always = None
        else:
            server.finish = "stop"
            outcome = next(events)(server)
            server.always = outcome if isinstance(outcome, Fault) else None
            server.answer = lambda _body: str(outcome)
        await plain(request, writer)

    plain = server._answer
    server._answer = answer  # type: ignore[method-assign]  # the script stands before the server's own


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("seed", range(30))
async def test_no_mixture_of_failures_costs_more(count: int, seed: int) -> None:
    source = random.Random(f"{count} {seed}")
    prompt = PromptBuilder().add_section(
        "guideline-action-proposer-output-format", "{condition}", {"condition": "they greet you"}
    )
    async with chain(count) as (service, servers):
        for server in servers:
            acting(server, iter(lambda: source.choice(EVENTS), None))
        generator = await service.get_schematic_generator(AgentIntentionProposerSchema)
        with pytest.raises(ParlantLocalError):
            await generator.generate(prompt)
        assert sum(arrived(servers)) <= (3 if count == 1 else 5)
        assert max(arrived(servers)) <= 3
        assert all(not in_use for in_use in service.backend._pool.in_use.values())  # type: ignore[attr-defined]  # routed


async def test_every_pair_of_failures_at_one_target_leaves_room_for_a_good_answer() -> None:
    """Where both can be mended, the third attempt brings the answer."""
    mendable = [invalid, cut, broken, slowed]
    for first, second in itertools.product(mendable, mendable):
        async with chain(1) as (service, servers):
            acting(servers[0], iter([first, second, lambda _server: GOOD]))
            assert (await ask(service)).capital == "Paris"
            assert arrived(servers) == [3]


async def test_a_cut_connection_counts_among_the_three() -> None:
    async with chain(1) as (service, servers):
        acting(servers[0], iter([reset, invalid, lambda _server: GOOD]))
        assert (await ask(service)).capital == "Paris"
        assert arrived(servers) == [3]
    async with chain(1) as (service, servers):
        acting(servers[0], itertools.cycle([reset, invalid]))
        with pytest.raises(ParlantLocalError):
            await ask(service)
        assert arrived(servers) == [3]


async def test_dead_targets_do_not_use_up_what_the_living_may_cost() -> None:
    async with chain(7) as (service, servers):
        for server in servers[:6]:
            await server.stop()
        servers[6].answer = lambda _body: GOOD
        assert (await ask(service)).capital == "Paris"


async def test_a_format_that_is_refused_is_refused_once() -> None:
    """Refusals bring no answer; they are learned, and not asked for again even where no answer ever fits."""
    async with FakeOpenAI(dialects=()) as server:
        server.answer = lambda _body: OFF_SCHEMA
        routed = RoutedBackend([target("x", server, "auto")], limits=quick())
        service = LocalNLPService(routed, settings=Settings(), logger=NullLogger())
        for calls in (6, 9, 12):
            with pytest.raises(InvalidOutputError):
                await ask(service)
            assert server.calls(CHAT) == calls
        await routed.close()


async def test_streams_are_asked_for_again_within_the_same_bounds() -> None:
    for faults, requests in (([500, 500, 500, 500], 3), ([429, 500, 408, 500], 3)):
        async with chain(1) as (service, servers):
            servers[0].faults.extend(Fault("status", status) for status in faults)
            stream = (await service.get_streaming_text_generator()).generate("hi").stream
            with pytest.raises(TransientError):
                _ = [chunk async for chunk in stream]
            assert arrived(servers) == [requests]
    async with chain(1) as (service, servers):
        servers[0].answer = lambda _body: ""
        stream = (await service.get_streaming_text_generator()).generate("hi").stream
        with pytest.raises(InvalidOutputError, match="empty"):
            _ = [chunk async for chunk in stream]
        assert arrived(servers) == [3]


# Time


async def test_a_pause_longer_than_the_callers_time_is_not_waited_for() -> None:
    async with chain(1) as (service, servers):
        servers[0].always = Fault("status", 429, headers={"retry-after": "10"})
        with pytest.raises(RateLimitedError):
            await ask(service, deadline=5.0)
        assert arrived(servers) == [1]


async def test_each_attempt_gets_what_is_left_of_the_callers_time() -> None:
    from tests.fakes.scripted import ScriptedBackend

    backend = ScriptedBackend(delay=0.05, answers={"Capital": lambda _: OFF_SCHEMA})
    service = LocalNLPService(backend, settings=Settings(), logger=NullLogger())
    with pytest.raises(InvalidOutputError):
        await ask(service, deadline=60.0)
    left = [call.params.deadline for call in backend.calls]
    assert len(left) == 3
    assert left == sorted(left, reverse=True)
    assert left[2] is not None
    assert left[2] <= 60.0 - 0.1


# The rules themselves


def test_a_target_keeps_its_last_attempt_for_when_it_stands_alone() -> None:
    ladder = Ladder(2, 5)
    for others, expected in ((0, [3, 2, 1, 0]), (1, [2, 1, 0, 0])):
        ladder.requests.clear()
        found = []
        for _ in range(4):
            found.append(ladder.remaining_for("a", others))
            ladder.count("a", InvalidOutputError("x"), 0)
        assert found == expected


def test_how_the_next_attempt_differs() -> None:
    ladder = Ladder(2, 5, Leeway(1000, 3000, plain=True, share_without_examples=lambda: 0.5), prompt_tokens=5000)
    assert ladder.change("a", UNCHANGED, InvalidOutputError("wrong")) == Change(repair="wrong")
    longer = ladder.change("a", UNCHANGED, TruncatedOutputError("", used=1000, limit=1000))
    assert longer == Change(max_tokens=2000)
    assert ladder.change("a", Change(max_tokens=2000), TruncatedOutputError("", used=9, limit=9)) == Change(
        max_tokens=3000
    )
    assert ladder.change("a", Change(max_tokens=3000), TruncatedOutputError("", used=9, limit=9)) is None
    assert ladder.change("a", UNCHANGED, SchemaError("x")) == Change(plain=True)
    assert ladder.change("a", Change(plain=True), SchemaError("x")) is None
    full = ContextOverflowError("x", needed=6000 + 1000, available=6500)
    assert ladder.change("a", Change(plain=True), full) == Change(max_tokens=500, plain=True)
    assert ladder.change("a", UNCHANGED, full) is None  # once
    assert ladder.drop_examples(ContextOverflowError("x", needed=9000 + 1000, available=8192)) == Change(
        without_examples=True
    )
    assert ladder.drop_examples(ContextOverflowError("x", needed=13000 + 1000, available=8192)) == Change(
        max_tokens=8192 - 7474, without_examples=True
    )


# A prompt that fits no model whole

SHOTS = "example " * 4000


def shot_prompt() -> PromptBuilder:
    return (
        PromptBuilder()
        .add_section("guideline-matcher-examples-of-previously-applied-evaluations", "{shots}", {"shots": SHOTS})
        .add_section("customer-wishes", "Which capital?")
    )


def refusing(server: FakeOpenAI, tokens: int, said: str = "") -> None:
    """Refuses prompts of more tokens than that, as vLLM does."""

    async def answer(request: Any, writer: Any) -> None:
        count = sum(len(item["content"]) for item in (request.body or {}).get("messages", ())) // 4
        words = f"This model's maximum context length is {tokens} tokens. However, your messages resulted in {count} tokens."
        server.always = (
            Fault("status", 400, body={"error": {"message": said or words}}) if request.path == CHAT and count > tokens else None
        )  # fmt: skip
        await plain(request, writer)

    plain = server._answer
    server._answer = answer  # type: ignore[method-assign]  # the limit stands before the server's own answer
    server.answer = lambda _body: GOOD


async def generate(service: LocalNLPService, prompt: PromptBuilder) -> Capital:
    return (await (await service.get_schematic_generator(Capital)).generate(prompt)).content


class Lines(NullLogger):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, message: str) -> None:
        self.warnings.append(message)


@pytest.mark.parametrize("said", ["", "Your input exceeds the context window of this model."], ids=["figures", "none"])
async def test_examples_are_left_out_where_the_whole_prompt_fits_nowhere(said: str) -> None:
    async with FakeOpenAI() as server:
        refusing(server, 4096, said)
        logger = Lines()
        routed = RoutedBackend([target("x", server)], limits=quick(), logger=logger)
        service = LocalNLPService(routed, settings=Settings(), logger=logger)
        for number in (1, 2):
            assert (await generate(service, shot_prompt())).capital == "Paris"
            assert service.stats()["Capital"]["brief"] == number
            assert server.calls(CHAT) == 2 * number
        assert bodies(server)[0]["messages"][0]["content"].startswith("example")
        assert bodies(server)[1]["messages"][0]["content"] == "Which capital?"
        told = [line for line in logger.warnings if "examples in its prompt are left out" in line]
        assert len(told) == 1
        assert "leave_out_examples" in told[0]
        await routed.close()


async def test_a_setting_keeps_the_examples_and_nothing_else_is_ever_cut() -> None:
    async with FakeOpenAI() as server:
        refusing(server, 4096)
        routed = RoutedBackend([target("x", server)], limits=quick())
        kept = LocalNLPService(
            routed, settings=Settings.load(None, **{"generation.leave_out_examples": False}), logger=NullLogger()
        )
        with pytest.raises(ContextOverflowError):
            await generate(kept, shot_prompt())
        assert server.calls(CHAT) == 1
        service = LocalNLPService(routed, settings=Settings(), logger=NullLogger())
        for prompt in (
            PromptBuilder().add_section("my-own-examples", SHOTS),
            shot_prompt().add_section("history", "said " * 9000),
        ):
            before = server.calls(CHAT)
            with pytest.raises(ContextOverflowError) as caught:
                await generate(service, prompt)
            assert caught.value.available == 4096
            assert server.calls(CHAT) - before <= 2
        await routed.close()


async def test_a_model_that_takes_the_whole_prompt_comes_first() -> None:
    async with FakeOpenAI(name="small") as small, FakeOpenAI(name="large") as large:
        refusing(small, 4096)
        refusing(large, 32768)
        routed = RoutedBackend([target("small", small), target("large", large)], limits=quick())
        service = LocalNLPService(routed, settings=Settings(), logger=NullLogger())
        result = await (await service.get_schematic_generator(Capital)).generate(shot_prompt())
        assert result.info.model == "large/m"
        assert service.stats()["Capital"]["brief"] == 0
        await large.stop()
        result = await (await service.get_schematic_generator(Capital)).generate(shot_prompt())
        assert result.info.model == "small/m"
        assert service.stats()["Capital"]["brief"] == 1
        await routed.close()


async def test_the_last_line_of_an_error_says_what_it_means_and_why() -> None:
    class CannedResponseDraftSchema(BaseModel):
        """The host's schema of this name."""

        response_body: str

    async with chain(2) as (service, servers):
        for server in servers:
            server.always = Fault("status", 404)
        with pytest.raises(AllTargetsFailedError) as caught:
            await (await service.get_schematic_generator(CannedResponseDraftSchema)).generate("?")
    last = str(caught.value).splitlines()[-1]
    assert "s0/m has no such model" in last
    assert "s1/m has no such model" in last
    assert last.endswith("Without its CannedResponseDraftSchema, the agent stays silent.")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_an_overflow_in_an_endpoints_own_words_goes_to_a_larger_model(stream: bool) -> None:
    """litellm#10793: the words were taken for a bad request, and the call was lost."""
    words = (
        "litellm.BadRequestError: Hosted_vllmException - The decoder prompt (length 41000) is longer than the maximum model "
        "length of 32768. Make sure that `max_model_len` is no smaller than the number of text tokens."
    )
    async with FakeOpenAI(name="small") as small, FakeOpenAI(name="large") as large:
        small.always = Fault("status", 400, body={"error": {"message": words}})
        async with RoutedBackend([target("small", small), target("large", large)], limits=quick()) as routed:
            if stream:
                text = "".join([chunk.delta.content async for chunk in routed.chat_stream("long")])
            else:
                text = (await routed.chat("long")).content
        assert "Paris" in text
        assert (small.calls(CHAT), large.calls(CHAT)) == (1, 1)
