"""Asks the file what Parlant asks about agents that training never met, in full length, and scores verdicts, arguments and replies."""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from parlant_local.nlp.reasons import placed
from training.ask import Asker
from training.check import TARGET
from training.data.calls import AGAIN, Call, read
from training.data.reasons import parted

HELD_OUT = Path(__file__).parent / "build" / "held_out.jsonl.gz"
_CONTEXT = 12_288
_PARTS = {
    "GenericActionableGuidelineMatchesSchema": "whether a guideline applies",
    "GenericPreviouslyAppliedActionableGuidelineMatchesSchema": "whether it applies again",
    "GenericPreviouslyAppliedActionableCustomerDependentGuidelineMatchesSchema": "whether it still applies",
    "NonConsequentialToolBatchSchema": "whether a tool runs",
    "CannedResponseDraftSchema": "the reply, word for word",
}


def parts(name: str, expected: Any, got: Any) -> Iterator[tuple[str, bool]]:
    """What is scored in an answer, and whether it is right."""
    if name not in _PARTS:
        return
    if name == "CannedResponseDraftSchema":
        yield _PARTS[name], got["response_body"] == expected["response_body"]
    elif name == "NonConsequentialToolBatchSchema":
        yield _PARTS[name], bool(got.get("should_run")) == expected["should_run"]
        if expected["calls"]:
            yield "the arguments, exactly", got.get("calls") == expected["calls"]
    else:
        verdict = next(key for key in ("applies", "should_reapply", "should_apply") if key in expected["checks"][0])
        for one, other in zip(expected["checks"], got["checks"], strict=True):
            yield f"{_PARTS[name]}, {'yes' if one[verdict] else 'no'}", one[verdict] == other[verdict]
            if "rationale" in one:
                (said, same), (repeated, found) = parted(one["rationale"]), parted(other["rationale"])
                yield "the customer's words repeated", said == repeated
                yield "the words that both have", same == found


def scored(asker: Asker, calls: list[Call], show: int) -> dict[str, float]:
    """The share of each part that is right."""
    right: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    for call in calls:
        schema = dict(placed(call["schema"], "added")) if call["name"] == AGAIN else call["schema"]
        answer = asker.ask_json([{"role": "user", "content": call["prompt"]}], schema, limit=600)
        try:
            got = json.loads(answer.text)
        except ValueError:
            got = None
        found = list(parts(call["name"], call["answer"], got)) if got else [("whole answers", False)]
        for part, ok in found:
            asked[part] += 1
            right[part] += ok
            if not ok and show > 0:
                show -= 1
                print(f"    {part}: {json.dumps(call['answer'])} -> {answer.text}")
    for part, count in sorted(asked.items()):
        print(f"{part}: {right[part]}/{count} = {100 * right[part] / count:.1f} %", flush=True)
    return {part: round(right[part] / count, 4) for part, count in asked.items()}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=TARGET)
    parser.add_argument("--calls", type=Path, default=HELD_OUT)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--show", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--scores", type=Path)
    arguments = parser.parse_args()
    calls = [call for call in read(arguments.calls) if call["name"] in _PARTS]
    every = max(1, len(calls) // arguments.count)
    with Asker(arguments.model, n_ctx=_CONTEXT, threads=arguments.threads) as asker:
        scores = scored(asker, calls[::every], arguments.show)
    if arguments.scores:
        arguments.scores.write_text(json.dumps(scores), encoding="utf-8")


if __name__ == "__main__":
    main()
