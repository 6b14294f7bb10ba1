"""An answer that is being written can be told to stop thinking, by its id, by whoever asked for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest

from parlant_local.messages import ChatChunk, Delta
from parlant_local.settings import Settings
from tests.support import gguf_models
from tests.support.in_process import InProcess, serving_here

from .conftest import Reciter
from .test_messages import ADMIN, KEY

CONTROL = "/v1/chat/completions/control"
BUDGET = 3000
FORM = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"enum": ["yes", "no"]}}}
ASKED: dict[str, Any] = {
    "model": "dreamer",
    "messages": [{"role": "user", "content": "Is it?"}],
    "stream": True,
    "stream_options": {"include_usage": True},
    "temperature": 1,
    "seed": 1,
    "response_format": FORM,
    "reasoning": {"max_tokens": BUDGET},
    "max_tokens": BUDGET + 100,
}


@pytest.fixture(scope="module")
def dreamer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    """Its model thinks until it is told to stop."""
    folder = tmp_path_factory.mktemp("dreamer")
    template = gguf_models.CHAT_TEMPLATE.replace("assistant\n", "assistant\n<think>\n")
    path = gguf_models.llama(folder / "dreamer.gguf", tied=False, template=template)
    (folder / "keys").write_text(f"{KEY}\n")
    (folder / "admins").write_text(f"{ADMIN}\n")
    values: dict[str, Any] = {
        "models": {"dreamer": {"model": str(path)}},
        "engine.n_ctx": 4096,
        "engine.n_threads": 2,
        "auth.key_file": str(folder / "keys"),
        "auth.admin_key_file": str(folder / "admins"),
    }
    with serving_here(Settings.load(None, home=folder / "home", **values)) as running:
        yield running


@pytest.fixture
def http(dreamer: InProcess) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=dreamer.url, timeout=120, headers={"authorization": f"Bearer {KEY}"}) as client:
        yield client


def control(http: httpx2.Client, identity: str, key: str = KEY) -> httpx2.Response:
    body = {"id": identity, "action": "reasoning_end"}
    return http.post(CONTROL, json=body, headers={"authorization": f"Bearer {key}"})


@pytest.mark.parametrize("by", ["answer", "request"])
def test_a_thought_is_ended_and_the_answer_follows(http: httpx2.Client, by: str) -> None:
    with http.stream("POST", "/v1/chat/completions", json=ASKED, headers={"x-request-id": "my-own"}) as stream:
        events = (json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: {"))
        first = next(event for event in events if event["choices"][0]["delta"].get("reasoning"))
        identity = first["id"] if by == "answer" else "my-own"
        assert control(http, identity, ADMIN).status_code == 404  # another key's
        assert control(http, identity).json() == {"success": True}
        *rest, last = events
    text = "".join(event["choices"][0]["delta"].get("content", "") for event in rest)
    assert json.loads(text) in ("yes", "no")
    assert 0 < last["usage"]["completion_tokens_details"]["reasoning_tokens"] < BUDGET
    ended = control(http, identity)
    assert (ended.status_code, ended.json()["error"]["code"]) == (404, "answer_not_found")


def test_without_it_the_thought_takes_what_it_may(http: httpx2.Client) -> None:
    few = ASKED | {"reasoning": {"max_tokens": 40}, "stream": False}
    usage = http.post("/v1/chat/completions", json=few).json()["usage"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 40


def test_what_does_not_think_has_no_thoughts_to_end(reciting: tuple[InProcess, Reciter]) -> None:
    server, reciter = reciting
    asked: list[bool] = []

    class Asking(list[ChatChunk]):
        """Amid the answer, somebody asks for the end of its thoughts."""

        def __iter__(self) -> Iterator[ChatChunk]:
            yield ChatChunk(Delta("x"))
            asked.append(server.context.running.find("", "its-request").watch.end_thoughts())
            yield ChatChunk(finish_reason="stop")

    reciter.chunks = Asking()
    body = {"messages": [{"role": "user", "content": "x"}], "stream": True}
    httpx2.post(f"{server.url}/v1/chat/completions", json=body, headers={"x-request-id": "its-request"})
    assert asked == [False]
    assert len(server.context.running) == 0


@pytest.mark.parametrize(
    "body", [{}, {"id": ""}, {"id": "x"}, {"id": "x", "action": "stop"}, {"action": "reasoning_end"}]
)
def test_what_is_refused_is_refused_in_words(http: httpx2.Client, body: dict[str, Any]) -> None:
    answer = http.post(CONTROL, json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["message"]


def test_audio_is_refused_and_says_what_there_is(reciting: tuple[InProcess, Reciter]) -> None:
    server, _ = reciting
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        with pytest.raises(openai.NotFoundError, match="/v1/chat/completions") as caught:
            client.audio.speech.create(model="m", voice="alloy", input="x")
        assert caught.value.code == "unsupported"
        with pytest.raises(openai.NotFoundError, match="input_audio"):
            client.audio.transcriptions.create(model="m", file=("a.wav", b"RIFF"))
    translated = httpx2.post(f"{server.url}/v1/audio/translations", files={"file": b"RIFF"})
    assert (translated.status_code, translated.json()["error"]["code"]) == (404, "unsupported")
