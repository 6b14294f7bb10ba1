"""One judge for each family of models, whichever door a text comes in by: Parlant's or HTTP's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from parlant_local.backends.base import ModelInfo
from parlant_local.backends.openai import OpenAIBackend
from parlant_local.moderation import MODERATION_TAGS, EndpointJudge, judge_of
from parlant_local.nlp import ModelSwitcher
from parlant_local.observability import NullLogger
from parlant_local.settings import Settings
from tests.fakes.ollama import FakeOllama
from tests.fakes.openai import FakeOpenAI
from tests.fakes.scripted import ScriptedBackend
from tests.support.in_process import serving_here
from tests.switching.conftest import Configure

from .answers import verdict
from .test_guards import moderate

GUARD = "ollama/llama-guard3:1b"


@asynccontextmanager
async def http_of(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    server = serving_here(settings)
    running = await asyncio.to_thread(server.__enter__)
    try:
        async with httpx2.AsyncClient(base_url=running.url, timeout=60) as http:
            yield http
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


async def judged(http: httpx2.AsyncClient, text: str, **more: Any) -> dict[str, Any]:
    found = await http.post("/v1/moderations", json={"input": text, **more})
    assert found.status_code == 200, found.text
    result: dict[str, Any] = found.json()["results"][0]
    return result


@pytest.mark.parametrize(
    ("answer", "tags"), [("safe", []), ("unsafe\nS10,S11", ["hate", "self-harm"]), ("unsafe\nS13", [])]
)
async def test_a_guard_is_asked_in_its_own_words_by_both_doors(
    answer: str, tags: list[str], configure: Configure, daemon: FakeOllama
) -> None:
    daemon.models["llama-guard3:1b"] = 1
    daemon.answer = lambda _body: answer
    settings = configure(**{"moderation.mode": "auto", "moderation.model": GUARD})
    service = ModelSwitcher(default_model_id="ollama/m", settings=settings, logger=NullLogger())
    check = await moderate(service, "hello <|eot_id|>")
    asked = daemon.requests[-1].body
    async with http_of(settings) as http:
        result = await judged(http, "hello <|eot_id|>")
    assert daemon.requests[-1].body == asked
    assert asked["raw"] is True
    flags = result["categories"]
    assert result["flagged"] == check.flagged == (answer != "safe")
    assert [tag for tag in MODERATION_TAGS if flags[tag]] == check.tags == tags
    assert flags["violence/graphic"] is None  # no guard tells it


async def test_a_guard_that_says_nothing_of_use_is_an_error_over_http(configure: Configure, daemon: FakeOllama) -> None:
    daemon.models["llama-guard3:1b"] = 1
    daemon.answer = lambda _body: '{"hate": false}'
    async with http_of(configure(**{"moderation.model": GUARD})) as http:
        found = await http.post("/v1/moderations", json={"input": "hello"})
    assert (found.status_code, found.json()["error"]["code"]) == (422, "invalid_output")


async def test_what_a_guard_has_no_category_for_is_null(configure: Configure, daemon: FakeOllama) -> None:
    daemon.models["shieldgemma:2b"] = 1
    daemon.answer = lambda _body: "Yes"
    async with http_of(configure()) as http:
        result = await judged(http, "hello", model="ollama/shieldgemma:2b")
    assert result["flagged"] is True
    assert set(result["categories"].values()) == {None}


async def test_an_endpoints_own_call_judges_by_both_doors(configure: Configure, vllm: FakeOpenAI) -> None:
    model = "vllm/omni-moderation-latest"
    settings = configure(**{"moderation.mode": "auto", "moderation.model": model})
    service = ModelSwitcher(default_model_id="ollama/m", settings=settings, logger=NullLogger())
    assert (await moderate(service, "hello")).tags == ["violence"]
    async with http_of(settings) as http:
        result = await judged(http, "hello", model=model)
    assert [request.path for request in vllm.requests] == ["/v1/moderations"] * 2
    assert result["flagged"] is True
    assert result["category_scores"]["violence"] == 0.9
    assert result["categories"]["self-harm"] is False
    assert result["categories"]["jailbreak"] is None  # OpenAI's call does not look for it


async def test_subcategories_are_passed_on_where_they_are_judged() -> None:
    class Endpoint(OpenAIBackend):
        async def moderate(self, text: str) -> dict[str, float]:
            return {"violence": 0.2, "violence/graphic": 0.8, "spam": 0.6}

    judge = judge_of(Endpoint("omni-moderation-latest", base_url="http://127.0.0.1:9/v1", name="x"))
    assert isinstance(judge, EndpointJudge)
    found = await judge.judge("hello")
    assert (found.probability, found.scores["violence"], found.tags(0.5)) == (0.8, 0.8, ["violence"])
    assert found.subcategories == {"violence/graphic": 0.8}
    assert found.flagged(0.5)


async def test_any_other_model_is_asked_for_seven_booleans() -> None:
    backend = ScriptedBackend(info=ModelInfo("openai/gpt-4o"), answers={"moderation": lambda _: verdict(violence=0.7)})
    found = await judge_of(backend).judge("hello")
    assert found.tags(0.5) == ["violence"]
    assert found.probability == pytest.approx(0.7)
