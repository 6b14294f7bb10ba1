"""The ``openai`` package drives the server as it would drive OpenAI."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx2
import openai
import pytest
from pydantic import BaseModel

from tests.support import gguf_models
from tests.support.eventually import eventually, wait_until
from tests.support.in_process import InProcess

from .conftest import TINY, Server

PARIS = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}},
            "required": ["city"],
        },
    },
}


class City(BaseModel):
    city: str
    is_capital: bool


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none needed", max_retries=0, timeout=60) as found:
        yield found


@pytest.fixture
async def aclient(server: Server) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{server.url}/v1", api_key="none needed", max_retries=0, timeout=60
    ) as found:
        yield found


def test_answers_a_chat(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model=TINY, messages=PARIS, temperature=0, max_tokens=32)
    assert reply.choices[0].message.content
    assert reply.choices[0].finish_reason in ("stop", "length")
    assert reply.model == TINY
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 0


def test_streams_what_it_would_have_answered_whole(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model=TINY, messages=PARIS, temperature=0, max_tokens=32)
    chunks = list(
        client.chat.completions.create(
            model=TINY,
            messages=PARIS,
            temperature=0,
            max_tokens=32,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage.model_copy(
        update={"prompt_tokens_details": chunks[-1].usage.prompt_tokens_details}
    )
    assert len({chunk.id for chunk in chunks}) == 1
    assert len(chunks) > 3, "it came in one piece"


async def test_the_async_client_streams_several_at_once(aclient: openai.AsyncOpenAI) -> None:
    async def one(number: int) -> str:
        stream = await aclient.chat.completions.create(
            model=TINY, messages=[{"role": "user", "content": f"Say {number}"}], max_tokens=16, stream=True, seed=number
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

    assert all(await asyncio.gather(*(one(number) for number in range(8))))


def test_gives_as_many_choices_as_asked(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model=TINY, messages=PARIS, n=3, max_tokens=8, seed=1, temperature=1.5)
    assert [choice.index for choice in reply.choices] == [0, 1, 2]
    streamed = client.chat.completions.create(
        model=TINY, messages=PARIS, n=3, max_tokens=8, seed=1, temperature=1.5, stream=True
    )
    texts = ["", "", ""]
    for chunk in streamed:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts == [choice.message.content for choice in reply.choices]


def test_reports_log_probabilities(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model=TINY, messages=PARIS, temperature=0, max_tokens=8, logprobs=True, top_logprobs=3
    )
    found = reply.choices[0].logprobs
    assert found is not None
    assert found.content
    for token in found.content:
        assert token.logprob <= 1e-6
        assert len(token.top_logprobs) == 3
        assert bytes(token.bytes or ()).decode() == token.token


def test_stops_at_a_stop_text(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model=TINY, messages=PARIS, temperature=0, max_tokens=32)
    word = (whole.choices[0].message.content or "").split()[2]
    cut = client.chat.completions.create(model=TINY, messages=PARIS, temperature=0, max_tokens=32, stop=word)
    assert word not in (cut.choices[0].message.content or "")
    assert cut.choices[0].finish_reason == "stop"


def test_parses_into_a_pydantic_model(client: openai.OpenAI) -> None:
    reply = client.chat.completions.parse(model=TINY, messages=PARIS, response_format=City, temperature=0)
    assert isinstance(reply.choices[0].message.parsed, City)


def test_answers_any_json_object_where_asked(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model=TINY, messages=PARIS, response_format={"type": "json_object"}, temperature=0, max_tokens=128
    )
    assert isinstance(json.loads(reply.choices[0].message.content or ""), dict)


@pytest.mark.parametrize("stream", [False, True])
def test_calls_a_tool_that_is_required(client: openai.OpenAI, stream: bool) -> None:
    asked = {"model": TINY, "messages": PARIS, "tools": [WEATHER], "tool_choice": "required", "temperature": 0}
    if not stream:
        reply = client.chat.completions.create(**asked)
        assert reply.choices[0].finish_reason == "tool_calls"
        call = reply.choices[0].message.tool_calls[0]
        name, arguments, identity = call.function.name, call.function.arguments, call.id
    else:
        name = arguments = identity = ""
        for chunk in client.chat.completions.create(**asked, stream=True):
            for choice in chunk.choices:
                for delta in choice.delta.tool_calls or ():
                    identity += delta.id or ""
                    name += delta.function.name or ""
                    arguments += delta.function.arguments or ""
    assert name == "get_weather"
    assert identity
    assert set(json.loads(arguments)) == {"city"}


def test_takes_the_result_of_a_tool(client: openai.OpenAI) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'}}
    reply = client.chat.completions.create(
        model=TINY,
        messages=[
            *PARIS,
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        ],
        tools=[WEATHER],
        max_tokens=16,
    )
    assert reply.choices[0].finish_reason in ("stop", "length", "tool_calls")


def test_completes_text(client: openai.OpenAI) -> None:
    reply = client.completions.create(
        model=TINY, prompt="The capital of France", max_tokens=8, temperature=0, echo=True
    )
    assert reply.choices[0].text.startswith("The capital of France")
    several = client.completions.create(model=TINY, prompt=["One", "Two"], max_tokens=4, n=2)
    assert [choice.index for choice in several.choices] == [0, 1, 2, 3]
    assert several.usage.completion_tokens <= 16
    streamed = client.completions.create(
        model=TINY, prompt="The capital of France", max_tokens=8, temperature=0, stream=True
    )
    assert "The capital of France" + "".join(chunk.choices[0].text for chunk in streamed) == reply.choices[0].text


def test_completes_token_ids(client: openai.OpenAI, server: Server) -> None:
    tokens = httpx2.post(f"{server.url}/tokenize", json={"content": "The capital of France"}).json()["tokens"]
    by_text = client.completions.create(model=TINY, prompt="The capital of France", max_tokens=8, temperature=0)
    by_ids = client.completions.create(model=TINY, prompt=tokens, max_tokens=8, temperature=0)
    assert by_ids.choices[0].text == by_text.choices[0].text


def test_embeds_the_same_in_floats_and_in_base64(client: openai.OpenAI) -> None:
    # The package asks for base64 where nobody says otherwise.
    packed = client.embeddings.create(model=TINY, input=["a dog", "a cat"])
    plain = client.embeddings.create(model=TINY, input=["a dog", "a cat"], encoding_format="float")
    for one, other in zip(packed.data, plain.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
        assert math.hypot(*one.embedding) == pytest.approx(1, abs=1e-4)
    short = client.embeddings.create(model=TINY, input="a dog", dimensions=16)
    assert len(short.data[0].embedding) == 16
    assert math.hypot(*short.data[0].embedding) == pytest.approx(1, abs=1e-4)


def test_embeds_token_ids_as_the_text_that_they_are(client: openai.OpenAI, server: Server) -> None:
    for text in ("A dog runs", "A dog <|im_end|> runs"):  # a control token that was typed is text
        asked = {"content": text, "model": TINY, "add_special": True}
        ids = httpx2.post(f"{server.url}/tokenize", json=asked, timeout=30).json()["tokens"]
        of_ids, of_text = (client.embeddings.create(model=TINY, input=given).data[0].embedding for given in (ids, text))
        assert sum(a * b for a, b in zip(of_ids, of_text, strict=True)) == pytest.approx(1, abs=1e-5)


def test_cuts_texts_that_are_too_long_where_asked(client: openai.OpenAI) -> None:
    long = "word " * 4000
    with pytest.raises(openai.BadRequestError, match="truncate"):
        client.embeddings.create(model=TINY, input=long)
    found = client.embeddings.create(model=TINY, input=["short", long], extra_body={"truncate": True})
    assert found.model_extra == {"truncated": [1]}
    assert len(found.data) == 2


@pytest.mark.parametrize("given", ["You are an idiot.", ["You are an idiot.", "Good morning."]])
@pytest.mark.parametrize("named", [{}, {"model": "omni-moderation-latest"}, {"model": "text-moderation-stable"}])
def test_judges_texts_without_further_ado(client: openai.OpenAI, given: str | list[str], named: dict[str, str]) -> None:
    found = client.moderations.create(input=given, **named)
    assert found.id.startswith("modr-")
    assert found.model == TINY  # the default chat model
    assert len(found.results) == (1 if isinstance(given, str) else 2)
    for result in found.results:
        scores, flags = result.category_scores.to_dict(), result.categories.to_dict()
        judged = [name for name, score in scores.items() if score is not None]
        assert len(judged) == 7
        assert result.flagged == any(flags[name] for name in judged)
        assert all(flags[name] == (scores[name] >= 0.5) for name in judged)
    assert found.model_extra is not None
    assert "can't moderate" in found.model_extra["warnings"][0]


def test_goes_on_with_a_last_message_of_the_assistant(client: openai.OpenAI, server: Server) -> None:
    said = [*PARIS, {"role": "assistant", "content": "The capital of"}]
    asked = {"messages": said, "continue_final_message": True, "model": TINY}
    prompt = httpx2.post(f"{server.url}/apply-template", json=asked, timeout=30).json()["prompt"]
    wanted = client.completions.create(model=TINY, prompt=prompt, temperature=0, max_tokens=12).choices[0].text
    assert wanted
    for extra in (
        {},
        {"continue_final_message": True},
        {"continue_final_message": True, "add_generation_prompt": False},
    ):
        whole = client.chat.completions.create(
            model=TINY, messages=said, temperature=0, max_tokens=12, extra_body=extra
        )
        assert whole.choices[0].message.content == wanted
        with client.chat.completions.create(
            model=TINY, messages=said, temperature=0, max_tokens=12, stream=True, extra_body=extra
        ) as stream:
            assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == wanted


@pytest.mark.parametrize("stream", [False, True])
def test_a_structured_answer_that_its_limit_cuts_ends_with_length(client: openai.OpenAI, stream: bool) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "city", "schema": City.model_json_schema()}}
    tool = {"tools": [WEATHER], "tool_choice": "required"}
    for wish in ({"response_format": schema}, tool):
        asked = {"model": TINY, "messages": PARIS, "max_tokens": 3, "temperature": 0, "stream": stream} | wish
        given = client.chat.completions.create(**asked)
        ends = (
            [piece.choices[0].finish_reason for piece in given if piece.choices]
            if stream
            else [given.choices[0].finish_reason]
        )
        assert ends[-1] == "length", wish
    text = client.completions.create(
        model=TINY, prompt="A city:", max_tokens=3, stream=stream, extra_body={"response_format": schema}
    )
    ends = [piece.choices[0].finish_reason for piece in text] if stream else [text.choices[0].finish_reason]
    assert ends[-1] == "length"
    if not stream:
        with pytest.raises(openai.LengthFinishReasonError):
            client.chat.completions.parse(model=TINY, messages=PARIS, response_format=City, max_tokens=3)


@pytest.mark.parametrize("stream", [False, True])
def test_minus_one_is_no_limit_off_or_random(client: openai.OpenAI, stream: bool) -> None:
    asked = {
        "model": TINY,
        "temperature": 1,
        "seed": -1,
        "max_tokens": -1,
        "stream": stream,
        "extra_body": {"top_k": -1},
    }
    chat = client.chat.completions.create(messages=PARIS, **asked)
    text = client.completions.create(
        prompt="x", stop=["\n", " "], **(asked | {"extra_body": {"top_k": -1, "grammar": 'root ::= "ab"{40}'}})
    )
    for given in (chat, text):
        ends = (
            [piece.choices[0].finish_reason for piece in given if piece.choices]
            if stream
            else [given.choices[0].finish_reason]
        )
        assert ends[-1] == "stop"


def test_lists_and_retrieves_models(client: openai.OpenAI) -> None:
    assert TINY in [model.id for model in client.models.list()]
    assert client.models.retrieve(TINY).id == TINY
    assert client.models.retrieve("parlant-local-tiny").id == TINY
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody")
    assert all(model.to_dict()["base"] is False for model in client.models.list())  # it was taught to chat


def test_a_base_model_is_marked_in_the_list_and_no_default(here: Callable[..., InProcess], tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    gguf_models.llama(folder / "Large-7B-Base.gguf", width=128)
    gguf_models.llama(folder / "Small-Instruct.gguf", template=None)
    url = here(models_dir=folder).url
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
    base = {model.id: model.to_dict()["base"] for model in client.models.list()}
    assert base["local/llama/large-7b-base"] is True
    assert next(iter(base.items())) == ("local/llama/small-instruct", False)  # clients offer the first one first
    named = client.chat.completions.create(model="local/llama/large-7b-base", messages=PARIS, max_tokens=2)
    assert named.model == "local/llama/large-7b-base"


def test_an_unknown_model_is_not_found_and_near_names_are_told(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="parlant-local-tinny", messages=PARIS)
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"
    assert TINY in caught.value.message


def test_a_prompt_too_long_is_told_as_clients_know_it(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=TINY, messages=[{"role": "user", "content": "word " * 4000}])
    assert caught.value.code == "context_length_exceeded"
    assert "maximum context length is 2048 tokens" in caught.value.message  # how litellm and others know it
    with pytest.raises(openai.BadRequestError, match="context"):
        client.chat.completions.create(model=TINY, messages=[{"role": "user", "content": "word " * 4000}], stream=True)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"temperature": 9}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 99}, "n"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "role"),
        ({"response_format": {"type": "yaml"}}, "response_format"),
        ({"tools": [{"type": "function", "function": {}}]}, "name"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///x"}}]}]}, "image_url"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "wizard"}}}}, "wizard"),
    ],
)  # fmt: skip
def test_bad_values_are_refused_by_name(client: openai.OpenAI, change: dict[str, object], word: str) -> None:
    with pytest.raises((openai.BadRequestError, openai.UnprocessableEntityError), match=word):
        client.chat.completions.create(**({"model": TINY, "messages": PARIS} | change))  # type: ignore[call-overload]


def test_null_means_absent(server: Server) -> None:
    body = {
        "model": TINY,
        "messages": [{"role": "user", "content": "hi", "name": None, "tool_calls": None}],
        **dict.fromkeys(("temperature", "stop", "n", "tools", "tool_choice", "response_format", "stream", "seed", "user")),
        "max_tokens": 4,
        "logprobs": None,
        "stream_options": None,
    }  # fmt: skip
    assert httpx2.post(f"{server.url}/v1/chat/completions", json=body).status_code == 200
    answer = httpx2.post(
        f"{server.url}/v1/embeddings", json={"input": "x", "encoding_format": None, "dimensions": None}
    )
    assert isinstance(answer.json()["data"][0]["embedding"], list)


async def test_leaving_a_stream_cancels_the_answer(aclient: openai.AsyncOpenAI, server: Server) -> None:
    before = _engine(server)["cancelled"]
    stream = await aclient.chat.completions.create(
        model=TINY, messages=PARIS, max_tokens=1500, stream=True, temperature=2, extra_body={"logit_bias": _ENDLESS}
    )
    async for _ in stream:
        break
    await stream.close()
    await eventually(lambda: (now := _engine(server))["cancelled"] > before and not now["running"])


async def test_leaving_before_a_whole_answer_cancels_it(server: Server) -> None:
    url = f"{server.url}/v1/chat/completions"
    body = {"messages": PARIS, "max_tokens": 1500, "logit_bias": _ENDLESS}
    before = _engine(server)["cancelled"]
    async with httpx2.AsyncClient(timeout=60) as http:
        asking = asyncio.ensure_future(http.post(url, json=body))
        await eventually(lambda: _engine(server)["running"])
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    await eventually(lambda: (now := _engine(server))["cancelled"] > before and not now["running"])


def _engine(server: Server) -> dict[str, int]:
    """What the shipped model's engine counts, once it is loaded."""
    return wait_until(lambda: _counted(server))


def _counted(server: Server) -> dict[str, int] | None:
    found: dict[str, int] | None = httpx2.get(f"{server.url}/api/status", timeout=30).json()["models"][TINY]["engine"]
    return found


_ENDLESS = {str(token): -100 for token in range(8)}
"""The tokens that end an answer made unlikely."""
