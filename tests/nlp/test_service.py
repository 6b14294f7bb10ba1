"""The service as the host uses it: generators, streams, hints, retries, failures, life."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import parlant.sdk as p
import pytest
from parlant.core.engines.alpha.prompt_builder import PromptBuilder
from parlant.core.tracer import LocalTracer
from pydantic import BaseModel

from parlant_local.errors import (
    BadRequestError,
    ContextOverflowError,
    InvalidOutputError,
    ModelLoadError,
    TruncatedOutputError,
)
from parlant_local.messages import ChatReply, Usage
from parlant_local.nlp import LocalNLPService
from parlant_local.nlp.host import Host
from parlant_local.observability import NullLogger
from parlant_local.settings import Settings
from tests.fakes.scripted import SCRIPTED, ScriptedBackend
from tests.support.eventually import eventually


class Capital(BaseModel):
    capital: str


class AgentIntentionProposerSchema(BaseModel):
    """The host's schema of this name, for prompts made here."""

    condition: str
    is_agent_intention: bool


class KeptLogger:
    def __init__(self) -> None:
        self.lines: dict[str, list[str]] = {"debug": [], "info": [], "warning": [], "error": []}

    def debug(self, message: str) -> None:
        self.lines["debug"].append(message)

    def info(self, message: str) -> None:
        self.lines["info"].append(message)

    def warning(self, message: str) -> None:
        self.lines["warning"].append(message)

    def error(self, message: str) -> None:
        self.lines["error"].append(message)


def service(backend: ScriptedBackend, **settings: Any) -> LocalNLPService:
    return LocalNLPService(backend, settings=Settings.load(None, **settings), logger=NullLogger())


def intention_prompt() -> PromptBuilder:
    return PromptBuilder().add_section(
        "guideline-action-proposer-output-format", "{condition}", {"condition": "they greet you"}
    )


def script(*steps: Any) -> Callable[[Any], Any]:
    """Answers one after the other; the last one stays."""
    left = list(steps)
    return lambda _call: left.pop(0) if len(left) > 1 else left[0]


async def test_an_answer_comes_as_its_type_with_what_it_cost() -> None:
    backend = ScriptedBackend(
        answers={"Capital": lambda _: ChatReply('{"capital":"Paris"}', usage=Usage(100, 7, 60), model="local/x/y")}
    )
    generator = await service(backend).get_schematic_generator(Capital)
    result = await generator.generate("What is the capital of France?")
    assert result.content == Capital(capital="Paris")
    assert (result.info.usage.input_tokens, result.info.usage.output_tokens) == (100, 7)
    assert result.info.usage.extra is not None
    assert result.info.usage.extra["cached_input_tokens"] == 60
    assert (result.info.schema_name, result.info.model) == ("Capital", "local/x/y")
    assert generator.schema is Capital
    assert (generator.id, generator.max_tokens) == ("local/test/scripted", 32768)


async def test_hints_that_mean_something_here_reach_the_model_and_others_do_no_harm() -> None:
    backend = ScriptedBackend()
    generator = await service(backend).get_schematic_generator(Capital)
    await generator.generate("?", {"temperature": 0.15, "max_tokens": 99, "seed": 3, "tag": "x", "strict": True})
    params = backend.calls[0].params
    assert (params.sampling, params.max_tokens) == ({"temperature": 0.15, "seed": 3}, 99)


async def test_a_hint_out_of_range_is_an_error_that_names_it() -> None:
    generator = await service(ScriptedBackend()).get_schematic_generator(Capital)
    with pytest.raises(BadRequestError, match="temperature"):
        await generator.generate("?", {"temperature": -1})


async def test_calls_say_which_prefix_they_share_and_which_conversation_they_belong_to() -> None:
    backend, tracer = ScriptedBackend(), LocalTracer()
    local = LocalNLPService(backend, tracer=tracer, logger=NullLogger())
    generator = await local.get_schematic_generator(Capital)
    with tracer.span("process", {"session_id": "session-1"}):
        await generator.generate("?")
    await generator.generate(PromptBuilder().add_section("customer", "hi", {"session_id": "session-2"}))
    await generator.generate("?")
    assert [call.params.session for call in backend.calls] == ["session-1", "session-2", None]
    assert {call.params.prefix_group for call in backend.calls} == {"Capital"}


async def test_an_answer_cut_by_the_token_limit_is_asked_for_again_with_room() -> None:
    cut = ChatReply('{"capital":"Par', finish_reason="length", usage=Usage(10, 32))
    backend = ScriptedBackend(answers={"Capital": script(cut, '{"capital":"Paris"}')})
    local = service(backend, **{"generation.max_tokens": 32})
    result = await (await local.get_schematic_generator(Capital)).generate("?")
    assert result.content.capital == "Paris"
    assert [call.params.max_tokens for call in backend.calls] == [32, 64]
    assert result.info.usage.output_tokens >= 32
    assert local.stats()["Capital"]["retried"] == 1


async def test_an_answer_that_never_fits_names_schema_model_tokens_and_limit() -> None:
    backend = ScriptedBackend(answers={"Capital": lambda _: TruncatedOutputError("cut", used=128, limit=128)})
    generator = await service(backend, **{"generation.max_tokens": 32}).get_schematic_generator(Capital)
    with pytest.raises(TruncatedOutputError, match=r"local/test/scripted .*128.*Capital") as caught:
        await generator.generate("?")
    assert (caught.value.used, caught.value.limit) == (128, 128)
    assert len(backend.calls) == 3


async def test_a_limit_that_the_caller_set_is_not_raised() -> None:
    backend = ScriptedBackend(answers={"Capital": lambda _: TruncatedOutputError("cut", used=8, limit=8)})
    generator = await service(backend).get_schematic_generator(Capital)
    with pytest.raises(TruncatedOutputError):
        await generator.generate("?", {"max_tokens": 8})
    assert len(backend.calls) == 1


async def test_a_long_prompt_gets_the_room_that_is_left() -> None:
    def answer(call: Any) -> Any:
        if call.params.max_tokens > 500:
            return ContextOverflowError("full", needed=7692 + call.params.max_tokens, available=8192)
        return '{"capital":"Paris"}'

    backend = ScriptedBackend(answers={"Capital": answer})
    generator = await service(backend).get_schematic_generator(Capital)
    assert (await generator.generate("?")).content.capital == "Paris"
    assert backend.calls[-1].params.max_tokens == 500


async def test_a_prompt_that_can_never_fit_is_refused_with_figures() -> None:
    backend = ScriptedBackend(
        answers={"Capital": lambda _: ContextOverflowError("The prompt has 9000 tokens.", needed=11048, available=8192)}
    )
    generator = await service(backend).get_schematic_generator(Capital)
    with pytest.raises(ContextOverflowError) as caught:
        await generator.generate("?")
    assert (caught.value.needed, caught.value.available) == (11048, 8192)
    assert len(backend.calls) == 1


async def test_an_answer_that_does_not_validate_is_asked_for_again_with_the_reason() -> None:
    backend = ScriptedBackend(answers={"Capital": script('{"capital":7}', '{"capital":"Paris"}')})
    generator = await service(backend).get_schematic_generator(Capital)
    assert (await generator.generate("Which?")).content.capital == "Paris"
    assert backend.calls[1].prompt.startswith("Which?")
    assert "capital" in backend.calls[1].prompt


async def test_answers_that_never_validate_are_an_error_not_a_guess() -> None:
    backend = ScriptedBackend(answers={"Capital": lambda _: '{"town":"Paris"}'})
    local = service(backend)
    with pytest.raises(InvalidOutputError, match="Capital"):
        await (await local.get_schematic_generator(Capital)).generate("?")
    assert local.stats()["Capital"]["failed"] == 1


async def test_what_the_prompt_says_is_bound_into_the_schema() -> None:
    backend = ScriptedBackend()
    local = service(backend)
    generator = await local.get_schematic_generator(AgentIntentionProposerSchema)
    result = await generator.generate(intention_prompt())
    assert result.content.condition == "they greet you"
    assert local.stats()["AgentIntentionProposerSchema"]["tightened"] == 1


async def test_a_brace_in_a_condition_does_not_end_the_turn() -> None:
    """The host's own build() fails on it."""
    prompt = intention_prompt().add_section("steps", "Condition (1): the plan is {gold} or }", {})
    with pytest.raises(ValueError, match="formatting"):
        prompt.build()
    backend = ScriptedBackend()
    generator = await service(backend).get_schematic_generator(AgentIntentionProposerSchema)
    await generator.generate(prompt)
    assert backend.calls[0].prompt == "they greet you\n\nCondition (1): the plan is {gold} or }"


async def test_a_setting_turns_that_off() -> None:
    backend = ScriptedBackend()
    local = service(backend, **{"generation.tighten": False})
    await (await local.get_schematic_generator(AgentIntentionProposerSchema)).generate(intention_prompt())
    schema = backend.calls[0].params.response_format.schema
    assert schema is not None
    assert schema["properties"]["condition"]["type"] == "string"
    assert local.stats()["AgentIntentionProposerSchema"]["plain"] == 1


async def test_a_prompt_of_another_shape_gets_the_plain_schema() -> None:
    backend = ScriptedBackend()
    local = service(backend)
    generator = await local.get_schematic_generator(AgentIntentionProposerSchema)
    await generator.generate(PromptBuilder().add_section("custom", "my own prompt"))
    await generator.generate("a string")
    assert local.stats()["AgentIntentionProposerSchema"]["plain"] == 2


async def test_a_backend_that_knows_fewer_keywords_gets_the_plain_schema_from_then_on() -> None:
    def answer(call: Any) -> Any:
        schema = call.params.response_format.schema
        if "const" in schema["properties"]["condition"]:
            return BadRequestError("const is not supported")
        return {"condition": "c", "is_agent_intention": True}

    backend = ScriptedBackend(answers={"AgentIntentionProposerSchema": answer})
    local = service(backend)
    generator = await local.get_schematic_generator(AgentIntentionProposerSchema)
    await generator.generate(intention_prompt())
    await generator.generate(intention_prompt())
    assert len(backend.calls) == 3
    assert local.stats()["AgentIntentionProposerSchema"]["refused"] == 1


async def test_the_same_prompt_again_counts_as_the_hosts_rejection() -> None:
    local = service(ScriptedBackend())
    generator = await local.get_schematic_generator(Capital)
    for _ in range(3):
        await generator.generate("?")
    await generator.generate("another")
    assert local.stats()["Capital"]["rejected"] == 2


async def test_a_call_that_brought_no_answer_may_be_made_again_without_counting_as_rejected() -> None:
    backend = ScriptedBackend(answers={"Capital": script(BadRequestError("no"), '{"capital":"Paris"}')})
    local = service(backend)
    generator = await local.get_schematic_generator(Capital)
    with pytest.raises(BadRequestError):
        await generator.generate("?")
    await generator.generate("?")
    assert local.stats()["Capital"]["rejected"] == 0


async def test_statistics_and_log_tell_what_tightening_did_per_schema() -> None:
    logger = KeptLogger()
    local = LocalNLPService(ScriptedBackend(), settings=Settings(), logger=logger)
    generator = await local.get_schematic_generator(AgentIntentionProposerSchema)
    await generator.generate(intention_prompt())
    await generator.generate(intention_prompt())
    counted = local.stats()["AgentIntentionProposerSchema"]
    words = len("they greet you".split())  # what the scripted backend calls tokens
    assert (counted["tightened"], counted["fixed_tokens"], counted["rejected"]) == (2, 2 * words, 1)
    assert sum("was tightened: 3 of its" in line for line in logger.lines["debug"]) == 2
    assert [line for line in logger.lines["warning"] if "Parlant rejected the last" in line]
    await local.close()
    assert logger.lines["info"][-1] == (
        "AgentIntentionProposerSchema: 2 of 2 calls tightened, 6 tokens fixed by that, 1 answers rejected by Parlant."
    )


async def test_cancelling_a_call_cancels_the_work() -> None:
    backend = ScriptedBackend(delay=30)
    local = service(backend)
    generator = await local.get_schematic_generator(Capital)
    task = asyncio.create_task(generator.generate("?"))
    await eventually(lambda: backend.active)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert backend.calls[0].cancelled
    assert backend.active == 0
    assert local.stats()["Capital"]["cancelled"] == 1


async def test_a_dozen_calls_at_once_all_reach_the_backend_together() -> None:
    backend = ScriptedBackend(delay=0.05)
    generator = await service(backend).get_schematic_generator(Capital)
    await asyncio.gather(*(generator.generate(str(i)) for i in range(12)))
    assert backend.most_active == 12


@pytest.mark.parametrize(
    ("n_ctx", "words"),
    [
        (2048, ["too small for agents", "2,048", "3,200", "7,800"]),
        (8192, ["8,192", "7,800", "examples are left out"]),
        (16384, []),
        (None, []),
    ],
)
async def test_a_context_too_small_for_agents_is_told_at_start(n_ctx: int | None, words: list[str]) -> None:
    logger = KeptLogger()
    backend = ScriptedBackend(info=replace(SCRIPTED, n_ctx=n_ctx))
    await LocalNLPService(backend, settings=Settings(), logger=logger).get_schematic_generator(Capital)
    told = [line for line in logger.lines["warning"] if "prompts take about" in line]
    assert len(told) == bool(words)
    assert all(word in told[0] for word in words)


async def test_what_a_customer_wrote_is_text_whatever_it_holds() -> None:
    """An unpaired surrogate in a condition or a message would end every call to an endpoint."""
    bad = "order \ud83d now"
    backend = ScriptedBackend()
    local = service(backend)
    generator = await local.get_schematic_generator(AgentIntentionProposerSchema)
    prompt = PromptBuilder().add_section("guideline-action-proposer-output-format", "{condition}", {"condition": bad})
    assert (await generator.generate(prompt)).content.condition == "order \ufffd now"
    await generator.generate(bad)
    stream = (await local.get_streaming_text_generator()).generate(bad).stream
    _ = [chunk async for chunk in stream]
    assert [call.prompt for call in backend.calls] == ["order \ufffd now"] * 3


# -- streams ----------------------------------------------------------------------------------------------------------


async def test_a_stream_is_words_and_then_none() -> None:
    backend = ScriptedBackend(answers={"streaming": lambda _: "one two three four five six seven"})
    local = service(backend)
    result = (await local.get_streaming_text_generator()).generate("hi")
    with pytest.raises(RuntimeError):
        _ = result.info
    chunks = [chunk async for chunk in result.stream]
    assert chunks[-1] is None
    texts = [chunk for chunk in chunks if chunk]
    assert "".join(texts).strip() == "one two three four five six seven"
    assert len(texts) > 1
    assert result.info.usage.output_tokens > 0
    assert local.supports_streaming


async def test_an_empty_stream_is_tried_again_and_then_an_error() -> None:
    backend = ScriptedBackend(answers={"streaming": script("", "hello there")})
    stream = (await service(backend).get_streaming_text_generator()).generate("hi").stream
    assert "".join([chunk async for chunk in stream if chunk]).strip() == "hello there"
    backend = ScriptedBackend(answers={"streaming": lambda _: ""})
    with pytest.raises(InvalidOutputError, match="empty"):
        _ = [chunk async for chunk in (await service(backend).get_streaming_text_generator()).generate("hi").stream]


async def test_closing_a_stream_cancels_the_work() -> None:
    backend = ScriptedBackend(delay=1, answers={"streaming": lambda _: "one two three four five six seven eight"})
    stream = (await service(backend).get_streaming_text_generator()).generate("hi").stream
    assert await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]  # the host's streams are async generators
    del stream  # the host's wrapper leaves its inner stream to the loop
    await eventually(lambda: backend.calls[0].cancelled)


# -- life -------------------------------------------------------------------------------------------------------------


async def test_nothing_is_loaded_by_the_constructor_and_once_by_all_getters_together() -> None:
    backend = ScriptedBackend()
    local = service(backend)
    assert backend.loads == 0
    await asyncio.gather(*(local.get_schematic_generator(Capital) for _ in range(27)))
    await local.get_streaming_text_generator()
    assert backend.loads == 1


async def test_a_model_that_cannot_be_loaded_is_told_as_the_host_shows_it_best() -> None:
    backend = ScriptedBackend(load_error=ModelLoadError("model.gguf is truncated.", hint="Download it again."))
    local = service(backend)
    for _ in range(2):
        with pytest.raises(p.NLPServiceConfigurationError, match=r"truncated\. Download it again\."):
            await local.get_schematic_generator(Capital)
    backend.load_error = None
    await local.get_schematic_generator(Capital)


async def test_a_getter_that_is_cancelled_does_not_stop_the_load_for_the_others() -> None:
    backend = ScriptedBackend()
    loading = asyncio.Event()

    async def load() -> None:
        loading.set()
        await asyncio.sleep(0.1)
        backend.loads += 1

    backend.load = load  # type: ignore[method-assign]  # a slow one
    local = service(backend)
    first = asyncio.create_task(local.get_schematic_generator(Capital))
    await loading.wait()
    second = asyncio.create_task(local.get_schematic_generator(Capital))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert backend.loads == 1


async def test_a_collected_service_closes_its_backend() -> None:
    backend = ScriptedBackend()
    local = service(backend)
    await local.get_schematic_generator(Capital)
    del local
    gc.collect()
    await eventually(lambda: backend.closes)
    assert backend.closes == 1


@pytest.mark.parametrize("ending", ["", "sys.exit(3)", "raise RuntimeError('boom')"])
def test_a_process_ends_without_a_crash_whatever_is_still_loaded(ending: str) -> None:
    """The host never closes an NLP service; native memory is given back at exit, whichever way that comes."""
    code = f"""
        import asyncio, sys
        from pydantic import BaseModel
        from parlant_local.nlp import LlamaService
        class Capital(BaseModel):
            capital: str
        service = LlamaService(model_id="local/llama/parlant-local-tiny")
        async def main():
            generator = await service.get_schematic_generator(Capital)
            print((await generator.generate("What is the capital of France?")).content.capital)
        asyncio.run(main())
        {ending}
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120)
    expected = {"": 0, "sys.exit(3)": 3}.get(ending, 1)
    assert done.returncode == expected, done.stderr
    assert done.stdout.strip()
    assert "Fatal" not in done.stderr


class LaterBase:
    """A base class as on the host's development branch: one collaborator more."""

    def __init__(self, logger: object, tracer: object, meter: object, health_reporter: object, model_name: str) -> None:
        self.health_reporter = health_reporter
        self.model_name = model_name


class EarlierBase:
    def __init__(self, logger: object, model_name: str) -> None:
        self.model_name = model_name


def test_constructor_arguments_follow_what_the_release_takes() -> None:
    host = Host(logger=NullLogger())
    later = LaterBase(**host.arguments_for(LaterBase, model_name="m"))
    later.health_reporter.report("anything", success=True)  # type: ignore[attr-defined]  # nobody listens
    assert set(host.arguments_for(EarlierBase, model_name="m")) == {"logger", "model_name"}
