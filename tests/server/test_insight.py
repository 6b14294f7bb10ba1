"""What the server tells of its work: the progress of a stream, the last requests, agents, models to find."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from parlant_local.agent_calls import AgentCallRecord, CallLog, running_agents
from parlant_local.engine.watching import Standing
from parlant_local.server.progress import progress_of, with_progress
from tests.support.in_process import InProcess
from tests.support.places import TINY as TINY_FILE
from tests.support.slow_loading import slow_loading

from .conftest import TINY, Server

__all__ = ["slow_loading"]

LONG = [{"role": "user", "content": "hello strange world " * 380}]


def chunks(server: Server | InProcess, **body: Any) -> list[dict[str, Any]]:
    with httpx2.stream(
        "POST", f"{server.url}/v1/chat/completions", json={"stream": True, **body}, timeout=60
    ) as answer:
        lines = [line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def test_a_stream_tells_how_far_the_prompt_is_read(server: Server) -> None:
    found = chunks(server, messages=LONG, max_tokens=4, return_progress=True)
    told = [chunk["progress"] for chunk in found if "progress" in chunk]
    assert all(chunk["choices"] == [] for chunk in found if "progress" in chunk)
    reading = [item for item in told if item["phase"] == "reading"]
    assert reading
    assert [item["share"] for item in reading] == sorted(item["share"] for item in reading)
    assert all(item["read"] <= item["prompt"] for item in reading)
    assert not any("progress" in chunk for chunk in chunks(server, messages=LONG, max_tokens=4))


def test_openais_client_bears_it(server: Server) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="any") as client:
        stream = client.chat.completions.create(
            model=TINY,
            messages=[{"role": "user", "content": "x " + LONG[0]["content"]}],
            max_tokens=4,
            stream=True,
            extra_body={"return_progress": True},
        )
        texts = [chunk.choices[0].delta.content for chunk in stream if chunk.choices]
    assert texts


def test_loading_is_told(here: Callable[..., InProcess], slow_loading: None, tmp_path: Path) -> None:
    mine = shutil.copy(TINY_FILE, tmp_path / "mine.gguf")  # whose weights nobody else in this process has loaded
    server = here(**{"model": str(mine), "engine.vetting": "never"})
    told = [
        item["progress"]
        for item in chunks(server, messages=LONG, max_tokens=4, return_progress=True)
        if "progress" in item
    ]
    loading = [item for item in told if item["phase"] == "loading"]
    assert loading
    assert all(0 <= item["share"] <= 1 for item in loading)


async def _pieces(wait: float, *pieces: bytes) -> AsyncGenerator[bytes, None]:
    await asyncio.sleep(wait)
    for piece in pieces:
        yield piece


async def test_progress_ends_where_the_answer_begins() -> None:
    counted = iter(range(100))
    stream = with_progress(
        _pieces(0.7, b"a", b"b"),
        lambda: {"phase": "waiting", "ahead": next(counted)},
        lambda now: json.dumps(now).encode(),
    )
    found = [piece async for piece in stream]
    assert found[-2:] == [b"a", b"b"]
    assert [json.loads(piece)["ahead"] for piece in found[:-2]] == list(range(len(found) - 2))
    assert [piece async for piece in with_progress(_pieces(0.0), lambda: None, lambda _: b"")] == []


async def test_an_early_end_of_the_reader_ends_the_work() -> None:
    ended = asyncio.Event()

    async def endless() -> AsyncGenerator[bytes, None]:
        try:
            await asyncio.sleep(60)
            yield b""
        finally:
            ended.set()

    stream = with_progress(endless(), lambda: {"phase": "memory"}, lambda _: b"told")
    assert await anext(stream) == b"told"
    await stream.aclose()
    assert ended.is_set()


async def test_an_error_before_the_first_piece_is_raised() -> None:
    async def failing() -> AsyncGenerator[bytes, None]:
        await asyncio.sleep(0)
        raise ValueError("no")
        yield b""

    with pytest.raises(ValueError, match="no"):
        await anext(with_progress(failing(), lambda: None, lambda _: b""))


def test_what_a_standing_means() -> None:
    assert progress_of(None) is None
    assert progress_of(Standing("writing", prompt=9)) is None
    assert progress_of(Standing("waiting", ahead=2)) == {"phase": "waiting", "ahead": 2}
    assert progress_of(Standing("reading", read=25, prompt=100, reused=20)) == {
        "phase": "reading",
        "share": 0.25,
        "read": 25,
        "prompt": 100,
        "reused": 20,
    }


def test_requests_that_run_are_told_with_their_figures_so_far(server: Server) -> None:
    body = {
        "messages": [{"role": "user", "content": "Spell."}],
        "guided_grammar": "root ::= [a-z]{900}",
        "max_tokens": 900,
    }
    asking = threading.Thread(
        target=httpx2.post, args=(f"{server.url}/v1/chat/completions",), kwargs={"json": body, "timeout": 60}
    )
    asking.start()
    seen = []
    while asking.is_alive():
        seen += [item for item in httpx2.get(f"{server.url}/api/requests").json()["requests"] if item["running"]]
        time.sleep(0.02)
    asking.join()
    written = [item["completion_tokens"] for item in seen]
    assert written == sorted(written)
    assert 0 < written[-1] <= 900
    last = httpx2.get(f"{server.url}/api/requests").json()["requests"][0]
    assert (last["running"], last["status"], last["error"]) == (False, 200, None)
    assert last["completion_tokens"] >= written[-1]


def test_a_hundred_requests_are_kept_and_none_of_their_words(server: Server) -> None:
    with httpx2.Client(base_url=server.url) as http:
        for _ in range(105):
            http.post("/tokenize", json={"content": "a secret word"})
        http.post("/v1/chat/completions", json={"messages": "a secret word"})
        found = http.get("/api/requests").json()["requests"]
    assert len(found) == 100
    assert "secret" not in json.dumps(found)
    assert found[0]["status"] == 422
    assert found[0]["error"].startswith("messages")


def test_only_an_admin_key_sees_it(here: Callable[..., InProcess], tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("me:correct-horse-battery\n")
    locked = here(**{"auth.key_file": tmp_path / "keys"})
    for path in ("/api/requests", "/api/agents", "/api/search?query=x", "/api/recommend"):
        assert httpx2.get(f"{locked.url}{path}").status_code == 401
        headers = {"authorization": "Bearer correct-horse-battery"}
        assert httpx2.get(f"{locked.url}{path}", headers=headers).status_code == 403


def test_search_and_recommendations(server: Server) -> None:
    """Without a network: what is known here, and why the hub was not searched."""
    found = httpx2.get(f"{server.url}/api/search", params={"query": "QWEN3 0.6b"}, timeout=60).json()
    assert [item["reference"] for item in found["models"]] == ["qwen3:0.6b"]
    assert found["hub_problem"]
    assert httpx2.get(f"{server.url}/api/search", params={"query": ""}).status_code == 422
    offered = httpx2.get(f"{server.url}/api/recommend?limit=2", timeout=60).json()
    assert len(offered["models"]) <= 2
    assert all(item["memory"] <= offered["available_memory"] for item in offered["models"])


def record(number: int) -> AgentCallRecord:
    return AgentCallRecord(float(number), "s", "Schema", "m", "answered", 0.5)


def test_calls_are_kept_up_to_a_number(tmp_path: Path) -> None:
    log = CallLog(tmp_path)
    for number in range(1203):
        log.add(record(number))
    ((_, alive, records),) = running_agents(tmp_path)
    assert alive
    assert 500 <= len(records) <= 1000
    assert [item.time for item in records] == [float(number) for number in range(1203 - len(records), 1203)]
    (file,) = (tmp_path / "agents").iterdir()
    assert file.stat().st_mode & 0o077 == 0


def test_a_strange_file_says_nothing_and_breaks_nothing(server: Server) -> None:
    folder = server.home / "agents"
    folder.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"time": 1, "session": None, "schema": "S", "model": "m", "outcome": "answered", "seconds": 1})
    nan = line.replace('"seconds": 1', '"seconds": NaN')
    (folder / "999999.jsonl").write_text(
        "\n".join(["", "{", "3", "[]", '{"time": "x"}', "[" * 5000, nan, line, line[:20]])
    )
    (folder / "0.jsonl").write_bytes(b"\xff\xfe")
    (folder / "other.jsonl").write_text(line)
    (folder / "7.jsonl").mkdir(exist_ok=True)
    told = httpx2.get(f"{server.url}/api/agents").json()["agents"]
    (found,) = [agent for agent in told if agent["name"] == "999999"]
    assert [call["schema"] for call in found["calls"]] == ["S"]


def test_recording_ends_where_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "agents").write_text("a file where the folder should be")
    log = CallLog(tmp_path)
    log.add(record(1))
    assert log.problem
