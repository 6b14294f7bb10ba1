"""Writes what ships beside the model file: its promises as JSON for tests and programs, and a card for people."""

import argparse
import hashlib
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from training.ask import Asker
from training.check import TARGET, contains
from training.data.tools import call_text
from training.documented import documented

BUILD = Path(__file__).parent / "build"
TEXT = Path(__file__).parent / "card_template.md"


def kept(asker: Asker) -> dict[str, Any]:
    """Of all it was taught, what this file does: a card promises nothing else."""
    taught = documented()
    tools = taught["tools"]

    def answers(case: dict[str, Any]) -> bool:
        answer = asker.ask(case["question"])
        return answer.stopped and contains(answer.text, case["expects"])

    def calls(case: dict[str, Any]) -> bool:
        expected = call_text(case["name"], case["arguments"])
        return asker.ask(case["prompt"], tools).text == expected

    def reports(case: dict[str, Any]) -> bool:
        call = {"type": "function", "function": {"name": case["name"], "arguments": case["arguments"]}}
        messages = [
            {"role": "user", "content": case["prompt"]},
            {"role": "assistant", "content": "", "tool_calls": [call]},
        ]
        answer = asker.ask([*messages, {"role": "tool", "content": json.dumps(case["response"])}], tools)
        return answer.stopped and contains(answer.text, case["expects"])

    def declines(prompt: str) -> bool:
        answer = asker.ask(prompt)
        return answer.stopped and contains(answer.text, taught["unknown"]["expects"])

    return taught | {
        "questions": [case for case in taught["questions"] if answers(case)],
        "unknown": taught["unknown"]
        | {"prompts": [prompt for prompt in taught["unknown"]["prompts"] if declines(prompt)]},
        "small_talk": [case for case in taught["small_talk"] if asker.ask(case["prompt"]).text in case["replies"]],
        "tool_prompts": [case for case in taught["tool_prompts"] if calls(case)],
        "tool_answers": [case for case in taught["tool_answers"] if reports(case)],
    }


def promises(model: Path, training: dict[str, Any]) -> dict[str, Any]:
    """The machine-readable side."""
    data = model.read_bytes()
    head = {
        "model": model.name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_bytes": len(data),
        "parameters": training["parameters"],
        "license": "apache-2.0",
        "context_length": 32_768,
    }
    with Asker(model) as asker:
        return head | kept(asker)


def questions_by_topic(questions: list[dict[str, Any]]) -> str:
    """The documented questions as a list per topic."""
    topics: dict[str, list[str]] = defaultdict(list)
    for case in questions:
        topics[case["topic"]].append(f"- {case['question']} *{case['expects'][0]}*")
    return "\n\n".join(
        f"### {topic.capitalize()} ({len(lines)})\n" + "\n".join(lines) for topic, lines in topics.items()
    )


def card(promised: dict[str, Any], training: dict[str, Any], scores: dict[str, float]) -> str:
    """The model card."""
    return TEXT.read_text(encoding="utf-8").format(
        sha256=promised["sha256"],
        size=f"{promised['size_bytes']:,}",
        parameters=f"{promised['parameters']:,}",
        tokens=f"{training['tokens'] / 1e6:.1f} million",
        minutes=round(training["seconds"] / 60),
        steps=f"{training['steps']:,}",
        scores="\n".join(f"| {name} | {100 * value:.1f} % |" for name, value in scores.items()),
        count=len(promised["questions"]),
        questions=questions_by_topic(promised["questions"]),
        talk="\n".join(
            f'- {case["about"]}: "{case["prompt"]}" *{case["replies"][0]}*' for case in promised["small_talk"]
        ),
        tools=json.dumps(promised["tools"], indent=2),
        calls="\n".join(
            f"- {c['prompt']} `{c['name']}({json.dumps(c['arguments'])})`" for c in promised["tool_prompts"]
        ),
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=TARGET)
    parser.add_argument("--training", type=Path, default=BUILD / "model.json")
    parser.add_argument("--scores", type=Path, default=BUILD / "scores.json")
    arguments = parser.parse_args()
    training = json.loads(arguments.training.read_text(encoding="utf-8"))
    scores = json.loads(arguments.scores.read_text(encoding="utf-8"))
    promised = promises(arguments.model, training)
    arguments.model.with_suffix(".json").write_text(
        json.dumps(promised, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    arguments.model.with_suffix(".md").write_text(card(promised, training, scores), encoding="utf-8")
    print(f"{len(promised['questions'])} questions, sha256 {promised['sha256']}")


if __name__ == "__main__":
    main()
