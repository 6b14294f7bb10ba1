"""What replicas are worth, measured: a Parlant server on them, forty conversations by either router, and a kill.

Writes docs/evidence/ray.md. Calls are those of recorded conversations (benchmarks/record.py), asked as raw prompts with short answers: where
a call goes and what is computed for it does not depend on what is answered.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx2
import parlant.sdk as p
import pytest
from benchmarks.models import CACHE
from benchmarks.record import CONVERSATIONS, record

from parlant_local import nlp_service
from parlant_local.settings import Settings
from tests.support.evidence import table, write_section
from tests.support.parlant_server import QUESTIONS, host_log, serving, three_turns
from tests.support.ray_server import KEY, TINY, Served, serving_replicas

PAGE = Path(__file__).parents[2] / "docs" / "evidence" / "ray.md"
COMMAND = "pytest -m evidence tests/ray"
CUSTOMERS = 40
AT_ONCE = 6
CALLS_OF_A_TURN = 5
"""The first of each schema: most of the others repeat one of them but for a guideline."""

pytestmark = [pytest.mark.evidence, pytest.mark.timeout(3600), pytest.mark.filterwarnings("ignore")]

Router = Literal["prefix", "ray"]


def config(replicas: int, router: Router = "prefix") -> dict[str, Any]:
    return {
        "model": TINY,
        "engine": {"n_ctx": 8192, "vetting": "never", "seed": 7, "prefixes": {"disk": False}},
        "log_level": "info",
        "ray": {"replicas": replicas, "router": router, "num_cpus": 1},
        "server": {"shutdown_seconds": 5},
    }


async def create_agent(server: p.Server) -> None:
    agent = await server.create_agent(id="house", name="Flo", description="Helps in a book shop.")
    await agent.create_guideline(condition="the customer asks about an order", action="tell its status")


async def test_a_parlant_server_with_replicas_alone_holds_a_conversation(tmp_path: Path) -> None:
    with serving_replicas(tmp_path, config(2)) as served:
        endpoint = {
            "base_url": f"{served.url}/v1",
            "affinity": True,
            "api_key": KEY,
            "n_ctx": 8192,
            "timeout_seconds": 600,
        }
        settings = Settings.load(None, model=f"house/{TINY}", endpoints={"house": endpoint})

        def create(container: Any) -> Any:
            return nlp_service(container, settings=settings)

        async with serving(create, create_agent) as server:
            begun = time.monotonic()
            with host_log() as log:
                turns = await three_turns(server.address, "house", *QUESTIONS)
            seconds = time.monotonic() - begun
            total = server.service.stats()["total"]
    assert [turn.problem for turn in turns] == ["", "", ""]
    assert all(turn.replies for turn in turns)
    assert [line for line in log if "NLP" in line or "error" in line] == []
    assert (total["failed"], total["rejected"], total["refused"]) == (0, 0, 0)
    text = f"""A Parlant server whose only target is the application: three turns, three replies, no failed, rejected or refused call, {seconds:.0f} s.
Its words make no sense, the model being the one that is shipped."""
    write_section(PAGE, "A conversation", text, command=COMMAND)


@dataclass(frozen=True)
class Asked:
    prompt: str
    schema: str
    session: str


def conversations() -> list[list[list[Asked]]]:
    """Forty customers, each of whom says one of the recorded conversations in words of their own: turns of calls."""
    recorded = record(CACHE / "parlant.json")
    turns: dict[str, list[dict[str, Any]]] = {}
    for item in recorded:
        turns.setdefault(item["phase"], []).append(item["call"])
    return [_said_by(number, turns) for number in range(CUSTOMERS)]


def _said_by(number: int, turns: dict[str, list[dict[str, Any]]]) -> list[list[Asked]]:
    place = number % len(CONVERSATIONS)
    lines = CONVERSATIONS[place]
    said = []
    for turn in range(1, len(lines) + 1):
        calls = {call["group"]: call["prompt"] for call in reversed(turns[f"{place + 1}.{turn}"])}
        prompts = {group: calls[group] for group in sorted(calls)[:CALLS_OF_A_TURN]}
        for line in lines:
            prompts = {
                group: text.replace(line, f"{line} (This is customer {number}.)") for group, text in prompts.items()
            }
        said.append([Asked(text, group, f"customer-{number}") for group, text in prompts.items()])
    return said


@dataclass(frozen=True)
class Measured:
    calls: int
    prompt_tokens: int
    cached_tokens: int
    seconds: float

    @property
    def hits(self) -> str:
        return f"{100 * self.cached_tokens / self.prompt_tokens:.1f} %"


async def replay(served: Served, told: list[list[list[Asked]]]) -> Measured:
    """Some customers at once; a turn's calls at once, and its turns one after the other."""
    waiting = iter(told)
    prompts = cached = calls = 0
    async with httpx2.AsyncClient(base_url=served.url, headers={"authorization": f"Bearer {KEY}"}, timeout=900) as http:

        async def ask(asked: Asked) -> None:
            nonlocal prompts, cached, calls
            told = {"x-parlant-local-session": asked.session, "x-parlant-local-schema": asked.schema}
            body = {"model": TINY, "prompt": asked.prompt, "max_tokens": 4, "temperature": 0}
            answer = await http.post("/v1/completions", json=body, headers=told)
            assert answer.status_code == 200, answer.text
            usage = answer.json()["usage"]
            prompts, calls = prompts + usage["prompt_tokens"], calls + 1
            cached += usage["prompt_tokens_details"]["cached_tokens"]

        async def customers() -> None:
            for turns in waiting:
                for turn in turns:
                    await asyncio.gather(*(ask(asked) for asked in turn))

        begun = time.monotonic()
        await asyncio.gather(*(customers() for _ in range(AT_ONCE)))
    return Measured(calls, prompts, cached, time.monotonic() - begun)


def arrangements() -> Iterator[tuple[int, Router]]:
    for replicas in (2, 3):
        yield replicas, "ray"
        yield replicas, "prefix"


def test_forty_conversations_by_either_router(tmp_path: Path) -> None:
    told = conversations()
    found: dict[tuple[int, Router], Measured] = {}
    for replicas, router in arrangements():
        with serving_replicas(tmp_path / f"{replicas}-{router}", config(replicas, router)) as served:
            found[replicas, router] = asyncio.run(replay(served, told))
    rows = [
        [replicas, "ours" if router == "prefix" else "Ray's", one.hits, f"{one.prompt_tokens - one.cached_tokens:,}",
         f"{one.seconds:.0f} s", f"{one.calls / one.seconds:.1f}"]
        for (replicas, router), one in found.items()
    ]  # fmt: skip
    assert len({one.calls for one in found.values()}) == 1, "no call is lost by either"
    one = found[2, "prefix"]
    text = f"""{CUSTOMERS} conversations of three turns, {AT_ONCE} at once, {CALLS_OF_A_TURN} schemas a turn: {one.calls} calls with {one.prompt_tokens:,} tokens of prompts. Prefixes are kept in
each replica's memory alone, none on disk. A replica has one thread, and all share two cores, so that calls per second say little of larger machines.

{table(["replicas", "router", "prompt tokens from prefixes", "computed", "took", "calls/s"], rows)}"""
    write_section(PAGE, "Forty conversations", text, command=COMMAND)


def test_a_kill_in_the_middle_of_them(tmp_path: Path) -> None:
    """Whole answers: of none had anything been told, so none may be lost."""
    told = conversations()[:12]

    async def with_a_kill(served: Served) -> Measured:
        work = asyncio.create_task(replay(served, told))
        await asyncio.sleep(5)
        assert not work.done()
        os.kill(min(served.replicas("parlant-local-tiny")), signal.SIGKILL)
        return await work

    with serving_replicas(tmp_path, config(2)) as served:
        found = asyncio.run(with_a_kill(served))
        after = served.replicas("parlant-local-tiny")
    assert found.calls == sum(len(turn) for turns in told for turn in turns)
    assert len(after) == 2
    text = f"""One of two replicas is killed five seconds into twelve of these conversations: all {found.calls} calls are answered, {found.hits} of their prompt tokens from prefixes, and
Ray has started another replica. Streams are looked at in tests/ray/test_serving.py: those that the killed replica was sending end with an error
event, the others are whole."""
    write_section(PAGE, "A kill", text, command=COMMAND)
