"""Levers: what `generation.calls` changes in prompts, schemas and options, and that the host understands the answers all the same."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
from parlant.core.engines.alpha.prompt_builder import BuiltInSection, PromptBuilder
from pydantic import BaseModel

from parlant_local.errors import SettingsError
from parlant_local.messages import ChatReply, Usage
from parlant_local.nlp import LlamaService, LocalNLPService
from parlant_local.nlp.calls import as_text
from parlant_local.nlp.levers import family_of, levers_for
from parlant_local.nlp.reasons import is_reason, placed
from parlant_local.nlp.schemas import answer_type
from parlant_local.nlp.service import SHIPPED_MODEL_ID
from parlant_local.observability import NullLogger
from parlant_local.settings import Settings
from parlant_local.settings.calls import CALL_FAMILIES, CallSettings
from parlant_local.shipped import SHIPPED_ID
from tests.fakes.scripted import Call, ScriptedBackend
from tests.nlp.test_host_schemas import PROMPT, SCHEMAS, check

CHECKS = "GenericActionableGuidelineMatchesSchema"
OUTPUT = "actionable-guideline-output-format"


class Check(BaseModel):
    guideline_id: str
    condition: str
    rationale: str
    applies: bool


class GenericActionableGuidelineMatchesSchema(BaseModel):
    """The host's schema of this name, for prompts made here."""

    checks: list[Check]


def matching_prompt(condition: str = "the customer says ol\u00e1") -> PromptBuilder:
    """As the host makes it: the condition escaped, and once more inside of JSON; the conversation as a list of JSON texts."""
    escaped = json.dumps(condition)[1:-1]
    entry = {"guideline_id": "1", "condition": escaped, "rationale": "<why>", "applies": "<BOOL>"}
    event = json.dumps({"data": {"message": "Ol\u00e1 \U0001f600, C:\\u00e1 is my\u3000folder\u2028\u00e9"}})
    prompt = PromptBuilder()
    prompt.add_section("actionable-guideline-matcher-examples-of-evaluations", "EXAMPLES", {})
    prompt.add_section(BuiltInSection.INTERACTION_HISTORY, "Events: {events}\n", {"events": [event]})
    prompt.add_section(BuiltInSection.GUIDELINES, "1) Condition: {text}", {"text": escaped})
    return prompt.add_section(OUTPUT, "{result_structure_text}", {"result_structure_text": json.dumps([entry])})


async def asked(prompt: str | PromptBuilder, calls: Mapping[str, Any], hints: Mapping[str, Any] = {}) -> Call:
    backend = ScriptedBackend()
    settings = Settings.load(None, **{"generation.calls": dict(calls)})
    local = LocalNLPService(backend, settings=settings, logger=NullLogger())
    generator = await local.get_schematic_generator(GenericActionableGuidelineMatchesSchema)  # type: ignore[type-var]  # a model of the test
    await generator.generate(prompt, hints)
    return backend.calls[-1]


def checked(call: Call) -> dict[str, Any]:
    """The schema of the one check."""
    schema: Any = call.params.response_format.schema
    found: dict[str, Any] = schema["properties"]["checks"]["prefixItems"][0]["properties"]
    return found


async def test_options_of_a_kind_of_call_win_over_hints_the_more_special_one_first() -> None:
    calls = {"all": {"temperature": 1.5, "min_p": 0.1, "top_k": 5}, "matching": {"temperature": 0.5, "top_k": 7}}
    params = (await asked("?", {**calls, CHECKS: {"temperature": 0}}, {"temperature": 0.15, "seed": 3})).params
    assert params.sampling == {"temperature": 0, "min_p": 0.1, "top_k": 7, "seed": 3}
    params = (await asked("?", {"tools": {"temperature": 1}}, {"temperature": 0.15})).params
    assert params.sampling == {"temperature": 0.15}
    params = (await asked("?", {"matching": {"reasoning": "always", "reasoning_tokens": 64, "max_tokens": 300}})).params
    assert (params.reasoning, params.reasoning_tokens, params.max_tokens) == ("always", 64, 300)


async def test_an_answer_without_a_limit_is_asked_for_again_with_one() -> None:
    cut = ChatReply('{"checks":[', finish_reason="length", usage=Usage(10, 32))
    answers = [cut, '{"checks":[]}']
    backend = ScriptedBackend(answers={CHECKS: lambda _call: answers.pop(0)})
    settings = Settings.load(None, **{"generation.calls": {"all": {"max_tokens": -1}}})
    local = LocalNLPService(backend, settings=settings, logger=NullLogger())
    generator = await local.get_schematic_generator(GenericActionableGuidelineMatchesSchema)  # type: ignore[type-var]  # a model of the test
    await generator.generate("?")
    assert [(call.params.unlimited, call.params.max_tokens) for call in backend.calls] == [(True, None), (False, 64)]


@pytest.mark.parametrize(
    "calls",
    [{"matchin": {}}, {"matching": {"temprature": 1}}, {"matching": {"temperature": -1}}, {"all": {"reasons": "late"}}],
)
def test_a_lever_that_there_is_not_is_an_error(calls: Any) -> None:
    with pytest.raises(SettingsError, match=r"generation\.calls"):
        Settings.load(None, **{"generation.calls": calls})


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLANT_LOCAL_GENERATION__CALLS__MATCHING__BOOLEAN_BIAS", "-1.5")
    levers = levers_for(CHECKS, Settings().generation.calls)
    assert levers.options == {"boolean_bias": -1.5}


def test_every_schema_of_the_host_has_its_family() -> None:
    found = {schema.__name__: family_of(schema.__name__) for schema in SCHEMAS}
    assert [name for name, family in found.items() if family is None] == []
    assert set(found.values()) == set(CALL_FAMILIES)
    assert family_of("streaming") == "replies"
    assert family_of("Capital") is None


async def test_examples_stay_unless_they_are_left_out() -> None:
    assert "EXAMPLES" in (await asked(matching_prompt(), {})).prompt
    assert "EXAMPLES" not in (await asked(matching_prompt(), {"matching": {"examples": False}})).prompt
    assert "EXAMPLES" in (await asked(matching_prompt(), {"tools": {"examples": False}})).prompt


async def test_letters_are_escaped_as_the_host_has_them_unless_they_are_to_be_plain() -> None:
    call = await asked(matching_prompt(), {})
    assert "the customer says ol\\u00e1" in call.prompt
    assert checked(call)["condition"] == {"const": "the customer says ol\\u00e1"}


async def test_plain_letters() -> None:
    call = await asked(matching_prompt(), {"all": {"plain_letters": True}})
    assert 'message": "Ol\u00e1 \U0001f600, C:\\\\\\\\u00e1 is my\u3000folder\\\\u2028\u00e9"' in call.prompt, (
        "what the customer wrote like that stays, and so does what is no letter"
    )
    assert "1) Condition: the customer says ol\u00e1" in call.prompt
    assert '"condition": "the customer says ol\u00e1"' in call.prompt
    assert checked(call)["condition"] == {"const": "the customer says ol\u00e1"}
    assert checked(call)["guideline_id"] == {"const": "1"}


async def test_plain_letters_of_many_planes_and_none() -> None:
    condition = "\u6211\u60f3\u9000\u8d27 \U0001f600 \u00df"
    call = await asked(matching_prompt(condition), {"all": {"plain_letters": True}})
    assert f"1) Condition: {condition}" in call.prompt
    assert checked(call)["condition"] == {"const": condition}
    odd = "half a pair: \\ud83d, the other: \\ude00, a bell: \\u0007, a quote: \\u0022, an order: \\u202e"
    prompt = PromptBuilder().add_section("a", odd)
    assert (await asked(prompt, {"all": {"plain_letters": True}})).prompt == odd
    assert (await asked("\\u00e1", {"all": {"plain_letters": True}})).prompt == "\\u00e1", "no prompt of the host's"


@pytest.mark.parametrize(
    ("reasons", "order"),
    [
        ("as_asked", ["guideline_id", "condition", "rationale", "applies"]),
        ("before", ["guideline_id", "condition", "rationale", "applies"]),
        ("after", ["guideline_id", "condition", "applies", "rationale"]),
        ("none", ["guideline_id", "condition", "rationale", "applies"]),
    ],
)
async def test_where_reasons_are_given(reasons: str, order: list[str]) -> None:
    found = checked(await asked(matching_prompt(), {"matching": {"reasons": reasons}}))
    assert list(found) == order
    assert found["rationale"] == ({"const": ""} if reasons == "none" else found["rationale"])
    assert found["applies"] == {"title": "Applies", "type": "boolean"}


def test_what_is_a_reason_in_the_hosts_schemas() -> None:
    """By name, out of every schema that the host asks for: no field that it decides by."""
    found = {name for schema in SCHEMAS for name in _names(answer_type(schema).schema) if is_reason(name)}
    assert found >= {"rationale", "tldr", "reasoning_tldr", "insights", "next_step_rationale"}
    decisions = {"applies", "should_run", "calls", "args", "chosen_template_id", "response_body", "next_step", "action"}
    decisions |= {"content", "preamble", "field_value", "value_as_string", "valid_invalid_or_missing", "is_applicable"}
    decisions |= {"rewritten_action", "requires_disambiguation", "clarification_action", "guideline_applied"}
    assert not found & decisions


def _names(node: Any) -> list[str]:
    if isinstance(node, list):
        return [name for item in node for name in _names(item)]
    if not isinstance(node, Mapping):
        return []
    return [*node.get("properties", {}), *(name for value in node.values() for name in _names(value))]


def test_a_schema_without_reasons_is_left_alone() -> None:
    schema = {"type": "object", "properties": {"b": {"type": "string"}, "a": {"const": {"rationale": 1}}}}
    assert placed(schema, "after") is schema
    assert placed(schema, "none") is schema


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["before", "after", "none", "added"])
async def service(request: pytest.FixtureRequest) -> AsyncIterator[LlamaService]:
    settings = Settings.load(None, **{"generation.calls": {"all": {"reasons": request.param, "max_tokens": 400}}})
    made = LlamaService(model_id=SHIPPED_MODEL_ID, settings=settings, logger=NullLogger())
    yield made
    await made.close()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.__name__)
async def test_the_hosts_types_take_answers_in_any_order(service: LlamaService, schema: Any) -> None:
    """From the real engine, whose answers have their keys in the schema's order."""
    generator = await service.get_schematic_generator(schema)
    check(schema, (await generator.generate(PROMPT, {"temperature": 0})).content)
    assert service.stats()[schema.__name__]["failed"] == 0


def test_the_bundled_model_gets_no_examples_unless_they_are_asked_for() -> None:
    prompt = matching_prompt()
    told = as_text(levers_for(CHECKS, {}, SHIPPED_ID).prompt(prompt))
    assert "EXAMPLES" not in told
    assert "EXAMPLES" in as_text(levers_for(CHECKS, {}, "local/llama/other").prompt(prompt))
    wanted = {"all": CallSettings(examples=True)}
    assert "EXAMPLES" in as_text(levers_for(CHECKS, wanted, SHIPPED_ID).prompt(prompt))


def test_decisions_without_a_word_get_a_reason_where_one_is_added() -> None:
    flag, words = {"type": "boolean"}, {"type": "string"}
    silent = {"properties": {"id": {"const": "1"}, "met": flag, "again": flag}, "required": ["id", "again"]}
    told = {"properties": {"tldr": words, "met": flag}, "required": ["tldr", "met"]}
    others = {"properties": {"name": words, "odd": True}, "required": ["name"]}
    schema = {"$defs": {"one": silent, "two": told, "three": others}, "properties": {"all": {"items": silent}}}
    found = placed(schema, "added")
    expected = {
        "properties": {"id": {"const": "1"}, "rationale": words, "met": flag, "again": flag},
        "required": ["id", "rationale", "again"],
    }
    assert found["properties"]["all"]["items"] == found["$defs"]["one"] == expected
    assert list(found["$defs"]["one"]["properties"]) == ["id", "rationale", "met", "again"]
    assert (found["$defs"]["two"], found["$defs"]["three"]) == (told, others)
    assert placed(told, "added") is told


def test_the_bundled_model_names_what_both_say_before_it_decides_again() -> None:
    again = "GenericPreviouslyAppliedActionableGuidelineMatchesSchema"
    schema = {"properties": {"condition": {"const": "c"}, "should_reapply": {"type": "boolean"}}, "required": []}
    asked_of = {
        model: list(levers_for(again, {}, model).schema(schema, "?")["properties"]) for model in (SHIPPED_ID, "another")
    }
    assert asked_of[SHIPPED_ID] == ["condition", "rationale", "should_reapply"]
    assert asked_of["another"] == ["condition", "should_reapply"]
    off = {again: CallSettings(reasons="as_asked")}
    assert levers_for(again, off, SHIPPED_ID).schema(schema, "?") is schema
