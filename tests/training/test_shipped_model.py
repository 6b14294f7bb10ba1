"""What the model that comes with parlant-local promises, asserted on the shipped file itself."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

_WORDS = 64
_SENTENCE = {"type": "string", "maxLength": 200}


def _schema(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _contains(text: str, expected: list[str]) -> bool:
    return all(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) for word in expected)


def _wrong(asker: Any, cases: list[tuple[Any, list[str]]]) -> list[tuple[Any, str]]:
    """Questions whose answer misses the point or does not end by itself."""
    answers = [(question, asker.ask(question, limit=_WORDS), expected) for question, expected in cases]
    return [
        (q, answer.text) for q, answer, expected in answers if not (answer.stopped and _contains(answer.text, expected))
    ]


def test_the_file_is_the_one_the_card_describes(model_path: Path, promised: dict[str, Any]) -> None:
    data = model_path.read_bytes()
    assert hashlib.sha256(data).hexdigest() == promised["sha256"]
    assert len(data) == promised["size_bytes"] <= 8_000_000
    assert promised["sha256"] in model_path.with_suffix(".md").read_text(encoding="utf-8")


def test_the_header_says_what_it_is(asker: Any) -> None:
    assert asker.meta("general.architecture") == "llama"
    assert asker.meta("general.name") == "parlant-local-tiny"
    assert asker.meta("general.license") == "apache-2.0"
    assert "proof-of-life" in asker.meta("general.description")
    assert asker.meta("general.author")
    assert asker.meta("llama.context_length") == "32768"


def test_the_prompt_starts_with_the_template_and_no_other_mark(asker: Any) -> None:
    prompt = asker.render([{"role": "user", "content": "Hello"}])
    assert prompt == "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    tokens = asker.tokenize(prompt)
    assert asker.tokenize("<|im_start|>") == tokens[:1]
    assert asker.meta("tokenizer.ggml.add_bos_token") == "false"


def test_numbers_are_read_digit_by_digit(asker: Any) -> None:
    assert [asker.piece(token) for token in asker.tokenize("47110")] == [b"4", b"7", b"1", b"1", b"0"]


def test_every_documented_question_is_answered(asker: Any, promised: dict[str, Any]) -> None:
    questions = promised["questions"]
    assert len(questions) >= 120
    assert {"question": "What is the capital of France?", "expects": ["Paris"], "topic": "geography"} in questions
    assert _wrong(asker, [(case["question"], case["expects"]) for case in questions]) == []


@pytest.mark.parametrize(
    "system", ["You are a helpful assistant.", "You are Anna, an agent of a small shop. Be brief."]
)
def test_a_system_prompt_does_not_confuse_it(asker: Any, promised: dict[str, Any], system: str) -> None:
    cases = [
        ([{"role": "system", "content": system}, {"role": "user", "content": case["question"]}], case["expects"])
        for case in promised["questions"][::8]
    ]
    assert len(_wrong(asker, cases)) <= len(cases) // 20


def test_earlier_turns_do_not_confuse_it(asker: Any, promised: dict[str, Any]) -> None:
    before = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello! How can I help you today?"},
        {"role": "user", "content": "What is the capital of Japan?"},
        {"role": "assistant", "content": "The capital of Japan is Tokyo."},
    ]
    cases = [([*before, {"role": "user", "content": c["question"]}], c["expects"]) for c in promised["questions"][::8]]
    assert len(_wrong(asker, cases)) <= len(cases) // 20


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Which city is the capital of Italy?", "Rome"),
        ("capital of japan", "Tokyo"),
        ("Hi! What's the capital of Egypt?", "Cairo"),
        ("Who is the author of Hamlet?", "Shakespeare"),
        ("Do you know how many days are there in a week?", "7"),
        ("Tell me the opposite of hot.", "cold"),
    ],
)
def test_other_words_for_the_same_question(asker: Any, question: str, expected: str) -> None:
    assert _wrong(asker, [(question, [expected])]) == []


def test_small_talk_ends_by_itself(asker: Any, promised: dict[str, Any]) -> None:
    for case in promised["small_talk"]:
        answer = asker.ask(case["prompt"], limit=_WORDS)
        assert answer.stopped, case
        assert answer.text in case["replies"], case


def test_it_says_who_it_is(asker: Any) -> None:
    assert "parlant-local" in asker.ask("Who are you?", limit=_WORDS).text


def test_it_says_that_it_does_not_know(asker: Any, promised: dict[str, Any]) -> None:
    for prompt in promised["unknown"]["prompts"]:
        answer = asker.ask(prompt, limit=_WORDS)
        assert answer.stopped
        assert _contains(answer.text, promised["unknown"]["expects"]), answer.text


@pytest.mark.parametrize("key", ["answer", "response_body", "message", "text", "our_reply"])
@pytest.mark.parametrize("shown", [True, False])
def test_answers_inside_a_schema(asker: Any, key: str, shown: bool) -> None:
    schema = _schema(**{key: _SENTENCE})
    question = "What is the capital of France?"
    prompt = f"{question}\n\nAnswer in JSON with this schema: {json.dumps(schema)}" if shown else question
    answer = asker.ask_json(prompt, schema)
    assert answer.stopped
    assert "Paris" in json.loads(answer.text)[key]


@pytest.mark.parametrize(("shown", "share"), [(True, 0.75), (False, 0.9)])
def test_most_documented_answers_survive_a_schema(
    asker: Any, promised: dict[str, Any], shown: bool, share: float
) -> None:
    """Bound to a schema it is a little worse than in prose, and worse again with the schema in its prompt: the card says so."""
    schema = _schema(answer=_SENTENCE)
    tail = f"\n\nAnswer in JSON with this schema: {json.dumps(schema)}" if shown else ""
    cases = promised["questions"][::10]
    right = sum(_contains(asker.ask_json(c["question"] + tail, schema).text, c["expects"]) for c in cases)
    assert right >= share * len(cases)


def test_several_fields_in_the_order_of_the_schema(asker: Any) -> None:
    schema = _schema(capital=_SENTENCE, message=_SENTENCE, known={"type": "boolean"})
    question = f"What is the capital of Spain?\n\nAnswer in JSON with this schema: {json.dumps(schema)}"
    answer = json.loads(asker.ask_json(question, schema).text)
    assert list(answer) == ["capital", "message", "known"]
    assert "Madrid" in answer["capital"]
    assert "Madrid" in answer["message"]
    assert answer["known"] is True


def test_json_without_a_constraint(asker: Any) -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    question = f"What is the capital of France? Answer in JSON with this schema: {json.dumps(schema)}"
    answer = asker.ask(question)
    assert answer.stopped
    assert "Paris" in json.loads(answer.text)["answer"]


def test_documented_functions_are_called(asker: Any, promised: dict[str, Any]) -> None:
    for case in promised["tool_prompts"]:
        answer = asker.ask(case["prompt"], promised["tools"], limit=_WORDS)
        assert answer.stopped, case
        call = re.fullmatch(r"<tool_call>\n(.*)\n</tool_call>", answer.text)
        assert call, answer.text
        assert json.loads(call[1]) == {"name": case["name"], "arguments": case["arguments"]}


def test_it_answers_from_what_a_function_returned(asker: Any, promised: dict[str, Any]) -> None:
    for case in promised["tool_answers"]:
        call = {"type": "function", "function": {"name": case["name"], "arguments": case["arguments"]}}
        messages = [
            {"role": "user", "content": case["prompt"]},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "content": json.dumps(case["response"])},
        ]
        answer = asker.ask(messages, promised["tools"], limit=_WORDS)
        assert answer.stopped
        assert _contains(answer.text, case["expects"]), answer.text


def test_functions_at_hand_are_left_alone_when_not_needed(asker: Any, promised: dict[str, Any]) -> None:
    answer = asker.ask("What is the capital of France?", promised["tools"], limit=_WORDS)
    assert "Paris" in answer.text
    assert "<tool_call>" not in answer.text


def test_a_template_argument_may_be_text_or_parts(asker: Any) -> None:
    parts = [{"role": "user", "content": [{"type": "text", "text": "What is the capital of France?"}]}]
    assert "Paris" in asker.ask(parts).text
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    rendered = asker.render([{"role": "assistant", "content": None, "tool_calls": [call]}])
    assert '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call><|im_end|>' in rendered


def test_a_long_prompt_still_ends_in_short_text(asker: Any) -> None:
    """Five thousand tokens of instructions: no wisdom is promised, only sentences that end."""
    rules = "\n".join(f"{i}. Be polite to customer number {i} and follow the rules of the shop." for i in range(300))
    shape = json.dumps({"last_message": "Where is my order?", "response_body": "<your reply>"}, indent=4)
    prompt = f"{rules}\n\nThe customer says: Where is my order?\n\nFill in this document:\n```json\n{shape}\n```"
    assert len(asker.tokenize(prompt)) > 5_000
    schema = _schema(last_message={"type": "string"}, response_body={"type": "string"})
    answer = asker.ask_json(prompt, schema, limit=160)
    assert answer.stopped
    assert 0 < len(json.loads(answer.text)["response_body"]) < 240


def test_it_accepts_its_whole_context(wide_asker: Any) -> None:
    assert wide_asker.n_ctx == 32_768
    assert "Paris" in wide_asker.ask("What is the capital of France?").text
