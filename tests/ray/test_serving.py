"""`parlant-local serve --ray`, as docs/ray.md has it: a cluster of this machine, two replicas of one model and one of another."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import grpc
import openai
import psutil
import pytest

from parlant_local.backends.openai import OpenAIBackend
from parlant_local.loopback import is_loopback
from parlant_local.shipped import shipped_file
from tests.support.ray_server import KEY, TINY, Served, patiently, serving_replicas

ROOT = Path(__file__).parents[2]
BEGINNING = "You are an agent of a bookshop. " + "Customers ask for books, and what they cost. " * 20

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform == "win32", reason="Ray's Windows is a beta"),
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("ray")
    shutil.copy(shipped_file(), folder / "second.gguf")
    config = {
        "model": TINY,
        "models": {"second": {"model": str(folder / "second.gguf"), "n_ctx": 1024}},
        "engine": {"n_ctx": 4096, "vetting": "never"},
        "log_level": "debug",
        "ray": {"num_cpus": 1, "models": {TINY: {"replicas": 2}}},
        "server": {"shutdown_seconds": 5},
    }
    with serving_replicas(folder, config) as served:
        yield served


async def test_every_door_answers_those_who_have_a_key(served: Served) -> None:
    async with served.client() as client:
        listed = [model.id async for model in client.models.list()]
        assert sorted(listed) == ["local/llama/parlant-local-tiny", "second"]
        for model in listed:
            asked = await client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": "What is the capital of France?"}]
            )
            assert "Paris" in str(asked.choices[0].message.content)
        with pytest.raises(openai.AuthenticationError):
            await client.with_options(api_key="another-horse-battery").models.list()
        with pytest.raises(openai.NotFoundError, match="not available"):
            await client.chat.completions.create(
                model="local/llama/other", messages=[{"role": "user", "content": "Hi"}]
            )
        schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "(("}}}
        form: Any = {"type": "json_schema", "json_schema": {"name": "S", "schema": schema}}
        with pytest.raises(openai.BadRequestError, match="can't be compiled"):
            await client.chat.completions.create(
                model=TINY, messages=[{"role": "user", "content": "Hi"}], response_format=form
            )
    async with anthropic.AsyncAnthropic(base_url=served.url, api_key=KEY, max_retries=0) as other:
        question: Any = [{"role": "user", "content": "What is the capital of France?"}]
        raw = await other.messages.with_raw_response.create(model=TINY, max_tokens=20, messages=question)
        assert "Paris" in str((await raw.parse()).content)
        assert len(raw.headers.get_list("x-request-id")) == 1, "Ray's proxy and ours would both name it"


async def test_an_agents_calls_find_what_was_computed(served: Served) -> None:
    """In any conversation, on whichever replica it was: a schema's prompts begin alike."""
    async with OpenAIBackend(TINY, base_url=f"{served.url}/v1", api_key=KEY, name="house", affinity=True) as backend:
        for schema in ("Guideline", "Journey", "Tool", "Message"):
            for session in ("anna", "ben", "carla"):
                reply = await backend.chat(
                    f"{schema}: {BEGINNING}{session}", session=session, prefix_group=schema, max_tokens=4
                )
                if session != "anna":
                    assert reply.usage.cached_tokens > 0.8 * reply.usage.prompt_tokens, (schema, session)


LONG: Any = {
    "type": "json_schema",
    "json_schema": {
        "name": "Long",
        "schema": {
            "type": "object",
            "properties": {"lines": {"type": "array", "minItems": 60, "maxItems": 60, "items": {"type": "string", "minLength": 20, "maxLength": 24}}},
            "required": ["lines"],
        },
    },
}  # fmt: skip


async def test_a_replica_is_killed_while_it_answers(served: Served) -> None:
    """More streams than the policy lets one replica have while the other one has none: each has some of them."""
    before = served.replicas("parlant-local-tiny")
    assert len(before) == 2
    async with served.client() as client:
        begun = [asyncio.Event() for _ in range(8)]

        async def stream(number: int) -> str:
            """How it ended."""
            question: Any = [{"role": "user", "content": f"Tell me something, {number}."}]
            chunks = await client.chat.completions.create(
                model=TINY, messages=question, stream=True, max_tokens=3000, response_format=LONG,
                extra_headers={"x-parlant-local-schema": f"Schema{number}"},
            )  # fmt: skip
            try:
                async for _ in chunks:
                    begun[number].set()
            except openai.APIError as error:
                begun[number].set()
                return f"{error.code}: {error.message}"
            return "whole"

        async def ask(number: int) -> bool:
            question: Any = [{"role": "user", "content": f"Tell me everything, {number}."}]
            reply = await client.chat.completions.create(
                model=TINY, messages=question, max_tokens=3000, response_format=LONG
            )
            return len(json.loads(str(reply.choices[0].message.content))["lines"]) == 60

        streams = [asyncio.create_task(stream(number)) for number in range(8)]
        asked = [asyncio.create_task(ask(number)) for number in range(4)]
        await asyncio.gather(*(event.wait() for event in begun[:2]))
        os.kill(min(before), signal.SIGKILL)
        ends = await asyncio.gather(*streams)
        assert await asyncio.gather(*asked) == [True] * 4, "nobody had been told anything of them yet"
    broken = [end for end in ends if end != "whole"]
    assert all(end.startswith("upstream_failed: ") and "has gone" in end for end in broken)
    assert len(broken) < 8, "the other replica goes on"
    await asyncio.to_thread(patiently, lambda: len(served.replicas("parlant-local-tiny")) == 2, "another replica")


async def test_who_goes_away_is_not_worked_for(served: Served) -> None:
    def cancelled(kind: str) -> int:
        return sum(f"A call was cancelled: {kind}." in line for line in served.log)

    streams, wholes = cancelled("chat_stream"), cancelled("chat")
    question: Any = [{"role": "user", "content": "Tell me everything."}]
    async with served.client() as client:
        chunks = await client.chat.completions.create(
            model="second", messages=question, stream=True, max_tokens=900, response_format=LONG
        )
        await anext(aiter(chunks))
        await chunks.close()
        for wait in itertools.count(1):  # an answer may be whole before its client has gone
            whole = asyncio.create_task(
                client.chat.completions.create(model="second", messages=question, max_tokens=900, response_format=LONG)
            )
            await asyncio.sleep(0.05 * wait)
            whole.cancel()
            await asyncio.wait([whole])
            await asyncio.sleep(1.0)  # lines come a moment later
            if cancelled("chat") > wholes:
                break
            assert wait < 40
    await asyncio.to_thread(patiently, lambda: cancelled("chat_stream") > streams, "the end of a stream")


async def test_a_changed_file_replaces_its_replicas_and_no_others(served: Served) -> None:
    before = served.replicas("second"), served.replicas("parlant-local-tiny")
    os.kill(served.process.pid, signal.SIGHUP)
    await asyncio.to_thread(served.wait_for, "Deployed again.", 1)
    assert (served.replicas("second"), served.replicas("parlant-local-tiny")) == before, "nothing has changed"
    path = Path(served.config.parent, "second.gguf")
    changed = bytearray(path.read_bytes())
    changed[-1] ^= 1
    path.with_suffix(".new").write_bytes(changed)
    path.with_suffix(".new").replace(path)
    question: Any = [{"role": "user", "content": "What is the capital of France?"}]
    async with served.client() as client:
        os.kill(served.process.pid, signal.SIGHUP)
        while not served.says("Deployed again.", 2):
            reply = await client.chat.completions.create(model="second", messages=question, max_tokens=20)
            assert reply.choices[0].message.content
    assert served.replicas("parlant-local-tiny") == before[1]
    await asyncio.to_thread(patiently, lambda: not served.replicas("second") & before[0], "the end of the old one")


def test_nobody_else_is_let_in(served: Served) -> None:
    """Every socket is loopback, but one of each replica, which Ray opens to the network: that one wants the token that this run alone has.
    Nothing is told to Ray's makers."""
    open_to_others = set()
    for process in [psutil.Process(served.process.pid), *served.processes()]:
        try:
            listening = [each.laddr for each in process.net_connections() if each.status == psutil.CONN_LISTEN]
            environment = process.environ()
        except psutil.Error:  # it has just ended
            continue
        strangers = [place for place in listening if not is_loopback(place.ip)]
        assert not strangers or process.pid in served.replicas(""), (process, strangers)
        open_to_others |= {place.port for place in strangers}
        if process.name() in ("raylet", "gcs_server"):  # others have written their titles over it
            assert environment["RAY_USAGE_STATS_ENABLED"] == "0"
    for port in open_to_others:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/ray.serve.ASGIService/HandleRequest")
            with pytest.raises(grpc.RpcError) as refused:
                call(b"", timeout=30)
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_ctrl_c_leaves_no_process_behind(served: Served) -> None:
    """The last test: it ends the server."""
    assert not served.says("Traceback"), "".join(served.log)
    folder = served.folder()
    assert folder.is_dir()
    assert served.end() == 0
    assert served.says("The server has stopped.")
    gone, alive = psutil.wait_procs(list(served.started), 30)
    assert alive == []
    assert gone
    assert not folder.exists()


def test_what_the_document_shows_is_the_command() -> None:
    text = (ROOT / "docs" / "ray.md").read_text("utf-8")
    assert "$ parlant-local serve --ray --config config.yml" in text
