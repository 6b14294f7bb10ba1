"""Status moves while a model writes; the last requests say how they went; agents' turns are seen as they happen."""

from __future__ import annotations

import json
import os
import time

import httpx2

from parlant_local.agent_calls import AgentCallRecord, CallLog
from tests.server.conftest import TINY, Server
from tests.support.browser import Browser


def test_a_figure_moves_while_an_answer_is_written(page: Browser, page_server: Server) -> None:
    page.run("location.hash = '#/status'")
    figure = "document.querySelector('[data-chart=throughput] b').innerText"
    page.wait(f"{figure} !== '–'")
    page.run(
        """(() => { window.seen = [];
        new MutationObserver(() => {
            const running = document.querySelector('#request-rows tr.running')?.innerText ?? '';
            window.seen.push([parseFloat(document.querySelector('[data-chart=throughput] b').innerText.replace(',', '')), running]);
        }).observe(document.querySelector('#status'), {subtree: true, childList: true, characterData: true}); return true; })()"""
    )
    body = {
        "messages": [{"role": "user", "content": "x"}],
        "guided_grammar": "root ::= [a-z]{1500}",
        "max_tokens": 1500,
    }
    httpx2.post(f"{page_server.url}/v1/chat/completions", json=body, timeout=120).raise_for_status()
    page.wait("window.seen.some(([rate, running]) => rate > 0 && /[1-9]\\d* written/.test(running))")
    assert TINY in page.text("#engine-cards")


def test_the_last_requests_say_how_they_went(page: Browser, page_server: Server) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": ["b"]}}, "required": ["a"]}
    ask = {"messages": [{"role": "user", "content": "a secret"}], "max_tokens": 20}
    form = {"type": "json_schema", "json_schema": {"name": "Verdict", "schema": schema}}
    with httpx2.Client(base_url=page_server.url, timeout=60) as http:
        http.post("/v1/chat/completions", json={**ask, "response_format": form}).raise_for_status()
        assert http.post("/v1/chat/completions", json={**ask, "model": "nowhere"}).status_code == 404
        told = http.get("/api/requests").json()["requests"]
    assert "a secret" not in json.dumps(told)
    assert (told[0]["status"], told[1]["schema"], told[1]["finish"]) == (404, "Verdict", "stop")
    assert told[1]["prompt_tokens"] > 0
    assert told[1]["seconds"] > 0
    page.run("location.hash = '#/status'")
    page.wait("document.querySelector('#request-rows .failed')?.innerText.includes('nowhere')")
    assert "Verdict" in page.text("#request-rows")
    assert "answered" in page.text("#request-rows")


def test_the_turns_of_an_agent_are_seen(page: Browser, page_server: Server) -> None:
    log = CallLog(page_server.home)
    now = time.time()

    def call(ended: float, schema: str, seconds: float, **more: object) -> None:
        figures = {
            "prompt_tokens": 4000,
            "cached_tokens": 3600,
            "completion_tokens": 90,
            "forced_tokens": 60,
            "sampled_tokens": 30,
        }
        log.add(AgentCallRecord(ended, "session-one", schema, TINY, "answered", seconds, **(figures | more)))  # type: ignore[arg-type]  # figures of several kinds

    call(now - 30, "GuidelineMatchesSchema", 2.0)
    call(now - 4, "GuidelineMatchesSchema", 1.5, retries=1)
    call(now - 3, "CannedResponseDraftSchema", 1.0)
    page.run("location.hash = '#/agent'")
    page.wait("document.querySelectorAll('.turn-card').length === 2")
    told = page.text(".turn-card")
    assert "2 calls" in told
    assert "90 % of the prompts reused" in told
    assert "120 tokens forced, 60 chosen" in told
    assert "1 retry" in told
    assert "guideline matches" in told
    assert f"process {os.getpid()}" in page.text("#agent-choice")
    call(now, "CannedResponseSelectionSchema", 0.5)
    page.wait("document.querySelector('.turn-card').innerText.includes('3 calls')")


def test_requests_with_a_schema_are_an_agent_too(page: Browser, page_server: Server) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": ["b"]}}, "required": ["a"]}
    form = {"type": "json_schema", "json_schema": {"name": "JourneySelectionSchema", "schema": schema}}
    body = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 20, "response_format": form, "user": "u"}
    httpx2.post(f"{page_server.url}/v1/chat/completions", json=body, timeout=60).raise_for_status()
    page.run("location.hash = '#/agent'")
    page.wait("[...document.querySelector('#agent-choice').options].some((o) => o.value === 'server')")
    page.run(
        "(() => { const s = document.querySelector('#agent-choice'); s.value = 'server'; s.dispatchEvent(new Event('change')); })()"
    )
    page.wait("document.querySelector('#kind-rows').innerText.includes('journey selection')")
