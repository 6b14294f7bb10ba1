"""Asks the exported file everything it promises, and more than that, and prints the score."""

import argparse
import json
import random
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from training.ask import Asker
from training.chat import chat
from training.data.facts import all_facts
from training.data.host import host_sample
from training.data.systems import system_prompt
from training.data.talk import any_exchange
from training.data.tools import call_text
from training.data.unknown import unknown_question
from training.documented import documented, promised_facts

FACTS = promised_facts()
TARGET = Path(__file__).parent.parent / "src" / "parlant_local" / "models" / "parlant-local-tiny.gguf"

_SCHEMAS: tuple[dict[str, Any], ...] = (
    {"answer": {"type": "string"}},
    {"response_body": {"type": "string"}},
    {"capital": {"type": "string"}, "explanation": {"type": "string"}},
    {"user_said": {"type": "string"}, "verdict": {"type": "boolean"}, "our_answer": {"type": "string"}},
)


def _schema(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def score(name: str, cases: Iterable[Any], passes: Callable[[Any], tuple[bool, str]], show: int) -> float:
    """Prints the share of cases that pass, and a few that do not."""
    results = [(case, *passes(case)) for case in cases]
    good = sum(ok for _, ok, _ in results)
    print(f"{name}: {good}/{len(results)} = {100 * good / len(results):.1f} %", flush=True)
    for case, ok, said in results:
        if not ok and show > 0:
            show -= 1
            label = case.question if hasattr(case, "question") else case
            print(f"    {str(label)[:110]!r} -> {said[:160]!r}")
    return good / len(results)


def contains(text: str, expected: Iterable[str]) -> bool:
    """Whether every expected word is there."""
    return all(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) for word in expected)


def check_writing(asker: Asker) -> None:
    """Training text and the shipped template must be the same, letter for letter."""
    tools = documented()["tools"]
    arguments = {"city": "Paris"}
    call = {"type": "function", "function": {"name": "get_weather", "arguments": arguments}}
    for system in (None, "Be brief."):
        for offered in ([], tools):
            turns = [("user", "Hi"), ("assistant", "Hello!"), ("user", "What is the weather in Paris?")]
            messages: list[dict[str, Any]] = [{"role": role, "content": text} for role, text in turns]
            if system:
                messages.insert(0, {"role": "system", "content": system})
            turns += [("assistant", call_text("get_weather", arguments)), ("tool", '{"condition": "sunny"}')]
            messages += [{"role": "assistant", "content": "", "tool_calls": [call]}]
            messages += [{"role": "tool", "content": '{"condition": "sunny"}'}]
            written = chat(turns, system, offered).text + "<|im_start|>assistant\n"
            rendered = asker.render(messages, offered or None)
            if written != rendered:
                raise ValueError(f"the template writes {rendered!r}, training wrote {written!r}")


def check_chat(asker: Asker, rng: random.Random, show: int) -> dict[str, float]:
    """Prose: documented and other wordings, company, small talk, and what it cannot know."""

    def fact(question: Callable[[Any], Any]) -> Callable[[Any], tuple[bool, str]]:
        def passes(case: Any) -> tuple[bool, str]:
            answer = asker.ask(question(case))
            return answer.stopped and contains(answer.text, [case.answer.removeprefix("the ")]), answer.text

        return passes

    def later(case: Any) -> list[dict[str, Any]]:
        messages = [{"role": "system", "content": system_prompt(rng)}]
        for _ in range(2):
            exchange = any_exchange(rng)
            messages += [
                {"role": "user", "content": exchange.asked},
                {"role": "assistant", "content": exchange.sentence},
            ]
        return [*messages, {"role": "user", "content": case.question}]

    def system(case: Any) -> list[dict[str, Any]]:
        return [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": case.question},
        ]

    def talk(case: Any) -> tuple[bool, str]:
        answer = asker.ask(case["prompt"])
        return answer.stopped and answer.text in case["replies"], answer.text

    def stops(case: str) -> tuple[bool, str]:
        answer = asker.ask(case)
        return answer.stopped and "know" in answer.text, answer.text

    promised = documented()
    some = rng.sample(FACTS, 80)
    sums = [fact for fact in all_facts() if fact.family == "sum"]
    return {
        "facts": score("facts, documented wording", FACTS, fact(lambda case: case.question), show),
        "facts_system": score("facts, with a system prompt", some, fact(system), show),
        "facts_turn3": score("facts, third turn", some, fact(later), show),
        "paraphrases": score("facts, trained paraphrases", some, fact(lambda case: rng.choice(case.paraphrases)), show),
        "paraphrases_unseen": score("facts, unseen paraphrases", some, fact(lambda case: case.unseen[0]), show),
        "sums": score("sums (not promised)", rng.sample(sums, 20), fact(lambda case: case.question), 0),
        "small_talk": score("small talk", promised["small_talk"], talk, show),
        "unknown": score("unknown declined", [unknown_question(rng) for _ in range(40)], stops, show),
    }


def check_json(asker: Asker, rng: random.Random, show: int) -> dict[str, float]:
    """The same questions, bound to schemas, with and without the schema in the prompt."""
    scores = {}
    for properties in _SCHEMAS:
        schema = _schema(properties)
        for shown in (False, True):

            def passes(case: Any, schema: dict[str, Any] = schema, shown: bool = shown) -> tuple[bool, str]:
                tail = f"\n\nAnswer in JSON with this schema: {json.dumps(schema)}" if shown else ""
                answer = asker.ask_json(case.question + tail, schema)
                return answer.stopped and contains(answer.text, [case.answer.removeprefix("the ")]), answer.text

            keys = ",".join(properties)
            label = f"json {{{keys}}} {'shown' if shown else 'not shown'}"
            scores[label] = score(label, rng.sample(FACTS, 40), passes, show)
    return scores


def check_tools(asker: Asker, show: int) -> dict[str, float]:
    """Calls in the template's format, and answers from what came back."""
    promised = documented()

    def calls(case: dict[str, Any]) -> tuple[bool, str]:
        answer = asker.ask(case["prompt"], promised["tools"])
        expected = json.dumps({"name": case["name"], "arguments": case["arguments"]})
        return answer.stopped and answer.text == f"<tool_call>\n{expected}\n</tool_call>", answer.text

    def answers(case: dict[str, Any]) -> tuple[bool, str]:
        call = {"type": "function", "function": {"name": case["name"], "arguments": case["arguments"]}}
        messages = [
            {"role": "user", "content": case["prompt"]},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "content": json.dumps(case["response"])},
        ]
        answer = asker.ask(messages, promised["tools"])
        return answer.stopped and contains(answer.text, case["expects"]), answer.text

    def plain(case: Any) -> tuple[bool, str]:
        answer = asker.ask(case.question, promised["tools"])
        return answer.stopped and contains(answer.text, [case.answer.removeprefix("the ")]), answer.text

    return {
        "tool_calls": score("tool calls", promised["tool_prompts"], calls, show),
        "tool_answers": score("answers from tool responses", promised["tool_answers"], answers, show),
        "tools_unused": score("facts with tools at hand", FACTS[::8], plain, show),
    }


def check_pages(asker: Asker, show: int) -> dict[str, float]:
    """Long prompts of an agent framework: the reply is the taught one, every string ends, and how fast it is read."""
    scores = {}
    for characters in (2_000, 10_000, 20_000):
        seconds: list[float] = []
        sizes: list[int] = []

        def passes(
            case: int, characters: int = characters, seconds: list[float] = seconds, sizes: list[int] = sizes
        ) -> tuple[bool, str]:
            pages = random.Random(case)
            while True:
                sample = host_sample(pages, characters)
                text, _, expected = sample.text.rpartition("<|im_start|>assistant\n")
                document = json.loads(expected.removesuffix("<|im_end|>\n"))
                if isinstance(document, dict) and "response_body" in document:
                    break
            prompt = text + "<|im_start|>assistant\n"
            answer = asker.complete(prompt, 400, asker.bound_to(_schema(_shape_of(document))))
            seconds.append(answer.prefill_seconds)
            sizes.append(len(asker.tokenize(prompt)))
            said = json.loads(answer.text) if answer.stopped else {}
            return said.get("response_body") == document["response_body"], answer.text[-200:]

        label = f"pages of {characters:,} characters"
        scores[label] = score(label, range(1000, 1005), passes, show)
        print(f"    {sum(sizes) / len(sizes):.0f} tokens, {sum(seconds) / len(seconds):.2f} s to read")
    return scores


def _shape_of(document: dict[str, Any]) -> dict[str, Any]:
    kinds: dict[type, dict[str, Any]] = {str: {"type": "string"}, bool: {"type": "boolean"}, int: {"type": "integer"}}
    kinds[list] = {"type": "array", "items": {"type": "string"}}
    return {
        key: kinds.get(type(value), {"anyOf": [{"type": "string"}, {"type": "null"}]})
        for key, value in document.items()
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, nargs="?", default=TARGET)
    parser.add_argument("--show", type=int, default=3, help="failures to show per part")
    parser.add_argument("--scores", type=Path, help="write the scores to this file")
    arguments = parser.parse_args()
    rng = random.Random(5)
    with Asker(arguments.model, n_ctx=12_288) as asker:
        check_writing(asker)
        scores = check_chat(asker, rng, arguments.show)
        scores |= check_json(asker, rng, arguments.show)
        scores |= check_tools(asker, arguments.show)
        scores |= check_pages(asker, arguments.show)
    if arguments.scores:
        arguments.scores.write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
