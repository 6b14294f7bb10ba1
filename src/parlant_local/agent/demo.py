"""A demonstration: three questions to the model itself, then three turns with a Parlant agent over HTTP."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from parlant_local.agent.expectations import SHIPPED_NOTICE, expectations, said_before
from parlant_local.agent.home import use_home
from parlant_local.backends.base import Backend
from parlant_local.errors import AgentError
from parlant_local.settings import Settings
from parlant_local.shipped import is_shipped, shipped_file

__all__ = ["run_demo"]

Say = Callable[[str], None]
_DIRECT_QUESTIONS = 3
_TICK_SECONDS = 15


async def run_demo(settings: Settings, *, say: Say, note: Say, verbose: bool = False) -> None:
    """``say`` receives output lines, ``note`` progress and warnings. A turn without a reply raises. ``verbose``: with Parlant's log."""
    from parlant_local.factory import model_backend

    model_id, backend = model_backend(settings)
    home = use_home(settings, model_id)
    warned = list(expectations(settings, model_id))
    for line in warned:
        note(line)
    try:
        async with _progress(note, f"loading {model_id}"):
            await _ask_directly(model_id, backend, say)
    finally:
        await backend.close()
    say("")
    note(f"Starting a Parlant server (home: {home}) …")
    from parlant_local.agent.customer import Customer
    from parlant_local.agent.host_output import HostOutput
    from parlant_local.agent.serving import running_server
    from parlant_local.agent.shop import AGENT_ID, QUESTIONS, create_shop_agent
    from parlant_local.factory import nlp_service

    started = time.monotonic()
    output = HostOutput(note, verbose=verbose, skip=said_before(model_id, warned))
    async with AsyncExitStack() as stack:
        async with _progress(note, "starting"):
            opening = running_server(partial(nlp_service, settings=settings), create_shop_agent, output=output)
            server = await stack.enter_async_context(opening)
        say(f"A Parlant agent on {model_id}, at {server.address}:")
        before = server.service.stats()["total"]
        say(f"  start-up: {_usage_line(before, {}, time.monotonic() - started)}")
        customer = await stack.enter_async_context(Customer(server.address, AGENT_ID))
        for question in QUESTIONS:
            say(f"Customer: {question}")
            output.last_problem = ""
            async with _progress(note, "waiting for the agent"):
                turn = await customer.say(question)
            for preamble in turn.preambles:
                say(f"  (preamble: {_line(preamble)})")
            if not turn.replies:
                cause = f"The cause: {output.last_problem}" if output.last_problem else ""
                raise AgentError(f"The agent did not reply to {question!r}: {turn.problem}.", hint=cause)
            for reply in turn.replies:
                say(f"Agent: {_line(reply)}")
            after = server.service.stats()["total"]
            say(f"  turn: {_usage_line(after, before, turn.seconds)}")
            before = after
    say("")
    if is_shipped(model_id):
        say(SHIPPED_NOTICE)
        say(
            "`parlant-local recommend` suggests real models for this machine; then run: parlant-local demo --model REFERENCE"
        )
    else:
        say(f"To keep this agent running with its chat page: parlant-local agent --model {settings.model}")


async def _ask_directly(model_id: str, backend: Backend, say: Say) -> None:
    say(f"Questions to {model_id}:")
    for question in _documented_questions()[:_DIRECT_QUESTIONS]:
        started = time.monotonic()
        reply = await backend.chat(question, temperature=0.0, max_tokens=64)
        say(f"  {question} -> {_line(reply.content)}  ({time.monotonic() - started:.1f} s)")


def _documented_questions() -> list[str]:
    listed = json.loads(shipped_file(".json").read_text("utf-8"))["questions"]
    return [item["question"] for item in listed]


def _line(text: str) -> str:
    return " ".join(text.split())


def _usage_line(after: Mapping[str, Any], before: Mapping[str, Any], seconds: float) -> str:
    """The difference between two snapshots of the service's totals."""

    def spent(name: str) -> int:
        return int(after.get(name, 0) - before.get(name, 0))

    return (
        f"{spent('calls')} model calls, {spent('prompt_tokens')} prompt tokens ({spent('cached_tokens')} cached), "
        f"{spent('completion_tokens')} completion tokens ({spent('forced_tokens')} not sampled), {seconds:.1f} s"
    )


@asynccontextmanager
async def _progress(note: Say, what: str) -> AsyncIterator[None]:
    """Reports progress at intervals."""

    async def tick() -> None:
        started = time.monotonic()
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            note(f"… {what}: {time.monotonic() - started:.0f} s so far")

    ticker = asyncio.create_task(tick())
    try:
        yield
    finally:
        ticker.cancel()
