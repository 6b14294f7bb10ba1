"""Every way the other side fails, for both backends, whole and streamed, as one of our errors and in bounded time."""

from __future__ import annotations

import asyncio

import pytest

from parlant_local.backends.failures import from_status, from_transport, retry_after
from parlant_local.backends.ollama import OllamaBackend
from parlant_local.backends.openai import OpenAIBackend
from parlant_local.errors import (
    AuthenticationError,
    BadRequestError,
    ContextOverflowError,
    ParlantLocalError,
    RateLimitedError,
    StreamInterruptedError,
    TargetDownError,
    TransientError,
)
from tests.fakes.http import Fault
from tests.fakes.ollama import FakeOllama
from tests.fakes.openai import FakeOpenAI
from tests.support.eventually import PATIENCE

from .conftest import hurry

OVERFLOW = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."
MEMORY = "model requires more system memory (5.6 GiB) than is available (2.1 GiB)"

EARLY: list[tuple[str, Fault, type[ParlantLocalError]]] = [
    ("400", Fault("status", 400), BadRequestError),
    ("401", Fault("status", 401), AuthenticationError),
    ("403", Fault("status", 403), AuthenticationError),
    ("404", Fault("status", 404), TargetDownError),
    ("408", Fault("status", 408), TransientError),
    ("413", Fault("status", 413), ContextOverflowError),
    ("422", Fault("status", 422), BadRequestError),
    ("429", Fault("status", 429, headers={"retry-after": "7"}), RateLimitedError),
    ("429 quota", Fault("status", 429, body={"error": {"message": "insufficient_quota"}}), TargetDownError),
    ("500", Fault("status", 500, body={"error": "boom"}), TransientError),
    ("500 memory", Fault("status", 500, body={"error": MEMORY}), TargetDownError),
    ("502 html", Fault("status", 502, body="<html>bad gateway</html>"), TransientError),
    ("503", Fault("status", 503), TransientError),
    ("503 loading", Fault("status", 503, body={"error": {"message": "Loading model"}}), TargetDownError),
    ("overflow", Fault("status", 400, body={"error": OVERFLOW}), ContextOverflowError),
    ("overflow 500", Fault("status", 500, body={"error": OVERFLOW}), ContextOverflowError),
    ("redirect", Fault("redirect", body="http://192.0.2.1/v1"), TargetDownError),
    ("bad json", Fault("bad_json"), TransientError),
    ("reset", Fault("reset"), TargetDownError),
    ("hang", Fault("hang"), TargetDownError),
]


def _requests(name: str) -> int:
    """Nothing is retried at this level, save what was cut before any byte came."""
    return 2 if name == "reset" else 1


def _fault(name: str) -> Fault:
    return next(fault for known, fault, _ in EARLY if known == name)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("name", "expected"), [(name, kind) for name, _, kind in EARLY])
async def test_openai_failures_before_the_answer(
    name: str, expected: type[ParlantLocalError], stream: bool, openai_fake: FakeOpenAI, openai_backend: OpenAIBackend
) -> None:
    openai_fake.always = _fault(name)
    if stream and name == "bad json":
        expected = TargetDownError  # JSON where events should be: a stream without an end
    if name == "hang":
        await hurry(openai_backend)
    with pytest.raises(expected) as caught:
        await _ask(openai_backend, stream=stream)
    assert type(caught.value) is expected
    assert openai_fake.calls("/v1/chat/completions") == _requests(name)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("name", "expected"), [(name, kind) for name, _, kind in EARLY])
async def test_ollama_failures_before_the_answer(
    name: str, expected: type[ParlantLocalError], stream: bool, ollama_fake: FakeOllama, ollama_backend: OllamaBackend
) -> None:
    await ollama_backend.check()
    ollama_fake.always = _fault(name)
    if name == "hang":
        await hurry(ollama_backend)
    with pytest.raises(expected) as caught:
        await _ask(ollama_backend, stream=stream)
    assert type(caught.value) is expected
    assert ollama_fake.calls("/api/chat") == _requests(name)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_an_empty_body_is_never_an_empty_answer(
    stream: bool,
    openai_fake: FakeOpenAI,
    openai_backend: OpenAIBackend,
    ollama_fake: FakeOllama,
    ollama_backend: OllamaBackend,
) -> None:
    await ollama_backend.check()
    openai_fake.always = ollama_fake.always = Fault("empty")
    with pytest.raises((TransientError, TargetDownError)):
        await _ask(openai_backend, stream=stream)
    with pytest.raises((TransientError, TargetDownError)):
        await _ask(ollama_backend, stream=stream)


@pytest.mark.parametrize("kind", ["cut", "error_event", "silence_mid_stream"])
async def test_a_stream_that_breaks_after_it_began_is_interrupted(
    kind: str,
    openai_fake: FakeOpenAI,
    openai_backend: OpenAIBackend,
    ollama_fake: FakeOllama,
    ollama_backend: OllamaBackend,
) -> None:
    await ollama_backend.check()
    fault = Fault(kind, after=3)  # type: ignore[arg-type]  # one of the literals
    openai_fake.always = ollama_fake.always = fault
    if kind == "silence_mid_stream":
        await hurry(openai_backend, ollama_backend)
    for backend in (openai_backend, ollama_backend):
        with pytest.raises(StreamInterruptedError):
            await _ask(backend, stream=True)


async def test_an_error_event_before_the_first_piece_is_an_ordinary_failure(
    openai_fake: FakeOpenAI, openai_backend: OpenAIBackend, ollama_fake: FakeOllama, ollama_backend: OllamaBackend
) -> None:
    await ollama_backend.check()
    openai_fake.always = ollama_fake.always = Fault("error_event", after=0)
    for backend in (openai_backend, ollama_backend):
        with pytest.raises(TransientError):
            await _ask(backend, stream=True)


async def test_a_slow_drip_is_an_answer(ollama_fake: FakeOllama, ollama_backend: OllamaBackend) -> None:
    await ollama_backend.check()
    await ollama_backend.close()
    ollama_backend._connection._timeout = silence = 1.5
    ollama_fake.text = "Paris. " * 20
    ollama_fake.always = fault = Fault("drip", delay=0.1)
    assert (await ollama_backend.chat("hello")).content.count("Paris") == 20
    pieces = len(ollama_fake.text) / 5
    assert pieces * fault.delay > silence  # longer in all than the longest silence allowed


async def test_retry_after_reaches_the_error(openai_fake: FakeOpenAI, openai_backend: OpenAIBackend) -> None:
    openai_fake.always = _fault("429")
    with pytest.raises(RateLimitedError) as caught:
        await openai_backend.chat("hello")
    assert caught.value.retry_after == 7.0
    assert caught.value.status == 429


async def test_an_overflow_brings_its_figures(openai_fake: FakeOpenAI, openai_backend: OpenAIBackend) -> None:
    openai_fake.always = _fault("overflow")
    with pytest.raises(ContextOverflowError) as caught:
        await openai_backend.chat("hello")
    assert (caught.value.needed, caught.value.available) == (9000, 8192)


async def test_a_tool_call_the_daemon_could_not_parse_is_the_models_fault() -> None:
    error = from_status("ollama/m", 500, "error parsing tool call: raw='{\"a\": ' err=unexpected end")
    assert type(error).__name__ == "InvalidOutputError"
    assert "raw" not in str(error)


def test_retry_after_is_read_in_all_its_forms() -> None:
    assert retry_after({"Retry-After": "3"}) == 3.0
    assert retry_after({"retry-after-ms": "250"}) == 0.25
    assert retry_after({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0
    assert retry_after({"Retry-After": "soon"}) is None
    assert retry_after({}) is None


def test_bugs_are_not_mistaken_for_failures_of_the_other_side() -> None:
    assert from_transport("x", TypeError("a bug")) is None
    assert from_transport("x", KeyError("a bug")) is None


def test_both_families_of_http_exceptions_are_understood() -> None:
    import httpx
    import httpx2

    for library in (httpx, httpx2):
        assert isinstance(from_transport("x", library.ConnectError("no")), TargetDownError)
        assert isinstance(from_transport("x", library.ReadTimeout("slow")), TargetDownError)
        assert isinstance(from_transport("x", library.RemoteProtocolError("cut")), TargetDownError)


def test_what_the_other_side_says_is_shortened_and_keys_are_hidden() -> None:
    error = from_status("x", 400, "Bad key sk-abcdefghijklmnop in " + "word " * 2000)
    assert "sk-abc" not in str(error)
    assert len(str(error)) < 1100
    echoed = from_status("x", 400, "Invalid message: 'my order number is 4711 and my name is Jane Doe, please help me'")
    assert "Jane" not in str(echoed)


async def _ask(backend: OpenAIBackend | OllamaBackend, *, stream: bool) -> None:
    async with asyncio.timeout(PATIENCE):
        if stream:
            async for _ in backend.chat_stream("hello"):
                pass
        else:
            await backend.chat("hello")
