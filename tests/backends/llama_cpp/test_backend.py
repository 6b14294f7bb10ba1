"""The backend over the real engine and the shipped model: whatever it says, it says it right."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel

from parlant_local import LlamaCppBackend, Message, ResponseFormat, create_backend
from parlant_local.backends.base import Backend
from parlant_local.engine.parsing import collect
from parlant_local.errors import (
    BadRequestError,
    ConfigurationError,
    ContextOverflowError,
    EngineClosedError,
    InvalidModelError,
    ModelNotFoundError,
    SchemaError,
    TextTooLongError,
    TruncatedOutputError,
)
from parlant_local.messages import ChatChunk
from parlant_local.settings import Settings
from tests.support.eventually import eventually
from tests.support.places import TINY

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}, "unit": {"enum": ["celsius", "fahrenheit"]}},
            "required": ["city", "unit"],
        },
    },
}


class City(BaseModel):
    name: str
    inhabitants: int


async def chunks_of(backend: LlamaCppBackend, prompt: Any, **options: Any) -> list[ChatChunk]:
    return [chunk async for chunk in backend.chat_stream(prompt, **options)]


async def test_it_is_a_backend_and_answers(tiny: LlamaCppBackend) -> None:
    assert isinstance(tiny, Backend)
    reply = await tiny.chat("What is the capital of France?", temperature=0)
    assert reply.content
    assert reply.finish_reason == "stop"
    assert reply.usage.prompt_tokens > 5
    assert reply.usage.completion_tokens > 1
    assert "<|im_end|>" not in reply.content
    await tiny.engine.check_integrity()


async def test_streamed_and_whole_answers_are_the_same(tiny: LlamaCppBackend) -> None:
    for options in (
        {},
        {"tools": [WEATHER]},
        {"tools": [WEATHER], "tool_choice": "required"},
        {"response_format": City},
    ):
        whole = await tiny.chat("Weather in Paris?", temperature=0, max_tokens=60, **options)
        chunks = await chunks_of(tiny, "Weather in Paris?", temperature=0, max_tokens=60, **options)
        found = collect(chunk.delta for chunk in chunks)
        assert found.content == whole.content
        assert [(c.name, c.arguments) for c in found.tool_calls] == [(c.name, c.arguments) for c in whole.tool_calls]
        assert chunks[-1].finish_reason == whole.finish_reason
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


@pytest.mark.parametrize(
    "choice", ["required", "get_weather", {"type": "function", "function": {"name": "get_weather"}}]
)
async def test_a_required_call_always_follows_the_tools_schema(tiny: LlamaCppBackend, choice: Any) -> None:
    """With any sampling, and whatever was asked."""
    for seed in range(5):
        reply = await tiny.chat("Tell me a story.", tools=[WEATHER], tool_choice=choice, temperature=2.0, seed=seed)
        assert reply.finish_reason == "tool_calls"
        (call,) = reply.tool_calls
        assert call.name == "get_weather"
        jsonschema.validate(call.parsed(), WEATHER["function"]["parameters"])  # type: ignore[index]
        assert reply.content == ""


async def test_required_arguments_stream_in_pieces(tiny: LlamaCppBackend) -> None:
    chunks = await chunks_of(tiny, "Weather?", tools=[WEATHER], tool_choice="required", temperature=1.5, seed=3)
    deltas = [call for chunk in chunks for call in chunk.delta.tool_calls]
    assert deltas[0].id
    assert deltas[0].name == "get_weather"
    assert len(deltas) > 2
    jsonschema.validate(json.loads("".join(delta.arguments for delta in deltas)), WEATHER["function"]["parameters"])  # type: ignore[index]


async def test_a_schema_is_followed(tiny: LlamaCppBackend) -> None:
    for seed in range(5):
        reply = await tiny.chat("Name a city.", response_format=City, temperature=2.0, seed=seed)
        City.model_validate_json(reply.content)
        assert list(json.loads(reply.content)) == ["name", "inhabitants"]
    wire = {
        "type": "json_schema",
        "json_schema": {
            "name": "n",
            "schema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
        },
    }
    assert isinstance(json.loads((await tiny.chat("A number.", response_format=wire, temperature=1)).content)["n"], int)
    assert isinstance(
        json.loads((await tiny.chat("x", response_format={"type": "json_object"}, temperature=1)).content), dict
    )
    assert isinstance(
        json.loads((await tiny.chat("x", response_format=ResponseFormat.json_object(), temperature=1)).content), dict
    )


async def test_a_grammar_is_followed_in_either_notation(tiny: LlamaCppBackend) -> None:
    assert (await tiny.chat("Yes or no?", grammar='start: "yes" | "no"', temperature=1)).content in ("yes", "no")
    assert (await tiny.chat("Yes or no?", grammar='root ::= "yes" | "no"', temperature=1)).content in ("yes", "no")


async def test_a_schema_or_a_call_where_both_are_allowed(tiny: LlamaCppBackend) -> None:
    seen = set()
    for seed in range(12):
        reply = await tiny.chat(
            "x", tools=[WEATHER], response_format=City, temperature=3.0, top_k=0, top_p=1.0, seed=seed
        )
        seen.add(reply.has_tool_calls)
        if reply.has_tool_calls:
            jsonschema.validate(reply.tool_calls[0].parsed(), WEATHER["function"]["parameters"])  # type: ignore[index]
        else:
            City.model_validate_json(reply.content)
    assert seen


async def test_the_same_seed_gives_the_same_answer_and_another_another(tiny: LlamaCppBackend) -> None:
    hot = {"temperature": 1.5, "max_tokens": 24, "top_p": 1.0, "top_k": 0}
    first = await tiny.chat("Tell me something.", seed=1, **hot)
    assert (await tiny.chat("Tell me something.", seed=1, **hot)).content == first.content
    assert len({(await tiny.chat("Tell me something.", seed=seed, **hot)).content for seed in range(4)}) > 1


async def test_several_answers_at_once(tiny: LlamaCppBackend) -> None:
    hot = {"temperature": 1.5, "max_tokens": 16, "top_p": 1.0, "top_k": 0}
    reply = await tiny.chat("Tell me something.", n=3, seed=1, **hot)
    assert len(reply.choices) == 3
    assert reply.choices[0].content == (await tiny.chat("Tell me something.", seed=1, **hot)).content
    chunks = await chunks_of(tiny, "Tell me something.", n=3, seed=1, **hot)
    for index, choice in enumerate(reply.choices):
        own = [chunk for chunk in chunks if chunk.index == index]
        assert collect(chunk.delta for chunk in own).content == choice.content
        assert own[-1].finish_reason is not None


async def test_stop_and_max_tokens_end_an_answer(tiny: LlamaCppBackend) -> None:
    whole = (await tiny.chat("What is the capital of France?", temperature=0)).content
    word = whole.split()[2]
    stopped = await tiny.chat("What is the capital of France?", temperature=0, stop=word)
    assert stopped.content == whole.partition(word)[0]
    assert stopped.finish_reason == "stop"
    cut = await tiny.chat("What is the capital of France?", temperature=0, max_tokens=2)
    assert cut.finish_reason == "length"
    assert cut.usage.completion_tokens == 2


async def test_logprobs_are_reported_for_each_token(tiny: LlamaCppBackend) -> None:
    reply = await tiny.chat("What is the capital of France?", temperature=0, logprobs=2, max_tokens=4)
    assert reply.logprobs is not None
    assert len(reply.logprobs) >= 4
    assert all(item.logprob <= 0 and len(item.top) == 2 for item in reply.logprobs)
    chunks = await chunks_of(tiny, "What is the capital of France?", temperature=0, logprobs=2, max_tokens=4)
    streamed = [item for chunk in chunks for item in chunk.logprobs or ()]
    assert [item.token for item in streamed] == [item.token for item in reply.logprobs]


async def test_complete_continues_a_text_without_a_template(tiny: LlamaCppBackend) -> None:
    reply = await tiny.complete("The capital of", temperature=0, max_tokens=5)
    assert reply.usage.prompt_tokens == await tiny.count_tokens("The capital of")
    pieces = [
        chunk.delta.content async for chunk in tiny.complete_stream("The capital of", temperature=0, max_tokens=5)
    ]
    assert "".join(pieces) == reply.content
    with pytest.raises(BadRequestError, match="does not support tools"):
        await tiny.complete("x", tools=[WEATHER])


async def test_closing_a_stream_cancels_the_work(tiny: LlamaCppBackend) -> None:
    stream = tiny.chat_stream("Tell me a long story.", temperature=5, top_k=0, top_p=1, max_tokens=900)
    async for _ in stream:
        break
    await stream.aclose()
    await eventually(lambda: tiny.engine.stats().running == 0)
    await tiny.engine.check_integrity()


async def test_cancelling_a_chat_of_several_answers_cancels_all(tiny: LlamaCppBackend) -> None:
    await tiny.load()
    task = asyncio.ensure_future(
        tiny.chat("Tell me a long story.", n=4, temperature=5, top_k=0, top_p=1, max_tokens=900)
    )
    await eventually(lambda: tiny.engine.stats().running > 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: tiny.engine.stats().running == 0)
    await tiny.engine.check_integrity()


async def test_a_prompt_that_never_fits_is_refused_before_any_work(tiny: LlamaCppBackend) -> None:
    await tiny.load()
    with pytest.raises(ContextOverflowError) as caught:
        await tiny.chat("word " * 3000)
    assert caught.value.needed > caught.value.available == 1024
    assert tiny.engine.stats().prompt_tokens == 0
    with pytest.raises(ContextOverflowError):
        await tiny.chat("Hello", max_tokens=5000)


async def test_embeddings_have_length_one_and_say_what_was_cut(tiny: LlamaCppBackend) -> None:
    reply = await tiny.embed(["Hello", "Goodbye", "Hello"])
    assert reply.dimensions == len(reply.vectors[0]) == tiny.model_info().embedding_length
    assert sum(value * value for value in reply.vectors[0]) == pytest.approx(1, abs=1e-4)
    assert reply.vectors[0] == pytest.approx(reply.vectors[2], abs=1e-3)
    assert reply.usage.prompt_tokens >= 3
    with pytest.raises(TextTooLongError):
        await tiny.embed(["word " * 3000])
    assert (await tiny.embed(["word " * 3000, "short"], truncate=True)).truncated == (0,)


async def test_ranking_puts_the_same_text_first(tiny: LlamaCppBackend) -> None:
    reply = await tiny.rerank("the weather", ["pottery", "the weather"])
    assert reply.scores[1] > reply.scores[0]


async def test_tokens_of_a_text_as_typed(tiny: LlamaCppBackend) -> None:
    tokens = await tiny.tokenize("<|im_end|>")
    assert len(tokens) > 1
    assert await tiny.count_tokens("<|im_end|>") == len(tokens)


async def test_render_shows_what_chat_sends(tiny: LlamaCppBackend) -> None:
    rendered = await tiny.render([Message.system("Be terse."), Message.user("Hi")], [WEATHER])
    assert rendered.prompt.startswith("<|im_start|>system\nBe terse.")
    reply = await tiny.chat([Message.system("Be terse."), Message.user("Hi")], tools=[WEATHER], max_tokens=1)
    assert reply.usage.prompt_tokens == len(rendered.tokens)


async def test_model_info_before_and_after_loading(settings: Settings) -> None:
    async with LlamaCppBackend(TINY, settings=settings) as backend:
        assert backend.model_info().loaded is False
        await backend.load()
        info = backend.model_info()
    assert info.loaded
    assert info.architecture == "llama"
    assert info.parameters
    assert 1_000_000 < info.parameters < 8_000_000
    assert info.quantization == "Q8_0"
    assert (info.n_ctx, info.n_ctx_train) == (1024, 32768)
    assert info.chat_template
    assert info.memory_bytes
    assert info.n_gpu_layers is not None
    assert {"chat", "tools", "schema", "embed"} <= info.capabilities


async def test_the_model_may_be_named_by_id_and_arguments_win_over_settings(settings: Settings) -> None:
    async with LlamaCppBackend(
        model="local/llama/parlant-local-tiny", n_ctx=512, n_threads=1, settings=settings
    ) as backend:
        await backend.load()
        assert backend.model_info().id == "local/llama/parlant-local-tiny"
        assert backend.model_info().n_ctx == 512
        assert backend.engine.settings.n_threads == 1


async def test_with_no_model_named_the_best_one_here_is_taken(settings: Settings) -> None:
    async with LlamaCppBackend(settings=settings) as backend:
        await backend.load()
        assert backend.model_info().id == "local/llama/parlant-local-tiny"


async def test_chat_format_overrides_the_models_own_template(settings: Settings) -> None:
    async with LlamaCppBackend(TINY, chat_format="vicuna", settings=settings) as backend:
        assert (await backend.render("Hello")).prompt == "USER: Hello\nASSISTANT:"


async def test_after_close_calls_say_so_and_close_may_come_twice(settings: Settings) -> None:
    backend = LlamaCppBackend(TINY, settings=settings)
    await backend.load()
    await backend.close()
    await backend.close()
    with pytest.raises(EngineClosedError):
        await backend.chat("Hello")
    assert backend.model_info().loaded is False


async def test_an_engine_that_was_passed_in_stays_open(settings: Settings) -> None:
    from parlant_local.engine import LlamaEngine

    engine = LlamaEngine(TINY, settings=settings.engine)
    async with LlamaCppBackend(engine=engine, settings=settings) as backend:
        assert (await backend.chat("Hello", max_tokens=2)).usage.completion_tokens == 2
    assert engine.loaded
    await engine.close()


async def test_many_first_calls_load_the_model_once(tiny: LlamaCppBackend) -> None:
    replies = await asyncio.gather(*(tiny.chat("Hello", temperature=0, max_tokens=5) for _ in range(8)))
    assert len({reply.content for reply in replies}) == 1
    assert tiny.engine.stats().finished == 8


async def test_invalid_input_is_reported_in_one_sentence(
    tiny: LlamaCppBackend, tmp_path: Path, settings: Settings
) -> None:
    with pytest.raises(BadRequestError, match="temperature"):
        await tiny.chat("x", temperature=9)
    with pytest.raises(BadRequestError, match="Unknown option"):
        await tiny.chat("x", heat=1)  # type: ignore[call-arg]
    with pytest.raises(BadRequestError, match="role"):
        await tiny.chat([{"role": "king", "content": "x"}])
    with pytest.raises(BadRequestError, match="fits no tool"):
        await tiny.chat("x", tools=[WEATHER], tool_choice="fly")
    with pytest.raises(SchemaError):
        await tiny.chat("x", grammar="start: )")
    with pytest.raises(ConfigurationError, match="chat_format"):
        LlamaCppBackend(TINY, chat_format="nonsense")
    with pytest.raises(ModelNotFoundError):
        await LlamaCppBackend("no/such:model", settings=settings).load()
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\xff" * 100)
    with pytest.raises(InvalidModelError):
        await LlamaCppBackend(broken, settings=settings).load()


def test_an_unknown_backend_name_lists_the_known_ones() -> None:
    assert isinstance(create_backend("llamacpp", model_path=TINY), LlamaCppBackend)
    with pytest.raises(ConfigurationError, match=r"llamacpp, ollama, openai"):
        create_backend("llamacp")


def test_closing_the_synchronous_interface_fails_its_waiters(settings: Settings) -> None:
    backend = LlamaCppBackend(TINY, settings=settings).sync
    stream = backend.chat_stream("Hello", max_tokens=900)
    next(stream)
    ends: list[BaseException | None] = []

    def ask() -> None:
        try:
            backend.complete("Hello", max_tokens=900)
        except EngineClosedError as error:
            ends.append(error)
        else:
            ends.append(None)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    threads += [threading.Thread(target=backend.close) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert len(ends) == 8
    stream.close()  # type: ignore[attr-defined]  # what the collector does, and says nothing


def test_the_synchronous_interface_serves_scripts(settings: Settings) -> None:
    with LlamaCppBackend(TINY, settings=settings).sync as backend:
        reply = backend.chat("What is the capital of France?", temperature=0)
        pieces = [chunk.delta.content for chunk in backend.chat_stream("What is the capital of France?", temperature=0)]
        assert "".join(pieces) == reply.content
        assert backend.complete("The", max_tokens=2).usage.completion_tokens == 2
        assert len(backend.embed(["a", "b"]).vectors) == 2
        assert backend.rerank("a", ["a", "b"]).scores[0] > 0
        assert backend.count_tokens("Hello") == len(backend.tokenize("Hello"))
        for _ in backend.chat_stream("Tell me a long story.", max_tokens=900):
            break  # closing the iterator early must not wedge the next call
        assert backend.model_info().loaded
        assert backend.chat("Hello", max_tokens=1).finish_reason == "length"
    with pytest.raises(EngineClosedError):
        backend.chat("Hello")


# The shipped model has no thoughts of its own. Heated up it says something, so that the budget is what ends it; a bias
# keeps it from ending first.
HOT: dict[str, Any] = {"temperature": 3.0, "top_k": 0, "top_p": 1.0, "seed": 1, "max_tokens": 40}


async def talkative(backend: LlamaCppBackend) -> dict[str, Any]:
    await backend.load()
    return {**HOT, "logit_bias": dict.fromkeys(backend.engine.model.end_tokens, -100.0)}


async def test_control_tokens_in_an_answer_reach_the_reader_of_calls_and_nobody_else(tiny: LlamaCppBackend) -> None:
    """Mistral opens its calls with a control token; whoever asked for no tools is not bothered with such."""
    await tiny.load()
    (start,) = tiny.engine.model.tokenize("<|im_start|>", parse_special=True)
    only = {"logit_bias": {start: 100.0}, "max_tokens": 1, "temperature": 0}
    assert (await tiny.chat("x", tools=[WEATHER], **only)).content == "<|im_start|>"
    assert (await tiny.chat("x", **only)).content == ""


async def test_thoughts_are_counted_and_budgeted(settings: Settings) -> None:
    """A template that opens the thoughts itself, as DeepSeek-R1's does."""
    template = (
        "{# <｜Assistant｜> #}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "<|im_start|>assistant\n<think>\n"
    )
    schema = {
        "type": "json_schema",
        "schema": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
    }
    async with LlamaCppBackend(TINY, chat_format=template, settings=settings) as backend:
        options = await talkative(backend)
        reply = await backend.chat("Think.", reasoning_tokens=5, **options)
        assert reply.usage.reasoning_tokens == 5
        assert reply.reasoning
        assert reply.content
        assert "think>" not in reply.content + reply.reasoning
        chunks = await chunks_of(backend, "Think.", reasoning_tokens=5, **options)
        found = collect(chunk.delta for chunk in chunks)
        assert (found.reasoning, found.content) == (reply.reasoning, reply.content)
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.reasoning_tokens == 5
        bound = await backend.chat("x", response_format=schema, reasoning="on", reasoning_tokens=5, **options)
        assert bound.reasoning
        assert isinstance(json.loads(bound.content)["a"], int)
        quiet = await backend.chat("x", response_format=schema, **options)
        assert quiet.reasoning == ""
        assert isinstance(json.loads(quiet.content)["a"], int)


async def test_thoughts_are_opened_for_a_model_that_thinks_by_default(settings: Settings) -> None:
    """A template that leaves opening them to the model, as Qwen3's does."""
    template = (
        "{# <tools> reasoning_content enable_thinking is defined #}{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
    )
    async with LlamaCppBackend(TINY, chat_format=template, settings=settings) as backend:
        options = await talkative(backend)
        reply = await backend.chat("Think.", reasoning_tokens=6, **options)
        assert reply.reasoning
        assert "think>" not in reply.reasoning + reply.content
        assert reply.usage.reasoning_tokens == 6
        off = await backend.chat("Think.", reasoning="off", **options)
        assert off.reasoning == ""
        assert off.usage.reasoning_tokens == 0


PREFILL = [Message.user("What is the capital of France?"), Message.assistant("The capital of")]


async def test_a_last_message_of_the_assistant_is_continued(tiny: LlamaCppBackend) -> None:
    rendered = await tiny.render(PREFILL, continue_final=True)
    assert rendered.prompt.endswith("The capital of")
    continued = await tiny.chat(PREFILL, temperature=0, max_tokens=12)
    text = await tiny.complete(rendered.prompt, temperature=0, max_tokens=12)
    assert continued.content == text.content
    assert "Paris" in continued.content
    assert "The capital of" not in continued.content
    assert (await tiny.chat(PREFILL, temperature=0, max_tokens=12, continue_final=True)).content == continued.content
    chunks = await chunks_of(tiny, PREFILL, temperature=0, max_tokens=12)
    assert collect(chunk.delta for chunk in chunks).content == continued.content
    anew = await tiny.chat(PREFILL, temperature=0, max_tokens=12, continue_final=False)
    assert anew.usage.prompt_tokens > continued.usage.prompt_tokens


async def test_an_empty_turn_of_the_assistant_says_nothing(tiny: LlamaCppBackend) -> None:
    plain = await tiny.chat(PREFILL[:1], temperature=0, max_tokens=12)
    empty = await tiny.chat([*PREFILL[:1], Message.assistant("")], temperature=0, max_tokens=12)
    assert empty.usage.prompt_tokens == plain.usage.prompt_tokens
    assert empty.content == plain.content


async def test_what_can_not_be_continued_is_refused_where_it_was_asked_for(tiny: LlamaCppBackend) -> None:
    for messages, options in (
        (PREFILL[:1], {}),
        (PREFILL, {"response_format": City}),
        (PREFILL, {"tools": [WEATHER], "tool_choice": "required"}),
    ):
        with pytest.raises(BadRequestError, match="continue"):
            await tiny.chat(messages, continue_final=True, **options)
    bound = await tiny.chat(PREFILL, response_format=City, max_tokens=80)  # not asked for: the answer begins anew
    City.model_validate_json(bound.content)


async def test_no_limit_means_the_whole_context(tiny: LlamaCppBackend) -> None:
    few = Settings(
        home=tiny.settings.home,
        engine=tiny.settings.engine,
        generation=tiny.settings.generation.model_copy(update={"max_tokens": 4}),
    )
    async with LlamaCppBackend(TINY, settings=few) as backend:
        endless: dict[str, Any] = {"temperature": 0, "logit_bias": {2: -100, 0: -100}}
        assert (await backend.chat("Hello", **endless)).usage.completion_tokens == 4
        long = await backend.complete("Once upon", max_tokens=-1, grammar='root ::= ("ab" | "cd"){300}', temperature=2)
        assert long.usage.completion_tokens > 100


async def test_token_ids_mean_those_ids(tiny: LlamaCppBackend) -> None:
    text = "A dog runs <|im_end|> home"
    plain = await tiny.embed([text])
    ids = await tiny.engine.tokenize(text, add_special=True)
    assert (await tiny.embed([ids])).vectors[0] == pytest.approx(plain.vectors[0], abs=1e-5)
    special = await tiny.engine.tokenize(text, add_special=True, parse_special=True)
    assert len(special) < len(ids)
    other = (await tiny.embed([special])).vectors[0]
    assert (
        sum(a * b for a, b in zip(other, plain.vectors[0], strict=True)) < 0.999
    )  # the control token itself, not its letters
    prompt = await tiny.engine.tokenize("Once upon a time", parse_special=True)
    by_ids = await tiny.complete(prompt, temperature=0, max_tokens=8)
    by_text = await tiny.complete("Once upon a time", temperature=0, max_tokens=8)
    assert by_ids.content == by_text.content
    assert by_ids.usage.prompt_tokens == len(prompt)
    for bad in ([-1], [tiny.engine.model.n_vocab], [1 << 70]):
        with pytest.raises(BadRequestError, match="between 0 and"):
            await tiny.embed([bad])
        with pytest.raises(BadRequestError, match="between 0 and"):
            await tiny.complete(bad)


async def test_a_cut_answer_is_kept_with_its_failure(tiny: LlamaCppBackend) -> None:
    with pytest.raises(TruncatedOutputError) as caught:
        await tiny.chat("Hello", response_format=City, max_tokens=1, n=2)
    assert caught.value.answer.finish_reason == "length"
    assert len(caught.value.answer.choices) == 2


async def test_any_model_may_think_before_an_answer_that_is_bound(tiny: LlamaCppBackend) -> None:
    """In free text and within its budget; the answer is nothing but JSON. Without a schema there is nothing to do."""
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}}}  # fmt: skip
    question = "What is the capital of France?"
    reply = await tiny.chat(
        question, response_format=form, reasoning="always", reasoning_tokens=12, temperature=0, max_tokens=64
    )
    assert set(json.loads(reply.content)) == {"a"}
    assert reply.reasoning
    assert 0 < reply.usage.reasoning_tokens <= 12
    for more in ({"reasoning": "on"}, {"reasoning": "always", "reasoning_tokens": 0}):
        reply = await tiny.chat(question, response_format=form, temperature=0, max_tokens=64, **more)  # type: ignore[arg-type]  # options
        assert (reply.reasoning, reply.usage.reasoning_tokens) == ("", 0)
    free = await tiny.chat(question, reasoning="always", temperature=0, max_tokens=16)
    assert (free.reasoning, "Paris" in free.content) == ("", True)
