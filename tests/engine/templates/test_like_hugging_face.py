"""Real templates render as `transformers` renders them, over a matrix of conversations.

Differences, all of them: what a template drops without a word (tools, calls and results that it has no place for; system
messages that it refuses) ours tells in a message it does have a place for.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from parlant_local.engine.templates import ChatTemplate
from parlant_local.engine.templates.control import ControlTexts, split_at_media
from parlant_local.messages import as_messages, as_tools
from tests.support.chat_matrix import CONVERSATIONS, SYSTEM, WEATHER, cases, expected_prompts, varied

FOLDER = Path(__file__).parents[4] / "shared" / "data" / "chat_templates"
TEMPLATES = sorted(path.stem for path in FOLDER.glob("*.jinja"))

needs_data = pytest.mark.skipif(not TEMPLATES, reason="the shared data folder is absent")


@cache
def source(name: str) -> str:
    return (FOLDER / f"{name}.jinja").read_text("utf-8")


@cache
def ours(name: str) -> ChatTemplate:
    return ChatTemplate(source(name), bos="<BOS>", eos="<EOS>")


# What Hugging Face's rendering loses without a word: ours says it in words the template can express.
DROPS_TOOLS = {
    "HuggingFaceTB-SmolLM3-3B",
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B",
    "deepseek-ai-DeepSeek-V3.1",
    "google-gemma-2-2b-it",
    "microsoft-Phi-3.5-mini-instruct",
}
DROPS_CALLS = {
    "HuggingFaceTB-SmolLM3-3B",
    "google-gemma-2-2b-it",
    "ibm-granite-granite-3.3-2B-Instruct",
    "microsoft-Phi-3.5-mini-instruct",
}


def describe_errors(name: str, what: str, tools: bool) -> bool:
    return (tools and name in DROPS_TOOLS) or (("call" in what or "tool" in what) and name in DROPS_CALLS)


@needs_data
@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_renders_as_transformers_does(name: str) -> None:
    compared = refused = 0
    for what, system, tools, prompt, arguments in cases():
        if describe_errors(name, what, tools):
            continue
        messages = [SYSTEM, *CONVERSATIONS[what]] if system else CONVERSATIONS[what]
        listed = [WEATHER] if tools else None
        expected = expected_prompts(source(name), messages, tools=listed, add_generation_prompt=prompt, **arguments)
        if not expected:
            refused += 1
            continue
        got = ours(name).render(
            as_messages(messages), as_tools(listed), add_generation_prompt=prompt, arguments=arguments
        )
        assert got in expected, (what, system, tools, prompt, arguments)
        compared += 1
    assert compared >= 18, f"only {compared} compared, {refused} refused by transformers"


@needs_data
@pytest.mark.parametrize("name", TEMPLATES)
def test_nothing_that_was_said_is_lost(name: str) -> None:
    """Where `transformers` refuses or drops something, ours still shows it: systems, tools, calls, results."""
    for what, system, tools, prompt, arguments in cases():
        if not tools and "Hermes-2-Pro" in name:
            continue  # a template for conversations with tools only
        messages = [SYSTEM, *CONVERSATIONS[what]] if system else CONVERSATIONS[what]
        listed = [WEATHER] if tools else None
        got = ours(name).render(
            as_messages(messages), as_tools(listed), add_generation_prompt=prompt, arguments=arguments
        )
        for message in messages:
            if message["role"] == "system" and "Mistral" in name and messages[-1]["role"] != "user":
                continue  # Mistral's own template puts it before the last user message, or nowhere
            said = message["content"] or "get_weather"
            assert said in got or json.dumps(said) in got, (what, system, tools)
        if tools:
            assert "The <name> of the city & country." in got
        assert got.count("<BOS>") <= 1


@needs_data
def test_json_strings_and_objects_as_arguments_render_alike() -> None:
    as_text = [varied(message, None, as_text=True) for message in CONVERSATIONS["a tool result"]]
    for name in TEMPLATES:
        if "Hermes-2-Pro" in name:
            continue
        objects = ours(name).render(as_messages(CONVERSATIONS["a tool result"]))
        assert ours(name).render(as_messages(as_text)) == objects, name
        assert '"city": "Paris"' in objects, name


@needs_data
def test_a_template_that_insists_on_a_list_of_tools_gets_an_empty_one() -> None:
    rendered = ours("NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use").render(as_messages("Hello"))
    assert "Hello" in rendered


@needs_data
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_picture_in_a_result_stands_where_the_result_has_it(name: str) -> None:
    picture = {"type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png"}
    call = {"id": "abcdefghi", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages = as_messages(
        [
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "tool_calls": [call]},
            {
                "role": "tool",
                "tool_call_id": call["id"],
                "content": [{"type": "text", "text": "Map: "}, picture, {"type": "text", "text": " done"}],
            },
        ]
    )
    before, number, after = split_at_media(ours(name).render(ControlTexts(()).mark(messages), as_tools([WEATHER])))
    assert number == 0
    assert str(before).endswith("Map: ")
    assert str(after).startswith(" done")
