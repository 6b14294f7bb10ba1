"""A connection that was cut before any byte of an answer: the request is sent once more, whatever it asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from parlant_local.backends.ollama import OllamaBackend
from parlant_local.backends.openai import OpenAIBackend
from parlant_local.backends.reconnecting import environment_proxy
from parlant_local.backends.retry_budget import RetryBudget, use_retry_budget
from parlant_local.errors import ParlantLocalError, StreamInterruptedError, TargetDownError
from tests.fakes.http import Fault, FaultServer
from tests.fakes.ollama import FakeOllama
from tests.fakes.openai import FakeOpenAI
from tests.support.eventually import eventually

Ask = Callable[[Any], Awaitable[Any]]


async def _streamed(backend: Any) -> list[Any]:
    return [chunk async for chunk in backend.chat_stream("hello")]


CALLS: dict[str, Ask] = {
    "chat": lambda backend: backend.chat("hello"),
    "stream": _streamed,
    "complete": lambda backend: backend.complete("hello"),
    "embed": lambda backend: backend.embed(["hello"]),
    "models": lambda backend: backend.check(),
    "rerank": lambda backend: backend.rerank("q", ["d"]),
}
OPENAI = list(CALLS)
OLLAMA = ["chat", "stream", "complete", "embed", "models"]
EVERY = [("openai", name) for name in OPENAI] + [("ollama", name) for name in OLLAMA]


@pytest.fixture
def pair(
    kind: str,
    openai_fake: FakeOpenAI,
    openai_backend: OpenAIBackend,
    ollama_fake: FakeOllama,
    ollama_backend: OllamaBackend,
) -> tuple[FaultServer, Any]:
    return (openai_fake, openai_backend) if kind == "openai" else (ollama_fake, ollama_backend)


async def _requests_of(server: FaultServer, backend: Any, ask: Ask) -> int:
    before = len(server.requests)
    await ask(backend)
    return len(server.requests) - before


@pytest.mark.parametrize(("kind", "name"), EVERY)
async def test_a_cut_connection_costs_one_request_more(pair: tuple[FaultServer, Any], name: str) -> None:
    server, backend = pair
    await CALLS[name](backend)  # what is asked once only, is asked now, and a connection is kept
    usual = await _requests_of(server, backend, CALLS[name])
    server.faults.append(Fault("reset"))
    assert await _requests_of(server, backend, CALLS[name]) == usual + 1


@pytest.mark.parametrize(("kind", "name"), EVERY)
async def test_a_second_drop_is_an_error(pair: tuple[FaultServer, Any], name: str) -> None:
    server, backend = pair
    await CALLS[name](backend)
    before = len(server.requests)
    server.always = Fault("reset")
    with pytest.raises(TargetDownError, match="closed the connection"):
        await CALLS[name](backend)
    assert len(server.requests) == before + 2


@pytest.mark.parametrize(("kind", "name"), EVERY)
async def test_after_a_single_byte_nothing_is_sent_again(pair: tuple[FaultServer, Any], name: str) -> None:
    server, backend = pair
    await CALLS[name](backend)
    before = len(server.requests)
    server.faults.append(Fault("cut_in_head"))
    with pytest.raises(TargetDownError):
        await CALLS[name](backend)
    assert len(server.requests) == before + 1


@pytest.mark.parametrize("kind", ["openai", "ollama"])
async def test_a_connection_reset_as_soon_as_it_was_taken_is_made_again(pair: tuple[FaultServer, Any]) -> None:
    server, backend = pair
    server.slams = 1
    assert await _requests_of(server, backend, CALLS["embed"]) == 1
    server.always = Fault("reset")  # kept connections are of no use from now on
    server.slams = 99
    with pytest.raises(TargetDownError):
        await CALLS["embed"](backend)


@pytest.mark.parametrize("kind", ["openai", "ollama"])
async def test_every_kept_connection_may_be_dead(pair: tuple[FaultServer, Any]) -> None:
    """A server that was restarted: what goes out on any kept connection is cut."""
    server, backend = pair
    await backend.check()
    server.always = Fault("drip", delay=0.02)
    await asyncio.gather(*(backend.chat("hello") for _ in range(6)))
    server.always = None
    server.dead = set(server._connections)
    assert len(server.dead) > 1
    assert await _requests_of(server, backend, CALLS["chat"]) == 2


@pytest.mark.parametrize("kind", ["openai", "ollama"])
async def test_a_stream_that_delivered_is_not_asked_for_again(pair: tuple[FaultServer, Any]) -> None:
    server, backend = pair
    await backend.check()
    before = len(server.requests)
    server.always = Fault("cut", after=3)
    with pytest.raises(StreamInterruptedError):
        await CALLS["stream"](backend)
    assert len(server.requests) == before + 1


@pytest.mark.parametrize("kind", ["openai", "ollama"])
async def test_whoever_counts_attempts_may_forbid_it(pair: tuple[FaultServer, Any]) -> None:
    server, backend = pair
    await backend.check()
    before = len(server.requests)
    server.always = Fault("reset")
    for budget, requests in ((RetryBudget(0), 1), (RetryBudget(5), 2)):
        with use_retry_budget(budget), pytest.raises(TargetDownError):
            await backend.chat("hello")
        assert len(server.requests) - before == requests
        assert budget.used == requests - 1
        before = len(server.requests)


@pytest.mark.parametrize("kind", ["openai", "ollama"])
async def test_closing_a_backend_opens_no_connection_anew(pair: tuple[FaultServer, Any]) -> None:
    server, backend = pair
    await backend.check()
    before = len(server.requests)
    server.always = Fault("hang")
    running = asyncio.ensure_future(backend.chat("hello"))
    await eventually(lambda: len(server.requests) > before)
    await backend.close()
    with pytest.raises((ParlantLocalError, RuntimeError)):
        await running
    assert len(server.requests) == before + 1


def test_a_remote_endpoint_keeps_the_environments_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
        "no_proxy",
        "NO_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    assert environment_proxy("https://far.example/v1") is None
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    assert environment_proxy("https://far.example/v1") == "http://proxy.example:3128"
    assert environment_proxy("http://far.example/v1") is None
    monkeypatch.setenv("ALL_PROXY", "socks5://proxy.example:1080")
    assert environment_proxy("http://far.example/v1") == "socks5://proxy.example:1080"
    monkeypatch.setenv("NO_PROXY", "far.example")
    assert environment_proxy("https://far.example/v1") is None
