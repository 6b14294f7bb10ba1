"""Quoted reasons and arguments: what the customer said stands in the answer without being sampled."""

from __future__ import annotations

import json
from typing import Any

import pytest
from parlant.core.engines.alpha.prompt_builder import BuiltInSection, PromptBuilder

from parlant_local.nlp.levers import levers_for
from parlant_local.nlp.quoting import LONGEST_QUOTE, customer_messages, quoted_arguments, reason_from
from parlant_local.nlp.reasons import placed
from parlant_local.settings import Settings

CHECKS = "GenericActionableGuidelineMatchesSchema"


def event(source: str, message: Any, kind: str = "message") -> str:
    return json.dumps({"event_kind": kind, "event_source": source, "data": {"participant": "x", "message": message}})


def history(*events: str) -> PromptBuilder:
    prompt = PromptBuilder()
    return prompt.add_section(
        BuiltInSection.INTERACTION_HISTORY, "{interaction_events}", {"interaction_events": events}
    )


def test_what_the_customer_said_is_read_from_the_hosts_events() -> None:
    tool = json.dumps({"event_kind": "tool", "event_source": "system-provided", "data": {"tool_calls": []}})
    prompt = history(
        event("user", "Hi, ol\u00e1"), event("ai_agent", "Hello"), event("user", 'Where is "A-1"?'), tool, "{"
    )
    assert customer_messages(prompt) == ["Hi, ol\u00e1", 'Where is "A-1"?']
    assert reason_from(customer_messages(prompt)) == 'They said: Where is "A-1"?'
    assert customer_messages("no prompt of the host's") == []
    assert customer_messages(PromptBuilder()) == []
    assert customer_messages(history(event("user", None))) == []


def _schema() -> dict[str, Any]:
    """Of each kind: a needed reason, one that may be left out, one that is a list, and a decision."""
    known = {
        "applies": {"type": "boolean"},
        "rationale": {"type": "string"},
        "tldr": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "insights": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
        "condition": {"const": "c"},
    }
    return {"type": "object", "properties": known, "required": ["applies", "rationale", "condition"]}


def test_quoted_reasons_come_before_the_decision_and_cannot_be_left_out() -> None:
    found: Any = placed(_schema(), "quoted", "They said: Hi")
    assert list(found["properties"]) == ["condition", "rationale", "tldr", "applies", "insights"]
    assert found["properties"]["rationale"] == found["properties"]["tldr"] == {"const": "They said: Hi"}
    assert found["properties"]["insights"] == _schema()["properties"]["insights"]
    assert found["required"] == ["condition", "rationale", "tldr", "applies"]


def test_where_nobody_has_said_anything_nothing_is_quoted() -> None:
    schema = _schema()
    assert placed(schema, "quoted") is schema
    assert quoted_arguments(schema, []) is schema
    assert quoted_arguments(schema, ["?!"]) is schema


def _arguments(**kinds: Any) -> dict[str, Any]:
    call = {"type": "object", "properties": {"args": {"type": "object", "properties": kinds}}}
    return {
        "type": "object",
        "properties": {"reasoning_tldr": {"type": "string"}, "calls": {"type": "array", "items": call}},
    }


def choices(schema: Any, name: str = "order_id") -> Any:
    return schema["properties"]["calls"]["items"]["properties"]["args"]["properties"][name]


@pytest.mark.parametrize(
    ("said", "among"),
    [
        ("Where is order 4711?", "4711"),
        ("It's (TRK-9), I think.", "TRK-9"),
        ("I live in Rio de Janeiro!", "Rio de Janeiro"),
        ("Der Termin am 3. M\u00e4rz, bitte", "3. M\u00e4rz"),
        ("one two three four five six seven", "two three four five six seven"),
    ],
)
def test_an_argument_is_words_of_the_customers(said: str, among: str) -> None:
    found = choices(quoted_arguments(_arguments(order_id={"type": "string"}), [said]))["enum"]
    assert among in found
    assert found[-1] == "<<__missing__>>"
    assert all(text in said for text in found[:-1])
    assert len(found) == len(set(found))
    assert max(len(text.split()) for text in found) <= LONGEST_QUOTE


def test_earlier_messages_count_the_latest_first_and_the_choice_is_bounded() -> None:
    said = ["the oldest", "My order is 123.", "word " * 300 + "last", "Where is it?"]
    found = choices(quoted_arguments(_arguments(order_id={"type": "string"}), said))["enum"]
    assert found[0] == "it"
    assert "last" in found
    assert "oldest" not in found
    assert len(found) <= 601
    assert "123" in choices(quoted_arguments(_arguments(order_id={"type": "string"}), said[:2]))["enum"]


def test_only_free_texts_among_arguments_are_bound() -> None:
    kept = {"size": {"type": "string", "enum": ["S", "M"]}, "count": {"type": "integer"}}
    found: Any = quoted_arguments(
        _arguments(order_id={"anyOf": [{"type": "string"}, {"type": "null"}]}, **kept), ["A 1"]
    )
    assert choices(found, "size") == kept["size"]
    assert choices(found, "count") == kept["count"]
    assert choices(found)["anyOf"][0]["enum"] == ["1", "A", "A 1", "<<__missing__>>"]
    assert choices(found)["anyOf"][1] == {"type": "null"}
    assert found["properties"]["reasoning_tldr"] == {"type": "string"}


def test_they_are_levers_like_the_others_and_off_by_default() -> None:
    prompt, quoted = history(event("user", "Where is order 12?")), {"reasons": "quoted", "arguments": "quoted"}
    calls = Settings.load(
        None, **{"generation.calls": {"all": quoted, "tools": {"reasons": "as_asked"}}}
    ).generation.calls
    assert levers_for(CHECKS, calls).schema(_schema(), prompt)["properties"]["rationale"] == {
        "const": "They said: Where is order 12?"
    }
    schema = _arguments(order_id={"type": "string"})
    found = levers_for("NonConsequentialToolBatchSchema", calls).schema(schema, prompt)
    assert "12" in choices(found)["enum"]
    assert found["properties"]["reasoning_tldr"] == {"type": "string"}
    assert levers_for(CHECKS, {}).schema(_schema(), prompt) == _schema()
