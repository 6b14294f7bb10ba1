"""Every shape and spelling in which clients ask: taken, refused by its name, or told in a header; never dropped in silence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest

from tests.support.eventually import wait_until

from .conftest import TINY, Server

CHAT = "/v1/chat/completions"
PARIS = [{"role": "user", "content": "What is the capital of France?"}]
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}, "large": {"type": "boolean"}},
    "required": ["city", "large"],
}
FUNCTION = {"name": "get_weather", "description": "The weather of a city.", "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "maxLength": 12}}, "required": ["city"]}}  # fmt: skip
OTHER = {
    "name": "get_time",
    "parameters": {"type": "object", "properties": {"zone": {"enum": ["utc"]}}, "required": ["zone"]},
}


@pytest.fixture(scope="module")
def http(server: Server) -> Iterator[httpx2.Client]:
    server.wait_loaded()
    with httpx2.Client(base_url=server.url, timeout=60) as client:
        yield client


def ask(http: httpx2.Client, path: str = CHAT, **body: Any) -> httpx2.Response:
    asked = {"messages": PARIS, "temperature": 0, "max_tokens": 60} if path == CHAT else {}
    return http.post(path, json=asked | body)


def answer(http: httpx2.Client, path: str = CHAT, **body: Any) -> dict[str, Any]:
    found = ask(http, path, **body)
    assert found.status_code == 200, found.text
    choice: dict[str, Any] = found.json()["choices"][0]
    return choice


def message_of(error: httpx2.Response) -> str:
    assert error.status_code in (400, 422), error.text
    return str(error.json()["error"]["message"])


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ([{"role": "developer", "content": "Be brief."}, *PARIS], [{"role": "system", "content": "Be brief."}, *PARIS]),
        ([{"role": "user", "content": [{"type": "text", "text": "Hi "}, "there"]}], [{"role": "user", "content": "Hi there"}]),
        ([{"role": "user", "content": {"type": "text", "text": "Hi"}}], [{"role": "user", "content": "Hi"}]),
        ([{"type": "human", "content": "Hi"}], [{"role": "user", "content": "Hi"}]),
        ([{"role": "user", "parts": [{"type": "text", "text": "Hi"}]}], [{"role": "user", "content": "Hi"}]),
        (
            [*PARIS, {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "x"}, {"type": "text", "text": "Paris"}]}, *PARIS],
            [*PARIS, {"role": "assistant", "content": "Paris", "reasoning_content": "hm"}, *PARIS],
        ),
        (
            [*PARIS, {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}, *PARIS],
            [*PARIS, {"role": "assistant", "content": "No."}, *PARIS],
        ),
        (
            [*PARIS, {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}]},
             {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "2"}]}, {"type": "text", "text": "So?"}]}],
            [*PARIS, {"role": "assistant", "content": "", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}]},
             {"role": "tool", "tool_call_id": "a", "content": "2"}, {"role": "user", "content": "So?"}],
        ),
        (
            [*PARIS, {"role": "assistant", "content": None, "tool_calls": [{"name": "f", "args": {"x": 1}, "id": "a", "type": "tool_call"}]}, {"role": "tool", "tool_call_id": "a", "content": {"y": 2}}],
            [*PARIS, {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}]}, {"role": "tool", "tool_call_id": "a", "content": '{"y": 2}'}],
        ),
        (
            [*PARIS, {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"x": 1}}}]}, {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"y": 2}}}]}],
            [*PARIS, {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]}, {"role": "tool", "name": "f", "content": '{"y": 2}'}],
        ),
        (
            [{"role": "SYSTEM", "content": "Be brief."}, {"role": "User", "content": "Hi"}, {"role": "bot", "content": "Yes?"}, {"role": "human", "content": "x"}],
            [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}, {"role": "user", "content": "x"}],
        ),
        (
            [*PARIS, {"role": "assistant", "tool_calls": [{"id": 7, "function": {"name": "f", "arguments": "{}"}}]}, {"role": "ipython", "tool_call_id": 7, "content": "2"}],
            [*PARIS, {"role": "assistant", "tool_calls": [{"id": "7", "function": {"name": "f", "arguments": "{}"}}]}, {"role": "tool", "tool_call_id": "7", "content": "2"}],
        ),
        (
            [*PARIS, {"role": "assistant", "parts": [{"type": "step-start"}, {"type": "text", "text": "Paris"}, {"type": "source-url", "url": "x"}]}, *PARIS],
            [*PARIS, {"role": "assistant", "content": "Paris"}, *PARIS],
        ),
        (
            [*PARIS, {"role": "assistant", "content": [{"type": "text", "text": "Paris"}, {"type": "error", "error": "x"}]}, *PARIS],
            [*PARIS, {"role": "assistant", "content": "Paris"}, *PARIS],
        ),
    ],
)  # fmt: skip
def test_conversations_in_every_dialect_make_one_prompt(http: httpx2.Client, given: Any, same: Any) -> None:
    prompts = [http.post("/apply-template", json={"messages": item}).json() for item in (given, same)]
    assert prompts[0]["prompt"] == prompts[1]["prompt"]
    assert ask(http, messages=given, max_tokens=1).status_code == 200


def test_who_begins_and_who_comes_twice_does_not_matter(http: httpx2.Client) -> None:
    for roles in (
        ["assistant", "user"],
        ["user", "user"],
        ["system", "assistant", "user"],
        ["assistant"],
        ["system"],
        ["user", "system"],
    ):
        said = [{"role": role, "content": f"word{index}"} for index, role in enumerate(roles)]
        assert ask(http, messages=said, max_tokens=1).status_code == 200, roles
        prompt = http.post("/apply-template", json={"messages": said}).json()["prompt"]
        assert all(f"word{index}" in prompt for index in range(len(roles)))


def test_what_open_web_ui_sends_is_answered(http: httpx2.Client) -> None:
    """The fields that its pages add to a request, and its database to a message: told, and nothing else."""
    found = ask(
        http,
        stream=False,
        model=TINY,
        messages=[{"id": "m1", "parentId": None, "role": "user", "content": "Hi", "timestamp": 1, "models": [TINY]}],
        params={},
        files=None,
        tool_servers=[],
        features={"web_search": False, "image_generation": False, "code_interpreter": False, "memory": False},
        variables={"{{USER_NAME}}": "Anna", "{{CURRENT_DATE}}": "2026-01-01"},
        session_id="s",
        chat_id="c",
        id="m2",
        background_tasks={"title_generation": True, "tags_generation": True, "follow_up_generation": True},
        stream_options={"include_usage": True},
    )
    assert found.status_code == 200, found.text
    assert set(found.headers["x-parlant-local-ignored"].split(", ")) == {
        "features", "variables", "session_id", "chat_id", "id", "background_tasks",
        "messages.id", "messages.timestamp", "messages.models",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["image_url", "input_audio", "file", "hologram"])
def test_parts_of_unknown_kinds_are_refused_by_name(http: httpx2.Client, kind: str) -> None:
    assert kind in message_of(ask(http, messages=[{"role": "user", "content": [{"type": kind}]}]))


def test_surrogates_are_replaced_wherever_they_stand(http: httpx2.Client) -> None:
    lone = "x\ud800y"
    prompt = http.post("/apply-template", content=json.dumps({"messages": [{"role": "user", "content": lone}]}),
                       headers={"content-type": "application/json"}).json()["prompt"]  # fmt: skip
    assert "x\ufffdy" in prompt
    tool = {
        "type": "function",
        "function": {
            "name": "f",
            "description": lone,
            "parameters": {"type": "object", "properties": {lone: {"enum": [lone]}}},
        },
    }
    for body in (
        {"messages": [{"role": "user", "content": lone, "name": lone}], "stop": [lone], "user": lone, "tools": [tool], "tool_choice": "auto"},
        {"messages": PARIS, "response_format": {"type": "json_schema", "json_schema": {"name": lone, "schema": {"enum": [lone]}}}},
    ):  # fmt: skip
        found = http.post(
            CHAT, content=json.dumps(body | {"max_tokens": 20}), headers={"content-type": "application/json"}
        )
        assert found.status_code == 200, found.text


# -- numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "top_k", "seed"])
def test_minus_one_is_taken(http: httpx2.Client, name: str) -> None:
    body: dict[str, Any] = {"max_tokens": 8} | ({"max_tokens": None} if "tokens" in name else {})
    assert answer(http, **(body | {name: -1}))["message"]["content"]
    if name != "seed":  # of which any whole number is one
        assert name in message_of(ask(http, **{name: -3}))


def test_minus_one_token_is_no_limit(http: httpx2.Client) -> None:
    long = http.post(
        "/v1/completions", json={"prompt": "x", "max_tokens": -1, "grammar": 'root ::= ("ab" | "cd"){150}'}
    ).json()
    assert long["usage"]["completion_tokens"] > 100
    assert long["choices"][0]["finish_reason"] == "stop"


def test_other_names_are_taken(http: httpx2.Client) -> None:
    few = ask(http, max_tokens=None, n_predict=3).json()
    assert few["usage"]["completion_tokens"] <= 3
    assert few["choices"][0]["finish_reason"] == "length"
    plain, told = (ask(http, **wish).json()["usage"]["prompt_tokens"] for wish in ({}, {"system": "Be very brief."}))
    same = ask(http, messages=[{"role": "system", "content": "Be very brief."}, *PARIS]).json()["usage"][
        "prompt_tokens"
    ]
    assert plain < told == same


def test_a_json_answer_that_its_limit_cuts_is_an_answer(http: httpx2.Client) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY}}
    whole = answer(http, response_format=form, max_tokens=2)
    assert whole["finish_reason"] == "length"
    assert not whole["message"]["content"].endswith("}")
    text = answer(http, "/v1/completions", prompt="x", json_schema=CITY, max_tokens=2)
    assert (text["finish_reason"], len(text["text"]) > 0) == ("length", True)
    short = {"message": "x", "stream": False, "options": {"format": CITY, "max_tokens": 2}}
    assert http.post("/api/chat", json=short).json()["response"]
    both = ask(http, response_format=form, max_tokens=2, n=2, temperature=1).json()
    assert [choice["finish_reason"] for choice in both["choices"]] == ["length", "length"]
    with httpx2.stream("POST", f"{http.base_url}{CHAT}", json={
        "messages": PARIS, "temperature": 0, "response_format": form, "max_tokens": 2, "stream": True}) as stream:  # fmt: skip
        events = [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: {")]
    assert "".join(event["choices"][0]["delta"].get("content", "") for event in events) == whole["message"]["content"]
    assert events[-1]["choices"][0]["finish_reason"] == "length"


# -- what binds an answer ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wish",
    [
        {"guided_json": CITY},
        {"guided_json": json.dumps(CITY)},
        {"json_schema": CITY},
        {"format": CITY},
        {"structured_outputs": {"json": CITY}},
        {"response_format": {"type": "json_object", "schema": CITY}},
        {"response_format": {"type": "json_object", "json_schema": {"name": "city", "schema": CITY}}},
        {"response_format": {"type": "json_object", "response_schema": CITY}},
        {"response_format": {"type": "json_object", "value": CITY}},
        {"response_format": {"type": "json_schema", "name": "city", "schema": CITY}},
    ],
)
def test_a_schema_binds_under_any_name(http: httpx2.Client, wish: dict[str, Any]) -> None:
    found = ask(http, **wish)
    assert set(json.loads(found.json()["choices"][0]["message"]["content"])) == {"city", "large"}
    assert "x-parlant-local-ignored" not in found.headers


def test_a_format_binds_completions_too(http: httpx2.Client) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY}}
    found = http.post("/v1/completions", json={"prompt": "A city:", "response_format": form, "max_tokens": 200})
    assert set(json.loads(found.json()["choices"][0]["text"])) == {"city", "large"}
    assert "x-parlant-local-ignored" not in found.headers


@pytest.mark.parametrize(
    "schema",
    [
        {"oneOf": [{"type": "integer"}, {"type": "number"}]},
        {"oneOf": [{"type": "boolean"}, {"const": True}]},
        {"oneOf": [{"type": "string", "maxLength": 3}, {"type": "string", "maxLength": 3}]},
        {"oneOf": [{"type": ["string", "null"], "maxLength": 3}, {"type": ["integer", "null"]}]},
    ],
)
def test_branches_that_overlap_are_taken_as_any_of_them(http: httpx2.Client, schema: Any) -> None:
    wish = {"type": "object", "properties": {"v": schema}, "required": ["v"]}
    for stream in (False, True):
        found = ask(http, json_schema=wish, temperature=1, seed=3, stream=stream)
        assert found.status_code == 200
        assert "error" not in found.text


def test_any_json_and_a_few_texts_can_be_asked_for(http: httpx2.Client) -> None:
    assert isinstance(json.loads(answer(http, format="json")["message"]["content"]), dict)
    odd = 'a "quoted" \\ one\n'
    for wish in ({"guided_choice": ["red", odd]}, {"structured_outputs": {"choice": ["red", odd]}}):
        assert answer(http, temperature=2, **wish)["message"]["content"] in ("red", odd)
    assert answer(http, guided_choice=[odd])["message"]["content"] == odd
    for wish in (
        {"guided_grammar": 'root ::= "yes"'},
        {"response_format": {"type": "grammar", "grammar": 'root ::= "yes"'}},
    ):
        assert answer(http, **wish)["message"]["content"] == "yes"


@pytest.mark.parametrize(
    ("wish", "word"),
    [
        ({"guided_regex": "a+"}, "guided_regex"),
        ({"structured_outputs": {"regex": "a+"}}, "structured_outputs.regex"),
        ({"guided_json": CITY, "format": "json"}, "guided_json and format"),
        ({"guided_json": "no json"}, "guided_json"),
        ({"regex": "a+"}, "regex"),
        ({"ebnf": "root ::= x"}, "ebnf"),
        ({"structured_outputs": {"structural_tag": "x"}}, "structural_tag"),
        ({"structured_outputs": {"json": CITY, "choice": ["x"]}}, "json and choice"),
        ({"response_format": {"type": "text", "schema": CITY}}, "schema"),
        ({"response_format": {"type": "grammar", "grammar": 'root ::= "x"', "schema": CITY}}, "schema"),
        (
            {"response_format": {"type": "json_object", "schema": CITY, "json_schema": {"schema": CITY}}},
            "json_schema and schema",
        ),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": CITY}, "grammar": "x"}}, "grammar"),
        ({"add_generation_prompt": False}, "add_generation_prompt"),
        ({"guided_choice": []}, "guided_choice"),
        ({"modalities": ["text", "audio"]}, "audio"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"functions": [FUNCTION], "tools": [{"type": "function", "function": FUNCTION}]}, "functions"),
        ({"tools": [{"type": "web_search"}]}, "web_search"),
        (
            {"tool_choice": "required", "tools": [{"name": "f", "parameters": {"type": "array", "items": {}}}]},
            "type object",
        ),
        ({"tool_choice": "get_wether", "tools": [{"type": "function", "function": FUNCTION}]}, "get_wether"),
        ({"continue_final_message": True, "add_generation_prompt": True}, "continue_final_message"),
        ({"continue_final_message": True}, "continue"),
    ],
)
def test_what_can_not_be_done_is_refused_by_name(http: httpx2.Client, wish: dict[str, Any], word: str) -> None:
    assert word in message_of(ask(http, **wish))


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("/v1/completions", {"prompt": "x", "tools": [{"type": "function", "function": FUNCTION}]}, "tools"),
        ("/v1/completions", {"prompt": "x", "functions": [FUNCTION]}, "functions"),
        ("/v1/completions", {"prompt": "x", "tool_choice": "required"}, "tool_choice"),
        ("/v1/completions", {"prompt": "x", "messages": PARIS}, "messages"),
        ("/v1/completions", {"prompt": "x", "regex": "a+"}, "regex"),
        ("/api/chat", {"message": "x", "tools": [{"type": "function", "function": FUNCTION}]}, "tools"),
        ("/api/chat", {"message": "x", "format": CITY}, "format"),
        ("/api/chat", {"message": "x", "options": {"tools": [{"type": "function", "function": FUNCTION}]}}, "tools"),
        ("/api/chat", {"message": "x", "options": {"n": 2}}, "Only n=1"),
    ],
)
def test_what_would_bind_an_answer_is_refused_where_it_can_not(
    http: httpx2.Client, path: str, body: dict[str, Any], word: str
) -> None:
    assert word in message_of(http.post(path, json=body))
    assert http.post(
        "/v1/completions", json={"prompt": "x", "max_tokens": 1, "tools": [], "tool_choice": "none"}
    ).is_success


# -- tools ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tools", "choice", "called"),
    [
        ([{"type": "function", "function": FUNCTION}], "any", "get_weather"),
        ([{"type": "function", **FUNCTION}], {"type": "any"}, "get_weather"),
        ([{"name": "get_weather", "input_schema": FUNCTION["parameters"]}], {"type": "tool", "name": "get_weather"}, "get_weather"),
        ([{"type": "function", "function": FUNCTION}, {"type": "function", "function": OTHER}], "get_time", "get_time"),
        ([{"type": "function", "function": FUNCTION}, {"type": "function", "function": OTHER}],
         {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "get_time"}}]}}, "get_time"),
    ],
)  # fmt: skip
def test_tool_choice_is_read_in_every_clients_form(http: httpx2.Client, tools: Any, choice: Any, called: str) -> None:
    choice_ = answer(http, tools=tools, tool_choice=choice)
    assert [call["function"]["name"] for call in choice_["message"]["tool_calls"]] == [called]


def test_functions_are_answered_in_kind(http: httpx2.Client, server: Server) -> None:
    choice = answer(http, functions=[FUNCTION], function_call={"name": "get_weather"})
    assert choice["finish_reason"] == "function_call"
    assert "tool_calls" not in choice["message"]
    call = choice["message"]["function_call"]
    assert call["name"] == "get_weather"
    assert set(json.loads(call["arguments"])) == {"city"}
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0) as client:
        stream = client.chat.completions.create(
            model=TINY,
            messages=PARIS,
            temperature=0,
            functions=[FUNCTION],
            function_call={"name": "get_weather"},
            stream=True,
        )  # type: ignore[call-overload]
        deltas = [chunk.choices[0] for chunk in stream if chunk.choices]
    told = [delta.delta.function_call for delta in deltas if delta.delta.function_call]
    assert "".join(piece.name or "" for piece in told) == "get_weather"
    assert json.loads("".join(piece.arguments or "" for piece in told)) == json.loads(call["arguments"])
    assert deltas[-1].finish_reason == "function_call"
    history = [
        *PARIS,
        {"role": "assistant", "content": None, "function_call": call},
        {"role": "function", "name": "get_weather", "content": "sunny"},
    ]
    assert answer(http, messages=history, functions=[FUNCTION], function_call="none")["message"]["content"]


# -- what is ignored is told ------------------------------------------------------------------------------------------


def test_what_nobody_understands_is_named(http: httpx2.Client, server: Server) -> None:
    found = ask(
        http,
        store=True,
        metadata={"a": "b"},
        logit_processors=None,
        stream_options={"include_obfuscation": False},
        chat_template_kwargs={"enable_thinking": False, "tools_in_user_message": True},
        messages=[
            {**PARIS[0], "weight": 1},
            {"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]},
        ],
        tools=[
            {"type": "function", "function": {**FUNCTION, "deferred": True}, "cache_control": {"type": "ephemeral"}}
        ],
        **{"odd\r\nname: x": 1},
    )
    assert found.status_code == 200
    assert set(found.headers["x-parlant-local-ignored"].split(", ")) == {
        "store", "metadata", "stream_options.include_obfuscation", "chat_template_kwargs.tools_in_user_message",
        "messages.weight", "messages.content.cache_control", "tools.cache_control", "tools.function.deferred", "odd??name??x",
    }  # fmt: skip
    wait_until(
        lambda: any(line.get("fields") and "store" in line["fields"] for line in server.log), lambda: server.log[-5:]
    )
    assert "x-parlant-local-ignored" not in ask(http, max_tokens=1, user="anna").headers
    for names, told in (({"": 1}, "(empty)"), ({"c": 1, "": 1}, "c, (empty)"), ({"\x01 é": 1}, "???"), ({" ": 1}, "?")):
        assert ask(http, max_tokens=1, **names).headers["x-parlant-local-ignored"] == told


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "arguments": "{}", "detail": "low"}]}]},
         "messages.content.arguments messages.content.detail"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": {"value": "x", "annotations": [1]}}]}]}, "messages.content.text.annotations"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "x", "cache_control": {"a": 1}}]}]}]},
         "messages.content.content.cache_control"),
        ({"messages": [*PARIS, {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "extra_content": {"google": 1},
            "function": {"name": "f", "arguments": "{}", "strict": True}}]}, {"role": "tool", "tool_call_id": "a", "content": {"y": 2}, "artifact": 1}]},
         "messages.tool_calls.extra_content messages.tool_calls.function.strict messages.artifact"),
        ({"messages": [*PARIS, {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}", "x": 1}}, *PARIS]}, "messages.function_call.x"),
        ({"messages": [*PARIS, {"role": "assistant", "content": "x", "provider_specific_fields": {"reasoning_content": "hm", "citations": [1]}}, *PARIS]},
         "messages.provider_specific_fields.citations"),
        ({"messages": [{"type": "human", "data": {"content": "x", "type": "human", "response_metadata": {"a": 1}}}]}, "messages.data.response_metadata"),
        ({"messages": [*PARIS, {"role": "assistant", "content": [{"type": "error", "error": "x"}, {"type": "text", "text": "x"}]}, *PARIS]}, "messages.content.error"),
        ({"messages": [{"role": "assistant", "parts": [{"type": "source-url", "url": "x"}, {"type": "text", "text": "x", "providerMetadata": {"a": 1}}]}, *PARIS]},
         "messages.parts.source-url messages.parts.providerMetadata"),
        ({"messages": [{"role": "assistant", "content": "x", "prefix": True}, *PARIS]}, "messages.prefix"),
        ({"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]}, "system.cache_control"),
        ({"tools": [{"type": "function", "function": FUNCTION, "name": "x", "eager": True}], "tool_choice": {"type": "none", "name": "x", "y": 1}},
         "tools.name tools.eager tool_choice.name tool_choice.y"),
        ({"response_format": {"type": "json_schema", "name": "x", "json_schema": {"schema": CITY, "odd": 1}, "even": 1}},
         "response_format.name response_format.even response_format.json_schema.odd"),
        ({"stream_options": {"include_usage": True, "chunk": 1}}, "stream_options.chunk"),
        ({"reasoning": {"exclude": True}}, "reasoning.exclude"),
    ],
)  # fmt: skip
def test_what_nobody_understands_within_a_field_is_named(http: httpx2.Client, body: dict[str, Any], names: str) -> None:
    found = ask(http, **({"max_tokens": 2} | body))
    assert found.status_code == 200, found.text
    assert set(found.headers["x-parlant-local-ignored"].split(", ")) == set(names.split())


def test_what_is_understood_is_not_named(http: httpx2.Client) -> None:
    said = [
        {"role": "user", "content": [{"type": "text", "text": "x"}]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "2", "is_error": False}]},
        {"role": "assistant", "content": None, "tool_calls": [{"index": 0, "id": "b", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "b", "content": {"any": {"json": [1]}}},
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"x": 1}}, "thoughtSignature": "s"}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"y": 2}}}]},
        {"role": "assistant", "parts": [{"type": "step-start"}, {"type": "tool-f", "toolCallId": "c", "state": "output-available", "input": {}, "output": {"z": 1}}]},
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "x"},
        {"type": "function_call", "id": "i", "call_id": "d", "name": "f", "arguments": "{}", "status": "completed"},
        {"type": "function_call_output", "call_id": "d", "output": "3"},
        {"role": "user", "content": "So?"},
    ]  # fmt: skip
    found = ask(http, messages=said, max_tokens=2)
    assert found.status_code == 200, found.text
    assert "x-parlant-local-ignored" not in found.headers


def test_streams_and_other_routes_tell_it_too(http: httpx2.Client) -> None:
    with http.stream("POST", CHAT, json={"messages": PARIS, "max_tokens": 1, "stream": True, "store": True}) as stream:
        assert stream.headers["x-parlant-local-ignored"] == "store"
        stream.read()
    for path, body in (
        ("/v1/completions", {"prompt": "x", "max_tokens": 1}),
        ("/v1/embeddings", {"input": "x"}),
        ("/v1/rerank", {"query": "x", "documents": ["y"]}),
        ("/rerank", {"query": "x", "documents": ["y"]}),
        ("/models/load", {"model": TINY}),
        ("/tokenize", {"content": "x"}),
        ("/detokenize", {"tokens": [5]}),
        ("/apply-template", {"messages": PARIS}),
        ("/v1/moderations", {"input": "x", "model": TINY}),
    ):
        assert http.post(path, json=body | {"frobnicate": 1}).headers["x-parlant-local-ignored"] == "frobnicate", path
    short = {
        "message": "x",
        "stream": False,
        "options": {"max_tokens": 1, "num_ctx": 9, "stream": True},
        "images": ["x"],
    }
    assert (
        http.post("/api/chat", json=short).headers["x-parlant-local-ignored"]
        == "images, options.num_ctx, options.stream"
    )
    ranked = http.post("/v1/rerank", json={"query": "x", "documents": [{"text": "y", "title": "z"}, "w"]})
    assert ranked.headers["x-parlant-local-ignored"] == "documents.title"
    judged = http.post("/v1/moderations", json={"input": [{"type": "text", "text": "x", "lang": "en"}]})
    assert judged.headers["x-parlant-local-ignored"] == "input.lang"
    shown = {
        "messages": [{**PARIS[0], "weight": 1}],
        "tools": [{"type": "function", "function": FUNCTION, "eager": True}],
    }
    assert http.post("/apply-template", json=shown).headers["x-parlant-local-ignored"] == "messages.weight, tools.eager"
    many = ask(http, max_tokens=1, **{f"field{number}": 1 for number in range(500)}, **{"x" * 5000: 1})
    assert len(many.headers["x-parlant-local-ignored"]) < 2000
    assert "and-481-more" in many.headers["x-parlant-local-ignored"]


# -- vectors ----------------------------------------------------------------------------------------------------------


def test_ids_of_a_text_have_the_vector_of_the_text(http: httpx2.Client) -> None:
    text = "A dog <|im_end|> runs"
    ids = http.post("/tokenize", json={"content": text, "add_special": True}).json()["tokens"]
    found = http.post("/v1/embeddings", json={"input": [ids, ids]}).json()["data"]
    wanted = http.post("/v1/embeddings", json={"input": text}).json()["data"][0]["embedding"]
    assert found[0]["embedding"] == pytest.approx(wanted, abs=1e-4)
    assert found[1]["embedding"] == pytest.approx(wanted, abs=1e-4)
    assert http.post("/v1/embeddings", json={"input": ids}).json()["usage"]["prompt_tokens"] == len(ids)
    assert "between 0 and" in message_of(http.post("/v1/embeddings", json={"input": [10**9]}))


def test_a_text_too_long_may_be_cut(http: httpx2.Client) -> None:
    long = ["short", "word " * 4000]
    refused = message_of(http.post("/v1/embeddings", json={"input": long}))
    assert "`truncate`" in refused
    for wish in ({"truncate": True}, {"truncate_prompt_tokens": -1}):
        found = http.post("/v1/embeddings", json={"input": long} | wish)
        assert found.status_code == 200, found.text
        assert found.json()["truncated"] == [1]
        assert len(found.json()["data"]) == 2
    assert "truncate_prompt_tokens" in message_of(
        http.post("/v1/embeddings", json={"input": long, "truncate_prompt_tokens": 5})
    )
    assert "truncated" not in http.post("/v1/embeddings", json={"input": "short", "truncate": True}).json()


# -- going on ---------------------------------------------------------------------------------------------------------


def test_a_last_message_of_the_assistant_is_gone_on_with(http: httpx2.Client) -> None:
    said = [*PARIS, {"role": "assistant", "content": "The capital of"}]
    prompt = http.post("/apply-template", json={"messages": said, "continue_final_message": True}).json()["prompt"]
    assert prompt.endswith("The capital of")
    text = http.post("/v1/completions", json={"prompt": prompt, "temperature": 0, "max_tokens": 12}).json()["choices"][
        0
    ]["text"]
    for wish in (
        {},
        {"continue_final_message": True, "add_generation_prompt": False},
        {"add_generation_prompt": False},
    ):
        assert answer(http, messages=said, max_tokens=12, **wish)["message"]["content"] == text
    marked = [*PARIS, {"role": "assistant", "content": "The capital of", "prefix": True}]
    assert answer(http, messages=marked, max_tokens=12)["message"]["content"] == text
    anew = [ask(http, messages=said, max_tokens=12, **wish).json()["usage"]["prompt_tokens"]
            for wish in ({"continue_final_message": False}, {"add_generation_prompt": True}, {})]  # fmt: skip
    assert anew[0] == anew[1] > anew[2]


# -- verdicts ---------------------------------------------------------------------------------------------------------


def test_texts_are_judged_in_every_shape(http: httpx2.Client) -> None:
    for given, count in (
        ("a", 1),
        (["a", "b"], 2),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], 1),
    ):
        found = http.post("/v1/moderations", json={"input": given, "model": TINY})
        assert found.status_code == 200, found.text
        assert len(found.json()["results"]) == count
    picture = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]
    assert "image_url can't be judged" in message_of(
        http.post("/v1/moderations", json={"input": picture, "model": TINY})
    )
