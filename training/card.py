"""Writes what ships beside the model file: its promises as JSON for tests and programs, and a card for people."""

import argparse
import hashlib
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from training.check import TARGET
from training.documented import documented

BUILD = Path(__file__).parent / "build"
TEXT = Path(__file__).parent / "card_template.md"


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
    return head | documented()


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
