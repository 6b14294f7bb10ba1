"""Models elsewhere, through the server: named, as a chain under ``auto``, failing, forbidden, and shown on the page.

The endpoint is a stand-in that speaks OpenAI's wire protocol on loopback, which counts as this machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
import yaml

from parlant_local.settings import Settings
from tests.fakes.http import Fault
from tests.fakes.openai import FakeOpenAI
from tests.support.browser import CHROMIUM, Browser
from tests.support.eventually import eventually
from tests.support.in_process import InProcess, serving_here

from .conftest import TINY

PARIS = [{"role": "user", "content": "What is the capital of France?"}]
ELSEWHERE = "The endpoint says: Paris."
Begin = Callable[..., Awaitable[InProcess]]


@pytest.fixture
async def endpoint() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI(name="m", key="sk-of-the-endpoint") as found:
        found.text = ELSEWHERE
        yield found


@pytest.fixture
async def begin(endpoint: FakeOpenAI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Begin]:
    """Starts a server in this process that knows the endpoint as ``house``; settings of the test's own on top."""

    monkeypatch.setenv("HOUSE_KEY", "sk-of-the-endpoint")
    with contextlib.ExitStack() as running:

        async def run(**more: Any) -> InProcess:
            place = {"base_url": endpoint.base_url, "api_key_env": "HOUSE_KEY", "timeout_seconds": 60, "n_ctx": 8192}
            config = tmp_path / "config.yml"
            config.write_text(yaml.safe_dump({"endpoints": {"house": place}, **more}))
            settings = Settings.load(
                str(config), home=tmp_path / "home", **{"engine.n_ctx": 2048, "engine.n_threads": 2}
            )
            return await asyncio.to_thread(running.enter_context, serving_here(settings))

        yield run
        await asyncio.to_thread(running.close)


CHAIN: dict[str, Any] = {
    "model": "house/m",
    "switcher": {
        "fallbacks": [TINY],
        "max_attempts": 1,
        "breaker": {"failure_threshold": 2, "cooldown_seconds": 60},
    },
}


def client_of(server: InProcess) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="the-clients-own", max_retries=0, timeout=60)


async def switcher_of(server: InProcess) -> dict[str, Any]:
    async with httpx2.AsyncClient(base_url=server.url, timeout=30) as http:
        found: dict[str, Any] = (await http.get("/api/status")).json()["switcher"]
        return found


async def collect(stream: Any, pieces: list[str]) -> list[str]:
    """What has come stays in ``pieces`` where the stream breaks."""
    async for chunk in stream:
        pieces += [choice.delta.content or "" for choice in chunk.choices]
    return pieces


async def test_a_model_of_an_endpoint_is_asked_by_its_name(begin: Begin, endpoint: FakeOpenAI) -> None:
    async with client_of(await begin()) as client:
        whole = await client.chat.completions.create(model="house/m", messages=PARIS)
        assert (whole.choices[0].message.content, whole.model) == (ELSEWHERE, "house/m")
        stream = await client.chat.completions.create(
            model="house/m", messages=PARIS, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == ELSEWHERE
        assert len(chunks) > 3
        assert chunks[-1].usage.completion_tokens == 8
        text = await client.completions.create(model="house/m", prompt="The capital")
        assert text.choices[0].text == ELSEWHERE
        vectors = await client.embeddings.create(model="house/m", input=["a", "bb"])
        assert len(vectors.data) == 2
    # Its own key went there, the client's did not.
    assert {request.headers["authorization"] for request in endpoint.requests} == {"Bearer sk-of-the-endpoint"}


async def test_a_tool_call_from_elsewhere_arrives_in_pieces(begin: Begin, endpoint: FakeOpenAI) -> None:
    endpoint.tool_calls = [("get_weather", '{"city": "Paris"}')]
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
    async with client_of(await begin()) as client:
        stream = await client.chat.completions.create(model="house/m", messages=PARIS, tools=[tool], stream=True)
        deltas = [call async for chunk in stream for choice in chunk.choices for call in choice.delta.tool_calls or ()]
    assert "".join(delta.function.name or "" for delta in deltas) == "get_weather"
    assert json.loads("".join(delta.function.arguments or "" for delta in deltas)) == {"city": "Paris"}


async def test_a_model_elsewhere_can_have_a_name_of_its_own(begin: Begin, endpoint: FakeOpenAI) -> None:
    server = await begin(models={"fast": {"model": "house/m", "preload": True}}, model="fast")
    async with client_of(server) as client:
        assert [model.id async for model in client.models.list()] == ["fast", TINY]
        reply = await client.chat.completions.create(model="fast", messages=PARIS)
        assert (reply.choices[0].message.content, reply.model) == (ELSEWHERE, "fast")
    async with httpx2.AsyncClient(base_url=server.url, timeout=60) as http:
        assert (await http.get("/health")).json() == {"status": "ok"}
        unnamed = (await http.post("/v1/chat/completions", json={"messages": PARIS})).json()
        assert unnamed["model"] == "fast"
    assert {request.body["model"] for request in endpoint.requests} == {"m"}


async def test_a_model_elsewhere_can_be_the_default(begin: Begin, endpoint: FakeOpenAI) -> None:
    server = await begin(model="house/m")
    async with httpx2.AsyncClient(base_url=server.url, timeout=60) as http:
        assert (await http.get("/health")).json() == {"status": "ok"}
        reply = (await http.post("/v1/chat/completions", json={"messages": PARIS})).json()
        assert (reply["choices"][0]["message"]["content"], reply["model"]) == (ELSEWHERE, "house/m")
        assert (await http.get("/v1/models")).json()["data"][0]["id"] == "house/m"
        assert (await http.get("/v1/models/house/m")).json()["status"] == {"value": "elsewhere"}
    assert endpoint.calls("/v1/chat/completions") == 1


async def test_a_place_that_nobody_configured_is_not_found(begin: Begin) -> None:
    async with client_of(await begin()) as client:
        with pytest.raises(openai.NotFoundError) as unknown:
            await client.chat.completions.create(model="nowhere/m", messages=PARIS)
        with pytest.raises(openai.NotFoundError):  # one model only: there is no chain
            await client.chat.completions.create(model="auto", messages=PARIS)
    assert unknown.value.code == "model_not_found"


async def test_the_chain_answers_as_auto_and_where_no_model_is_named(begin: Begin, endpoint: FakeOpenAI) -> None:
    server = await begin(**CHAIN)
    async with client_of(server) as client:
        listed = [model.id async for model in client.models.list()]
        assert listed[0] == "auto"
        assert set(listed) == {"auto", "house/m", TINY}
        with pytest.raises(openai.NotFoundError, match="house/m"):  # a name without its place
            await client.chat.completions.create(model="m", messages=PARIS)
        reply = await client.chat.completions.create(model="auto", messages=PARIS)
        assert (reply.choices[0].message.content, reply.model) == (ELSEWHERE, "house/m")
    async with httpx2.AsyncClient(base_url=server.url, timeout=60) as http:
        unnamed = (await http.post("/v1/chat/completions", json={"messages": PARIS})).json()
        assert unnamed["choices"][0]["message"]["content"] == ELSEWHERE
        simple = (await http.post("/api/chat", json={"message": "Hi", "stream": False})).json()
        assert simple["response"] == ELSEWHERE
        assert (await http.get("/api/models")).json()["models"] == listed
    state = await switcher_of(server)
    assert state["configured"] is True
    assert state["fallbacks"] == [TINY]
    assert state["routes"]["auto"]["targets"]["house/m"]["calls"] == 3
    assert state["recent"] == []


async def test_a_chain_may_begin_with_a_file(begin: Begin) -> None:
    """The owner's word opens files; it is loaded at the start like any other."""
    import parlant_local

    path = str(Path(parlant_local.__file__).parent / "models" / "parlant-local-tiny.gguf")
    server = await begin(**{**CHAIN, "model": path, "switcher": {"fallbacks": ["house/m"]}})
    async with httpx2.AsyncClient(base_url=server.url, timeout=60) as http:

        async def health() -> Any:
            found = (await http.get("/health")).json()
            return None if found == {"status": "loading"} else found

        assert await eventually(health) == {"status": "ok"}
        body = {"messages": PARIS, "temperature": 0, "max_tokens": 32}
        assert (
            "Paris" in (await http.post("/v1/chat/completions", json=body)).json()["choices"][0]["message"]["content"]
        )
        refused = await http.post("/v1/chat/completions", json={**body, "model": path})
    assert refused.status_code == 404


@pytest.mark.parametrize("stream", [False, True])
async def test_another_model_answers_where_the_first_one_fails(
    begin: Begin, endpoint: FakeOpenAI, stream: bool
) -> None:
    endpoint.always = Fault("status", status=500)
    server = await begin(**CHAIN)
    asked: dict[str, Any] = {"model": "auto", "messages": PARIS, "temperature": 0, "max_tokens": 32}
    async with client_of(server) as client:
        for _ in range(3):
            if stream:
                chunks = [chunk async for chunk in await client.chat.completions.create(**asked, stream=True)]
                text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
                model = chunks[-1].model
            else:
                reply = await client.chat.completions.create(**asked)
                text, model = reply.choices[0].message.content or "", reply.model
            assert "Paris" in text
            assert text != ELSEWHERE
            assert model == TINY  # who answered is told
    assert endpoint.calls("/v1/chat/completions") == 2, "the breaker opens after two failures"
    async with httpx2.AsyncClient(base_url=server.url, timeout=30) as http:
        health = await http.get("/readyz")
        assert (health.status_code, health.json()) == (200, {"status": "degraded"})  # anybody may ask that
        assert (await http.get("/api/health")).json()["reasons"] == [
            "breaker-open: The circuit breaker of house/m is open.",
            f"fallback-in-use: {TINY} answers in the place of house/m.",
        ]
        assert (await http.get("/livez")).json() == {"status": "ok"}
        figures = (await http.get("/metrics")).text
        assert 'parlant_local_breaker_state{target="house/m"} 2.0' in figures
        assert 'parlant_local_degraded{reason="fallback-in-use"} 1.0' in figures
        assert 'parlant_local_degraded{reason="queue-long"} 0.0' in figures
    state = await switcher_of(server)
    shown = {report["id"]: report for report in state["targets"]["auto"]}
    assert shown["house/m"]["breaker"] == "open"
    assert shown[TINY]["breaker"] == "closed"
    assert state["routes"]["auto"]["targets"][TINY]["fallbacks"] == 3
    told = [(item["target"], item["error"]) for item in state["recent"]]
    assert told.count((TINY, None)) == 3
    assert sum(target == "house/m" and error is not None for target, error in told) == 2


@pytest.mark.parametrize("kind", ["error_event", "cut"])
async def test_a_stream_that_breaks_is_no_answer(begin: Begin, endpoint: FakeOpenAI, kind: Any) -> None:
    """Words that a client has seen can't be taken back, so that no other model goes on: the stream ends with an error."""
    endpoint.faults.append(Fault(kind, after=3))
    server = await begin(**CHAIN)
    async with client_of(server) as client:
        stream = await client.chat.completions.create(model="auto", messages=PARIS, stream=True)
        pieces: list[str] = []
        with pytest.raises(openai.APIError) as caught:
            await collect(stream, pieces)
        seen = "".join(pieces)
        assert seen
        assert ELSEWHERE.startswith(seen)
        assert "house/m" in caught.value.message
        # It was one accident: the next answer is whole.
        again = await client.chat.completions.create(model="auto", messages=PARIS, stream=True)
        assert "".join(await collect(again, [])) == ELSEWHERE
    state = await switcher_of(server)
    assert [(item["target"], item["error"]) for item in state["recent"]] == [("house/m", "StreamInterruptedError")]


async def test_limits_of_the_other_side_are_handed_on(begin: Begin, endpoint: FakeOpenAI) -> None:
    server = await begin(switcher={"max_attempts": 1})
    async with client_of(server) as client:
        endpoint.faults.append(Fault("status", status=429, headers={"retry-after": "17"}))
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(model="house/m", messages=PARIS)
        assert caught.value.response.headers["retry-after"] == "17"
        await endpoint.stop()
        with pytest.raises(openai.InternalServerError) as down:
            await client.chat.completions.create(model="house/m", messages=PARIS)
        assert down.value.status_code == 503


async def test_who_leaves_is_not_answered_elsewhere_either(begin: Begin, endpoint: FakeOpenAI) -> None:
    endpoint.always = Fault("silence_mid_stream", after=3)
    server = await begin()
    async with client_of(server) as client:
        stream = await client.chat.completions.create(model="house/m", messages=PARIS, stream=True)
        await anext(stream)
        await stream.close()
    await eventually(lambda: endpoint.requests[-1].disconnected, "The endpoint still writes for nobody.")


async def test_what_is_remote_is_refused_until_the_owner_allows_it(begin: Begin) -> None:
    away = {"base_url": "https://models.example.invalid/v1", "api_key_env": "HOUSE_KEY"}
    server = await begin(endpoints={"away": away}, model="away/big", switcher={"fallbacks": [TINY]})
    async with client_of(server) as client:
        with pytest.raises(openai.PermissionDeniedError) as caught:
            await client.chat.completions.create(model="away/big", messages=PARIS)
        assert caught.value.code == "cloud_not_allowed"
        assert "SWITCHER__ALLOW_CLOUD" in caught.value.message
        reply = await client.chat.completions.create(model="auto", messages=PARIS, temperature=0, max_tokens=32)
        assert reply.model == TINY
        assert "Paris" in (reply.choices[0].message.content or "")
    state = await switcher_of(server)
    assert {report["id"]: report["blocked"] for report in state["targets"]["auto"]} == {"away/big": True, TINY: False}


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)")
async def test_the_page_shows_who_answered_and_who_failed(begin: Begin, endpoint: FakeOpenAI) -> None:
    endpoint.always = Fault("status", status=500)
    server = await begin(**CHAIN)
    async with client_of(server) as client:
        for _ in range(2):
            question: Any = [{"role": "user", "content": "What is the capital of France?"}]
            await client.chat.completions.create(model="auto", messages=question)

    def look() -> tuple[str, str, str]:
        with Browser() as page:
            page.open(f"{server.url}/#/status")
            page.wait("document.documentElement.dataset.ready")
            page.wait("document.querySelector('#target-rows').innerText.includes('resting after failures')")
            assert page.problems == []
            return page.text("#rules"), page.text("#target-rows"), page.text("#recent")

    rules, targets, recent = await asyncio.to_thread(look)
    assert TINY in rules
    failed = next(line for line in targets.splitlines() if line.startswith("house/m"))
    assert "2×" in failed
    assert next(line for line in targets.splitlines() if line.startswith(TINY))
    assert f"{TINY}: answered" in recent
    assert "house/m: " in recent


async def test_a_json_answer_that_its_limit_cuts_elsewhere_is_an_answer(begin: Begin, endpoint: FakeOpenAI) -> None:
    endpoint.answer, endpoint.finish = lambda _: '{"city": "Par', "length"
    form = {"type": "json_schema", "json_schema": {"name": "city", "schema": {"type": "object"}}}
    async with client_of(await begin()) as client:
        whole = await client.chat.completions.create(
            model="house/m", messages=PARIS, response_format=form, max_tokens=4
        )
        assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == ('{"city": "Par', "length")
        stream = await client.chat.completions.create(
            model="house/m", messages=PARIS, response_format=form, max_tokens=4, stream=True
        )
        assert "".join(await collect(stream, [])) == '{"city": "Par'
        # A surrogate without a partner in the answer of an endpoint breaks nothing either.
        endpoint.answer, endpoint.finish = lambda _: "a\ud800b", "stop"
        said = await client.chat.completions.create(model="house/m", messages=PARIS)
        assert said.choices[0].message.content == "a\ufffdb"


async def test_what_only_this_process_can_do_is_refused_for_models_elsewhere(
    begin: Begin, endpoint: FakeOpenAI
) -> None:
    async with httpx2.AsyncClient(base_url=(await begin()).url, timeout=60) as http:
        said = [*PARIS, {"role": "assistant", "content": "The capital"}]
        for path, body in (
            ("/v1/embeddings", {"input": [[1, 2]]}),
            ("/v1/completions", {"prompt": [1, 2]}),
            ("/v1/chat/completions", {"messages": said, "continue_final_message": True}),
        ):
            answer = await http.post(path, json={"model": "house/m", **body})
            assert (answer.status_code, "this process" in answer.text) == (400, True), answer.text
        assert (await http.post("/v1/chat/completions", json={"model": "house/m", "messages": said})).status_code == 200
    assert endpoint.requests[-1].body["messages"][-1] == {"role": "assistant", "content": "The capital"}


async def test_a_name_is_kept_once_it_has_answered_and_then_not_for_ever(begin: Begin, endpoint: FakeOpenAI) -> None:
    endpoint.models = [{**endpoint.models[0], "id": f"m{number}"} for number in range(40)]
    server = await begin()
    async with httpx2.AsyncClient(base_url=server.url, timeout=60) as http:
        for number in range(40):
            unknown = await http.post("/v1/chat/completions", json={"model": f"house/x{number}", "messages": PARIS})
            assert unknown.status_code >= 400
            answer = await http.post("/v1/chat/completions", json={"model": f"house/m{number}", "messages": PARIS})
            assert answer.status_code == 200, answer.text
        told = (await http.get("/metrics")).text
    assert list((await switcher_of(server))["routes"]) == [f"house/m{number}" for number in range(8, 40)]
    assert "house/" not in told
    assert 'model="other"' in told
