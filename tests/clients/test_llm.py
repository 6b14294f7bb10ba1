"""The ``llm`` command drives the server, by its file of OpenAI-compatible models."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from tests.clients.conftest import KEY, clean_environment
from tests.clients.environment import BIN
from tests.fakes.http import Reply, Request
from tests.fakes.openai import FakeOpenAI
from tests.server.conftest import TINY, Server
from tests.support.eventually import wait_until

pytestmark = pytest.mark.evidence
PARIS = "What is the capital of France?"
WEATHER = 'def get_weather(city: str) -> str:\n    "The weather of a city."\n    return f"it rains in {city}"\n'
Run = Callable[..., subprocess.CompletedProcess[str]]


def home_of(folder: Path, server: Server, *, model: str = TINY, keyed: bool = True) -> dict[str, str]:
    """The environment of an ``llm`` that knows the server as ``local``."""
    entry: dict[str, Any] = {
        "model_id": "local",
        "model_name": model,
        "api_base": f"{server.url}/v1",
        "supports_schema": True,
        "supports_tools": True,
    }
    if keyed:
        entry["api_key_name"] = "parlant-local"
    folder.mkdir(exist_ok=True)
    (folder / "extra-openai-models.yaml").write_text(yaml.safe_dump([entry]))
    return clean_environment() | {"LLM_USER_PATH": str(folder)}


@pytest.fixture
def llm(environment: None, locked: Server, tmp_path: Path) -> Run:
    variables = home_of(tmp_path / "llm", locked)

    def run(*arguments: str, check: bool = True, **more: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [BIN / "llm", *arguments], env=variables | more, capture_output=True, text=True, timeout=60
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    run("keys", "set", "parlant-local", "--value", KEY)
    return run


def test_it_chats_streaming_and_not(llm: Run) -> None:
    streamed = llm("-m", "local", PARIS, "-o", "temperature", "0")
    whole = llm("-m", "local", PARIS, "-o", "temperature", "0", "--no-stream", "--usage")
    assert "Paris" in streamed.stdout
    assert streamed.stdout == whole.stdout
    assert "input" in whole.stderr
    assert "Paris" in llm("-c", PARIS, "-o", "temperature", "0").stdout  # goes on with the conversation


def test_it_gets_what_fits_a_schema(llm: Run) -> None:
    found = json.loads(llm("-m", "local", PARIS, "--schema", "city, is_capital bool", "-o", "temperature", "0").stdout)
    assert set(found) == {"city", "is_capital"}
    assert isinstance(found["is_capital"], bool)


def test_it_asks_an_endpoint_without_a_file(llm: Run, locked: Server) -> None:
    place = ("openai", "endpoint", f"{locked.url}/v1", "--key", KEY)
    assert TINY in llm(*place, "--models").stdout.split()
    assert "Paris" in llm(*place, "-m", TINY, PARIS, "-o", "temperature", "0").stdout


def test_it_gets_vectors_under_a_served_name(llm: Run, locked: Server) -> None:
    place = {"OPENAI_BASE_URL": f"{locked.url}/v1", "OPENAI_API_KEY": KEY}
    vector = json.loads(llm("embed", "-m", "text-embedding-3-small", "-c", "a dog", **place).stdout)
    assert len(vector) > 16
    assert sum(value * value for value in vector) == pytest.approx(1, abs=1e-3)


def test_it_shows_why_it_was_refused(llm: Run) -> None:
    wrong = llm("-m", "local", PARIS, "--key", "wrong-key-wrong-key-wrong", check=False)
    assert wrong.returncode == 1
    assert "The API key is not valid" in wrong.stderr
    long = llm("-m", "local", "word " * 4000, check=False)
    assert long.returncode == 1
    assert "maximum context length is 2048" in long.stderr
    assert "Traceback" not in wrong.stderr + long.stderr


def test_interrupting_it_ends_the_answer_in_the_engine_too(llm: Run, locked: Server, tmp_path: Path) -> None:
    def engine() -> dict[str, Any]:
        headers = {"authorization": f"Bearer {KEY}"}
        found: dict[str, Any] = httpx2.get(f"{locked.url}/api/status", headers=headers).json()
        told: dict[str, Any] = found["models"][TINY]["engine"]
        return told

    before = engine()["cancelled"]
    hot = [
        "-o",
        "temperature",
        "2",
        "-o",
        "max_tokens",
        "1800",
        "-o",
        "logit_bias",
        json.dumps({str(token): -100 for token in range(8)}),
    ]
    for _ in range(5):  # the model is small: it may be done before it is interrupted
        process = subprocess.Popen(
            [BIN / "llm", "-m", "local", "Tell me a story.", *hot],
            env=home_of(tmp_path / "llm", locked),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.read(1), process.communicate()[1]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        wait_until(lambda: not engine()["running"])
        if engine()["cancelled"] == before + 1:
            return
    raise AssertionError("No answer was interrupted.")


class CallsOnce(FakeOpenAI):
    """Asks for the weather, and answers with what it was told about it."""

    async def route(self, request: Request) -> Reply:
        messages = (request.body or {}).get("messages", [])
        results = [item["content"] for item in messages if item["role"] == "tool"]
        self.tool_calls = [] if results else [("get_weather", '{"city": "Paris"}')]
        self.text = f"I hear that {results[0]}." if results else ""
        return await super().route(request)


async def test_it_runs_the_tools_that_a_model_asks_for(environment: None, tmp_path: Path) -> None:
    """The shipped model calls no tool by itself, and llm has no way to require one: a scripted model behind the server."""
    async with CallsOnce(name="m") as scripted:
        config = tmp_path / "config.yml"
        config.write_text(f"endpoints: {{scripted: {{base_url: '{scripted.base_url}', n_ctx: 8192}}}}\n")
        server = await asyncio.to_thread(Server, tmp_path / "server", "--config", str(config))
        try:
            variables = home_of(tmp_path / "llm", server, model="scripted/m", keyed=False)
            for more in ([], ["--no-stream"]):
                process = await asyncio.create_subprocess_exec(
                    str(BIN / "llm"), "-m", "local", "How is the weather in Paris?", "--functions", WEATHER, *more,
                    env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                )  # fmt: skip
                async with asyncio.timeout(60):
                    out, err = await process.communicate()
                assert process.returncode == 0, err.decode()
                assert out.decode().strip() == "I hear that it rains in Paris."
        finally:
            await asyncio.to_thread(server.stop)
