"""An agent's calls are kept as figures for whoever watches it; no words, and none at all where it is turned off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from parlant_local.agent_calls import AgentCallRecord, running_agents
from parlant_local.errors import InvalidOutputError
from parlant_local.messages import ChatReply, Timings, Usage
from parlant_local.nlp import LocalNLPService
from parlant_local.observability import NullLogger
from parlant_local.settings import Settings
from tests.fakes.scripted import ScriptedBackend


class Capital(BaseModel):
    capital: str


def calls(home: Path) -> list[AgentCallRecord]:
    return [record for _, _, records in running_agents(home) for record in records]


def service(backend: ScriptedBackend, home: Path, **settings: Any) -> LocalNLPService:
    chosen = {"logging.agent_calls": True, **settings}
    return LocalNLPService(backend, settings=Settings.load(None, home=home, **chosen), logger=NullLogger())


async def test_a_call_leaves_its_figures_with_its_retries(tmp_path: Path) -> None:
    timings = Timings(forced_tokens=4, sampled_tokens=3)
    replies = [
        ChatReply('{"town":"Rome"}', usage=Usage(100, 7, 60), timings=timings, model="local/x/y"),
        ChatReply('{"capital":"Paris"}', usage=Usage(120, 7, 100), timings=timings, model="local/x/y"),
    ]
    local = service(ScriptedBackend(answers={"Capital": lambda _: replies.pop(0)}), tmp_path)
    await (await local.get_schematic_generator(Capital)).generate("A secret question?")
    (found,) = calls(tmp_path)
    assert (found.schema, found.model, found.outcome, found.retries) == ("Capital", "local/x/y", "answered", 1)
    assert (found.prompt_tokens, found.cached_tokens, found.completion_tokens) == (220, 160, 14)
    assert (found.forced_tokens, found.sampled_tokens, found.error) == (8, 6, None)
    (file,) = (tmp_path / "agents").iterdir()
    assert not {"secret", "Paris", "Rome"} & set(file.read_text().replace('"', " ").split())


async def test_a_failure_leaves_its_kind(tmp_path: Path) -> None:
    local = service(ScriptedBackend(answers={"Capital": lambda _: '{"town":"Rome"}'}), tmp_path)
    with pytest.raises(InvalidOutputError):
        await (await local.get_schematic_generator(Capital)).generate("?")
    (found,) = calls(tmp_path)
    assert (found.outcome, found.error) == ("failed", "InvalidOutputError")
    assert found.retries >= 1


async def test_a_stream_is_one_call(tmp_path: Path) -> None:
    local = service(ScriptedBackend(), tmp_path)
    generator = await local.get_streaming_text_generator()
    assert [chunk async for chunk in generator.generate("Hello").stream]
    (found,) = calls(tmp_path)
    assert (found.schema, found.outcome) == ("streaming", "answered")


async def test_it_can_be_turned_off(tmp_path: Path) -> None:
    local = service(ScriptedBackend(), tmp_path, **{"logging.agent_calls": False})
    await (await local.get_schematic_generator(Capital)).generate("?")
    assert not (tmp_path / "agents").exists()
