"""What the engine is asked for a call: prompt, thoughts, constraint, sampling, room."""

from __future__ import annotations

from typing import Any

import pytest

from parlant_local.backends.base import ChatParams
from parlant_local.backends.llama_cpp.planning import ChatPlan, plan_chat
from parlant_local.backends.llama_cpp.prompts import PromptEncoder
from parlant_local.engine.parsing import collect
from parlant_local.engine.requests import AnyJson, CallOf, Grammar, JsonSchema
from parlant_local.engine.templates import ChatTemplate
from parlant_local.errors import BadRequestError, ContextOverflowError
from parlant_local.messages import Message
from parlant_local.settings import GenerationSettings

QWEN3 = (
    "{# <|im_start|> <tools> <tool_call> reasoning_content #}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{{ tools | tojson if tools else '' }}<assistant>"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"
)
R1 = (
    "{# <｜Assistant｜> #}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{{ tools | tojson if tools else '' }}"
    "<assistant><think>\n"
)
LLAMA = (
    "{# <|start_header_id|> <|eot_id|> #}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{{ tools | tojson if tools else '' }}<assistant>"
)
ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "parameters": {
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/Number"}},
            "required": ["a"],
            "$defs": {"Number": {"type": "integer"}},
        },
    },
}
TIME = {"type": "function", "function": {"name": "time"}}


KIMI3 = (
    "{# <|close|> #}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{{ tools | tojson if tools else '' }}"
    "<|open|>{{ 'response' if thinking is defined and not thinking else 'think' }}<|sep|>"
    "{{ thinking_effort if thinking_effort is defined else '' }}"
)
APERTUS = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{{ tools | tojson if tools else '' }}"
    "{# <|tools_prefix|> #}<|assistant_start|>"
)


class Letters:
    """A vocabulary of one token per character, so that prompts can be read back."""

    n_vocab = 0
    bos = -1
    add_bos = False
    bos_text = ""
    end_tokens: frozenset[int] = frozenset()

    def is_control(self, token: int) -> bool:
        return False

    def piece(self, token: int, *, special: bool = False) -> bytes:
        return chr(token).encode()

    def tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = False) -> list[int]:
        return [ord(letter) for letter in text]


async def planned(
    template: str, *, n_ctx: int = 4096, settings: GenerationSettings | None = None, **options: Any
) -> ChatPlan:
    return await plan_chat(
        [Message.user("Hello")],
        ChatParams.of(options),
        encoder=PromptEncoder(ChatTemplate(template), Letters()),
        settings=settings or GenerationSettings(),
        n_ctx=n_ctx,
    )


def prompt(plan: ChatPlan) -> str:
    return "".join(chr(int(token)) for token in plan.requests[0].prompt)


# -- thoughts ---------------------------------------------------------------------------------------------------------


async def test_a_model_that_thinks_by_default_gets_a_budget() -> None:
    request = (await planned(QWEN3)).requests[0]
    assert request.reasoning is not None
    assert (request.reasoning.opened, request.reasoning.budget) == (False, 512)


async def test_thoughts_that_the_template_opened_are_known_to_be_open() -> None:
    request = (await planned(R1, reasoning_tokens=7)).requests[0]
    assert request.reasoning is not None
    assert (request.reasoning.opened, request.reasoning.budget) == (True, 7)


async def test_thinking_is_switched_off_the_way_the_family_allows() -> None:
    by_template = await planned(QWEN3, reasoning="off")
    assert prompt(by_template).endswith("<think>\n\n</think>\n\n")
    by_closing = await planned(R1, reasoning="off")
    assert prompt(by_closing).endswith("<think>\n\n</think>\n\n")
    assert by_template.requests[0].reasoning is by_closing.requests[0].reasoning is None


async def test_thinking_is_off_even_where_the_template_knows_no_switch() -> None:
    deaf = QWEN3.replace("enable_thinking is false", "enable_thinking is none")
    assert prompt(await planned(deaf, reasoning="off")).endswith("<assistant><think>\n\n</think>\n\n")


async def test_control_tokens_are_shown_where_calls_or_thoughts_may_be_written_with_them() -> None:
    assert (await planned(QWEN3)).requests[0].control_text
    assert (await planned(LLAMA, tools=[ADD])).requests[0].control_text
    assert not (await planned(LLAMA)).requests[0].control_text
    assert (await planned(LLAMA, tools=[ADD], tool_choice="required")).requests[0].control_text
    schema = {"type": "json_object"}
    assert not (await planned(QWEN3, response_format=schema)).requests[0].control_text


HARMONY = (
    "{# <|channel|> analysis <|message|> #}Reasoning: {{ reasoning_effort or 'medium' }}"
    "{% for m in messages %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endfor %}<|start|>assistant"
)


async def test_a_budget_becomes_an_effort_where_the_family_has_efforts() -> None:
    for budget, effort in ((200, "low"), (1000, "medium"), (9000, "high")):
        assert f"Reasoning: {effort}" in prompt(
            await planned(HARMONY, reasoning="on", reasoning_tokens=budget, n_ctx=16384)
        )
    assert "Reasoning: medium" in prompt(await planned(HARMONY))


async def test_where_parts_are_messages_a_bound_answer_is_begun_for_the_model() -> None:
    schema = {"type": "json_object"}
    quiet = await planned(HARMONY, response_format=schema)
    assert prompt(quiet).endswith("<|start|>assistant<|channel|>final<|message|>")
    aloud = (await planned(HARMONY, response_format=schema, reasoning="on")).requests[0].reasoning
    assert aloud is not None
    assert (aloud.start, aloud.opened) == ("<|channel|>analysis<|message|>", False)
    assert aloud.end == "<|end|><|start|>assistant<|channel|>final<|message|>"


async def test_a_budget_of_nothing_switches_thinking_off() -> None:
    assert (await planned(R1, reasoning_tokens=0)).requests[0].reasoning is None


async def test_bound_answers_come_without_thoughts_unless_asked_for() -> None:
    schema = {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}
    quiet = await planned(R1, response_format=schema)
    assert quiet.requests[0].reasoning is None
    aloud = await planned(R1, response_format=schema, reasoning="on")
    assert aloud.requests[0].reasoning is not None
    assert isinstance(aloud.requests[0].constraint, JsonSchema)


async def test_settings_decide_where_the_call_does_not() -> None:
    assert (await planned(R1, settings=GenerationSettings(reasoning="off"))).requests[0].reasoning is None


async def test_a_family_that_does_not_think_is_left_alone() -> None:
    plan = await planned(LLAMA, reasoning="on")
    assert plan.requests[0].reasoning is None
    assert prompt(plan).endswith("<assistant>")


# -- constraints ------------------------------------------------------------------------------------------------------


async def test_a_required_call_is_bound_to_the_tools_schemas() -> None:
    request = (await planned(LLAMA, tools=[ADD, TIME], tool_choice="required")).requests[0]
    assert isinstance(request.constraint, CallOf)
    assert dict(request.constraint.tools) == {
        "add": ADD["function"]["parameters"],
        # a tool that names no arguments takes none
        "time": {"type": "object", "properties": {}, "additionalProperties": False},
    }
    named = (await planned(LLAMA, tools=[ADD, TIME], tool_choice="time")).requests[0].constraint
    assert isinstance(named, CallOf)
    assert [name for name, _ in named.tools] == ["time"]


async def test_a_required_call_is_written_as_the_family_writes_it() -> None:
    constraint = (await planned(QWEN3, tools=[ADD], tool_choice="required")).requests[0].constraint
    assert isinstance(constraint, CallOf)
    assert (constraint.syntax.first, constraint.syntax.last) == ("<tool_call>\n", "\n</tool_call>")


async def test_a_schema_beside_tools_allows_either() -> None:
    plan = await planned(LLAMA, tools=[ADD], response_format={"type": "json_object"})
    constraint = plan.requests[0].constraint
    assert isinstance(constraint, JsonSchema)
    assert constraint.schema["anyOf"][-1] == {"type": "object"}


async def test_tool_choice_none_shows_no_tools() -> None:
    plan = await planned(LLAMA, tools=[ADD], tool_choice="none", grammar='start: "a"')
    assert "add" not in prompt(plan)
    assert plan.requests[0].constraint == Grammar('start: "a"')


async def test_json_object_is_any_object() -> None:
    assert isinstance((await planned(LLAMA, response_format={"type": "json_object"})).requests[0].constraint, AnyJson)


async def test_a_grammar_and_tools_exclude_each_other() -> None:
    with pytest.raises(BadRequestError, match="grammar"):
        await planned(LLAMA, tools=[ADD], grammar='start: "a"')
    with pytest.raises(BadRequestError, match="grammar"):
        await planned(LLAMA, tools=[ADD], tool_choice="required", grammar='start: "a"')


async def test_limits_of_open_schemas_are_the_settings() -> None:
    settings = GenerationSettings.model_validate({"limits": {"max_string": 99}})
    constraint = (
        (await planned(LLAMA, settings=settings, response_format={"type": "json_object"})).requests[0].constraint
    )
    assert isinstance(constraint, AnyJson)
    assert constraint.limits.max_string == 99


# -- sampling and room ------------------------------------------------------------------------------------------------


async def test_sampling_is_the_calls_then_the_settings_then_the_familys() -> None:
    assert (await planned(LLAMA)).requests[0].sampling.temperature == 0.6
    warm = GenerationSettings(temperature=0.3)
    assert (await planned(LLAMA, settings=warm)).requests[0].sampling.temperature == 0.3
    assert (await planned(LLAMA, settings=warm, temperature=0)).requests[0].sampling.temperature == 0


async def test_several_answers_with_a_seed_differ_and_can_be_had_again() -> None:
    plan = await planned(LLAMA, n=3, seed=7)
    assert [request.sampling.seed for request in plan.requests] == [7, 8, 9]


async def test_max_tokens_is_bounded_by_settings_and_room() -> None:
    assert (await planned(LLAMA)).requests[0].max_tokens == 2048
    plan = await planned(LLAMA, n_ctx=100)
    assert plan.requests[0].max_tokens == 100 - len(plan.requests[0].prompt)


async def test_a_prompt_that_can_never_fit_is_refused_with_figures() -> None:
    with pytest.raises(ContextOverflowError, match="context holds 10") as caught:
        await planned(LLAMA, n_ctx=10)
    assert caught.value.available == 10
    assert caught.value.needed > 10


async def test_an_answer_that_can_never_fit_is_refused_with_figures() -> None:
    with pytest.raises(ContextOverflowError, match="max_tokens asks for 95") as caught:
        await planned(LLAMA, n_ctx=100, max_tokens=95)
    assert caught.value.available == 100


async def test_no_thoughts_are_closed_inside_an_answer_that_the_prompt_has_begun() -> None:
    plan = await planned(KIMI3, reasoning="off")
    assert prompt(plan).endswith("<|open|>response<|sep|>")
    assert plan.requests[0].reasoning is None
    parser = plan.parser()
    found = collect(parser.feed("Hi.<|close|>response<|sep|>") + parser.finish())
    assert (found.content, found.reasoning) == ("Hi.", "")
    plan = await planned(KIMI3, reasoning="off", response_format={"type": "json_object"})
    assert prompt(plan).endswith("<|open|>response<|sep|>")


async def test_thoughts_may_end_at_a_call_where_tools_are_offered_and_the_family_calls_amid_them() -> None:
    for options, call in (
        ({}, ""),
        ({"tools": [TIME]}, "<|tools_prefix|>"),
        ({"tools": [TIME], "tool_choice": "none"}, ""),
    ):
        prelude = (await planned(APERTUS, reasoning="on", **options)).requests[0].reasoning
        assert prelude is not None
        assert (prelude.start, prelude.end, prelude.call) == ("<|inner_prefix|>", "<|inner_suffix|>", call)
    prelude = (await planned(QWEN3, reasoning="on", tools=[TIME])).requests[0].reasoning
    assert prelude is not None
    assert prelude.call == ""
