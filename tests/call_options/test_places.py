"""Every place where an option may be given, and every wire it may go out by, takes it, or refuses or ignores it by its name."""

from __future__ import annotations

from typing import Any

import click
import pytest

from parlant_local.backends.ollama import OllamaBackend
from parlant_local.backends.openai import OpenAIBackend
from parlant_local.call_options import OPTIONS, SAMPLING, Built, Option, Refused, Sent, Unsent
from parlant_local.cli.generate import generate
from parlant_local.cli.options import sampling_values
from parlant_local.engine.checking import check
from parlant_local.engine.requests import GenerationRequest
from parlant_local.engine.sampling import Sampling
from parlant_local.errors import BadRequestError
from parlant_local.messages import Message
from parlant_local.nlp.calls import Core
from parlant_local.nlp.host import Host
from parlant_local.server.ignored import ignored_in
from parlant_local.server.options import chat_options
from parlant_local.server.shapes.chat import ChatRequest
from parlant_local.settings import GenerationSettings, LimitSettings, Settings
from tests.fakes.http import FaultServer
from tests.fakes.ollama import FakeOllama
from tests.fakes.openai import FakeOpenAI
from tests.fakes.scripted import ScriptedBackend

from .samples import TOOL, options_for, sample

every_option = pytest.mark.parametrize("option", OPTIONS.values(), ids=lambda option: option.name)


async def _sent(backend: Any, server: Any, path: str, options: dict[str, Any]) -> dict[str, Any]:
    await backend.chat("hello", **options)
    body: dict[str, Any] = next(item.body for item in reversed(server.requests) if item.path.endswith(path))
    return body


def _flat(body: dict[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = body.get("options", {})
    return body | options


@every_option
@pytest.mark.parametrize("wire", ["openai", "ollama"])
async def test_a_wire_sends_refuses_or_omits_an_option(option: Option, wire: str) -> None:
    async with FakeOpenAI() as openai_fake, FakeOllama(capabilities=("completion", "tools", "thinking")) as ollama_fake:
        if wire == "openai":
            backend: Any = OpenAIBackend("m", base_url=f"{openai_fake.url}/v1", name="fake")
            server: FaultServer = openai_fake
            path = "/chat/completions"
        else:
            backend = OllamaBackend("m", host=ollama_fake.url)
            server, path = ollama_fake, "/api/chat"
        way, given = getattr(option, wire), options_for(option)
        async with backend:
            if isinstance(way, Refused):
                with pytest.raises(BadRequestError, match=f"takes no {option.name}"):
                    await backend.chat("hello", **given)
                assert not server.calls(path)
                return
            without = {"tools": [TOOL]} if "tools" in given and option.name != "tools" else {}
            plain = _flat(await _sent(backend, server, path, without))
            asked = _flat(await _sent(backend, server, path, given))
            changed = {name for name in plain.keys() | asked.keys() if plain.get(name) != asked.get(name)} - {"options"}
            if isinstance(way, Unsent):
                assert way.why
                assert not changed
            else:
                assert isinstance(way, Sent | Built)
                fields = set(option.fields(wire))  # type: ignore[arg-type]  # a parameter of the test
                assert changed <= fields | {"messages"}  # an object that is asked for is described, too
                assert fields <= asked.keys() or option.name == "tool_choice"
            if isinstance(way, Sent):
                assert [asked[name] for name in fields] == [sample(option)]


# What says the same over HTTP, where that is not the option's own name.
_OVER_HTTP: dict[str, dict[str, Any]] = {
    "logit_bias": {"logit_bias": {"5": 2.5}},
    "logprobs": {"logprobs": True, "top_logprobs": 1},
    "reasoning": {"reasoning": {"enabled": True}},
    "reasoning_tokens": {"thinking": {"type": "enabled", "budget_tokens": 1}},
    "continue_final": {"continue_final_message": True},
    "session": {"user": "somebody"},
}


@every_option
def test_http_accepts_an_option_or_reports_it_as_ignored(option: Option) -> None:
    chat: dict[str, Any] = {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}
    given = _OVER_HTTP.get(option.name) or options_for(option)
    request = ChatRequest.model_validate(chat | given)
    last = Message.assistant("y")
    taken: Any = chat_options(request, LimitSettings(), last)
    if option.http is None:
        assert ignored_in(request) == [option.name]
        assert option.name not in taken
        return
    assert ignored_in(request) == []
    assert option.name in taken
    if option.name != "session":  # a digest of it
        assert taken[option.name] == (sample(option) if option.name != "reasoning" else "on")
    for alias in option.aliases:
        aliased = ChatRequest.model_validate(chat | {alias: sample(option)})
        assert chat_options(aliased, LimitSettings(), last) == taken


@every_option
def test_http_describes_what_it_derives_with_its_range(option: Option) -> None:
    described = ChatRequest.model_json_schema()["properties"]
    if option.http != "derived":
        return
    for name in (option.name, *option.aliases):
        (kind,) = (kind for kind in described[name]["anyOf"] if kind.get("type") != "null")
        assert described[name]["description"]
        if option.bounded:
            assert (kind["minimum"], kind["maximum"]) == (option.lowest, option.high)
        else:
            assert tuple(kind["enum"]) == option.choices


# How `generate` has it, where that is not the option's own name.
_ON_THE_COMMAND_LINE = {"response_format": "schema"}


@every_option
def test_the_command_line_takes_an_option_or_refuses_it(option: Option) -> None:
    name = _ON_THE_COMMAND_LINE.get(option.name, option.name)
    value = sample(option)[0] if option.several else sample(option)
    words = ["some/model", "a prompt", f"--{name.replace('_', '-')}", str(value)]
    if option.cli is None:
        with pytest.raises(click.NoSuchOption):
            generate.make_context("generate", words)
        return
    arguments = generate.make_context("generate", words).params
    assert arguments[name] is not None
    if option.cli == "derived":
        assert sampling_values(arguments) == {name: sample(option)}


@every_option
def test_a_hint_is_taken_or_does_no_harm(option: Option) -> None:
    core = Core(ScriptedBackend(), Host(), Settings())
    options: Any = core.options("purpose", "prompt", {option.name: sample(option)})
    if option.hint:
        assert options[option.name] == sample(option)
    else:
        assert options == core.options("purpose", "prompt", {})


def test_the_engine_has_every_sampler_and_checks_its_range() -> None:
    assert set(Sampling.__dataclass_fields__) == set(SAMPLING) | {"penalty_window"}
    for name, option in SAMPLING.items():
        if option.bounded:
            low = (option.engine or (option.low, option.high))[0]
            for wrong in (low - 1, float("nan")):
                sampling = Sampling(**{name: wrong})  # type: ignore[arg-type]  # wrong on purpose
                with pytest.raises(BadRequestError, match=name):
                    check(GenerationRequest("x", 1, sampling=sampling))


def test_settings_have_the_ranges_of_calls() -> None:
    described = GenerationSettings.model_json_schema()["properties"]
    for name in OPTIONS.keys() & described.keys():
        option = OPTIONS[name]
        for kind in described[name].get("anyOf", [described[name]]):
            if "minimum" in kind:
                assert kind["minimum"] == option.low
            if "enum" in kind:
                assert tuple(kind["enum"]) == option.choices
