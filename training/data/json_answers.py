"""Answers inside JSON: any keys, in the order of the schema, with the value that the key's name asks for.

A field for an answer gets the whole sentence, whatever its name: the sentence repeats what was asked for, and from there a
small model finds the answer far more often than from nothing.
"""

import json
import random
from dataclasses import replace
from typing import Any

from training.chat import Sample, chat
from training.data.json_text import COMPACT, FORCED, Style, pieces_of
from training.data.systems import system_prompt
from training.data.talk import Exchange, any_exchange, service_exchange
from training.data.words import snake

SENTENCE_KEYS = ("response_body", "message", "reply", "response", "text", "content", "output", "body", "sentence", "full_answer",
                 "response_text", "assistant_message", "statement", "preamble", "final_message", "revised_response")  # fmt: skip
SHORT_KEYS = ("answer", "result", "value", "name", "solution", "short_answer", "final_answer", "label", "item")
ECHO_KEYS = (
    "question",
    "query",
    "last_message_of_user",
    "customer_message",
    "user_message",
    "request",
    "input",
    "prompt",
)
REASON_KEYS = (
    "rationale",
    "reason",
    "reasoning",
    "explanation",
    "thought",
    "thoughts",
    "tldr",
    "analysis",
    "evaluation",
    "summary",
)
TOPIC_KEYS = ("topic", "category", "subject", "field", "domain")
KNOWN_KEYS = ("known", "is_known", "answered", "found", "success", "ok", "is_correct", "can_answer", "valid")
FLAG_KEYS = ("is_question", "needs_answer", "applies", "relevant", "is_relevant")
NUMBER_KEYS = ("number", "count", "amount", "total", "quantity", "sum")
LIST_KEYS = ("answers", "results", "values", "keywords", "items", "names", "topics")
TEXT_LIST_KEYS = ("insights", "sentences", "facts", "notes", "guidelines", "steps", "replies")
FAMILY_KEYS = {"geography": ("capital", "city", "country", "place", "location"), "literature": ("author", "writer"),
               "science": ("symbol", "element"), "animals": ("animal",), "astronomy": ("planet",), "colors": ("color",),
               "money": ("currency",), "language": ("word", "translation")}  # fmt: skip

Property = tuple[dict[str, Any], Any]


def _field(rng: random.Random, exchange: Exchange) -> tuple[str, Property]:
    """A key, its schema, and the value the answer has there."""
    string, boolean, integer = {"type": "string"}, {"type": "boolean"}, {"type": "integer"}
    known = exchange.kind != "unknown"
    draw = rng.random()
    if draw < 0.24:
        return rng.choice(SENTENCE_KEYS), (string, exchange.sentence)
    if draw < 0.36:
        if exchange.number and rng.random() < 0.4:
            return rng.choice((*SHORT_KEYS, *NUMBER_KEYS)), (integer, int(exchange.short))
        return rng.choice(SHORT_KEYS), (string, exchange.sentence)
    if draw < 0.44:
        return rng.choice(FAMILY_KEYS.get(exchange.topic, SHORT_KEYS)), (string, exchange.sentence)
    if draw < 0.5:
        return rng.choice(ECHO_KEYS), (string, exchange.asked)
    if draw < 0.6:
        return rng.choice(REASON_KEYS), (string, exchange.reason)
    if draw < 0.65:
        return rng.choice(TOPIC_KEYS), (string, exchange.topic)
    if draw < 0.7:
        return rng.choice(KNOWN_KEYS), (boolean, known)
    if draw < 0.74:
        return rng.choice(FLAG_KEYS), (boolean, exchange.kind != "talk")
    if draw < 0.77:
        return rng.choice(("confidence", "certainty")), (
            {"enum": ["low", "medium", "high"]},
            "high" if known else "low",
        )
    if draw < 0.8:
        return "language", (string, "English")
    if draw < 0.83:
        return rng.choice(LIST_KEYS), ({"type": "array", "items": string}, [exchange.sentence])
    if draw < 0.86:
        return rng.choice(TEXT_LIST_KEYS), ({"type": "array", "items": string}, [exchange.sentence])
    if draw < 0.9:
        return rng.choice(NUMBER_KEYS), (integer, int(exchange.short) if exchange.number else 0)
    if draw < 0.93:
        kinds = {"fact": "fact", "talk": "small talk", "unknown": "unknown", "service": "service"}
        return rng.choice(("kind", "type", "class")), ({"enum": list(kinds.values())}, kinds[exchange.kind])
    return snake(rng), (string, exchange.sentence)


def _object(rng: random.Random, exchange: Exchange) -> tuple[dict[str, Any], dict[str, Any]]:
    count = rng.choices((1, 2, 3, 4, 5), (60, 25, 10, 3, 2))[0]
    fields = dict(_field(rng, exchange) for _ in range(count))
    if count > 1 and rng.random() < 0.12:
        key = rng.choice(("result", "data", "output", "reply", "payload", snake(rng)))
        inner_schema, inner = _assemble(rng, dict(_field(rng, exchange) for _ in range(rng.choice((1, 2)))))
        fields[key] = (inner_schema, inner)
    return _assemble(rng, fields)


def _assemble(rng: random.Random, fields: dict[str, Property]) -> tuple[dict[str, Any], dict[str, Any]]:
    titled = rng.random() < 0.5
    properties = {}
    for key, (schema, _) in fields.items():
        shown = dict(schema)
        if "type" in shown and shown["type"] != "object" and rng.random() < 0.1:
            shown = {"anyOf": [shown, {"type": "null"}]}
        properties[key] = (
            {**shown, "title": key.replace("_", " ").title()} if titled and "properties" not in shown else shown
        )
    schema: dict[str, Any] = {"type": "object", "properties": properties, "required": list(fields)}
    if rng.random() < 0.3:
        schema["additionalProperties"] = False
    if titled and rng.random() < 0.5:
        schema = {"title": snake(rng).title().replace("_", ""), **schema}
    if rng.random() < 0.3:
        schema = {"properties": properties, "required": list(fields), "type": "object"}
    return schema, {key: value for key, (_, value) in fields.items()}


_ASKS = (
    "Answer in JSON with this schema: {shape}", "Answer with a JSON object that follows this schema:\n{shape}",
    "Respond with JSON only. Schema: {shape}", "Your answer must be valid JSON for this schema:\n```json\n{shape}\n```",
    "Return a JSON object matching {shape}", "Produce a valid JSON object according to the following spec: ###\n{shape}\n###",
    "Reply in this JSON format: {shape}", "Use the JSON schema below for your reply.\n{shape}", "Format: {shape}",
    "Respond with a JSON object that validates against this schema:\n\n{shape}\n\nWrite nothing else.",
)  # fmt: skip


def _shape(rng: random.Random, schema: dict[str, Any], document: dict[str, Any]) -> str:
    draw = rng.random()
    if draw < 0.6:
        indent = rng.choice((None, None, None, 2))
        return json.dumps(schema, indent=indent, separators=None if indent or rng.random() < 0.6 else (",", ":"))
    if draw < 0.8:
        return json.dumps(
            {key: _placeholder(value) for key, value in document.items()}, indent=rng.choice((None, 2, 4))
        )
    names = {str: "string", bool: "boolean", int: "integer", list: "array", dict: "object"}
    return "an object with " + ", ".join(f'"{key}" ({names[type(value)]})' for key, value in document.items())


def _placeholder(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _placeholder(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return ["<string>"]
    return "<BOOL>" if isinstance(value, bool) else "<number>" if isinstance(value, int) else "<string>"


def json_sample(rng: random.Random) -> Sample:
    """A question whose answer is a JSON object, with the schema in the prompt or only in the decoder."""
    exchange = service_exchange(rng) if rng.random() < 0.12 else any_exchange(rng)
    schema, document = _object(rng, exchange)
    declared = rng.random() < 0.7
    style: Style = COMPACT if declared else FORCED
    draw = rng.random()
    if not declared and draw < 0.3:
        style = replace(FORCED, comma=", ", colon=": ")
    elif not declared and draw < 0.5:
        style = replace(FORCED, comma=", ", colon=": ", indent=2)
    answer = pieces_of(document, style)
    system = system_prompt(rng) if rng.random() < 0.35 else None
    question = exchange.asked
    if declared:
        ask = rng.choice(_ASKS).format(shape=_shape(rng, schema, document))
        place = rng.random()
        if place < 0.2:
            system = f"{system}\n{ask}" if system else ask
        elif place < 0.4:
            question = f"{ask}\n\n{question}"
        else:
            question = f"{question}{rng.choice((' ', chr(10), chr(10) * 2))}{ask}"
    turns: list[tuple[str, Any]] = []
    if rng.random() < 0.15:
        earlier = any_exchange(rng)
        turns += [("user", earlier.asked), ("assistant", earlier.sentence)]
    turns += [("user", question), ("assistant", answer)]
    return chat(turns, system, split=rng.random() < 0.5)
