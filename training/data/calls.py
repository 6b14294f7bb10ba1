"""Recorded questions of Parlant's engine as training samples.

Most of a prompt is the same for every agent, and long. All but the ends of such passages is cut out of most samples; the
positions keep the gap, so that what is far apart stays far apart.
"""

import ast
import gzip
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from training.chat import Piece, Sample
from training.data.json_text import Literal, Style, pieces_of
from training.data.quoting import as_quoted
from training.data.reasons import parted, reason

BUILD = Path(__file__).parent.parent / "build"

_STYLE = Style(structure=0.3, literal=0.1)
THOUGHT = 1.5
"""What a verdict follows from."""
VERDICT = 4.0
"""A verdict is one token among the twenty of its reason."""
_SHARES: Mapping[str, float] = {
    "GenericActionableGuidelineMatchesSchema": 1.0,
    "NonConsequentialToolBatchSchema": 1.0,
    "CannedResponseDraftSchema": 1.0,
    "GenericPreviouslyAppliedActionableGuidelineMatchesSchema": 1.0,
    "GenericPreviouslyAppliedActionableCustomerDependentGuidelineMatchesSchema": 1.0,
    "GenericResponseAnalysisSchema": 0.06,
    "CannedResponsePreambleSchema": 0.2,
    "GuidelineContinuousPropositionSchema": 0.5,
    "CustomerDependentActionSchema": 0.5,
    "AgentIntentionProposerSchema": 0.5,
}
AGAIN = "GenericPreviouslyAppliedActionableGuidelineMatchesSchema"
_ALWAYS_SAID = 0.12
"""A line in more of the prompts of a schema than that is the host's own."""

Call = dict[str, Any]


def read(path: Path) -> Iterator[Call]:
    """Recorded questions."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield with_reasons(json.loads(line))


def host_lines(calls: list[Call]) -> dict[str, set[str]]:
    """By schema, the lines that hardly differ from agent to agent."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    asked: Counter[str] = Counter()
    for call in calls:
        if asked[call["name"]] < 300:
            asked[call["name"]] += 1
            counts[call["name"]].update({line.rstrip("\n") for line in call["prompt"].splitlines(keepends=True)})
    return {
        name: {line for line, count in lines.items() if count > _ALWAYS_SAID * asked[name]}
        for name, lines in counts.items()
    }


_LEFT = (0.0, 0.15, 0.4, 0.7, 1.0)
"""How much of a gap remains: prompts differ in length, with and without their examples."""


def shortened(rng: random.Random, prompt: str, constant: set[str]) -> list[Piece]:
    """The prompt without the middles of its constant passages; a few of them are left longer."""
    lines = prompt.splitlines(keepends=True)
    pieces: list[Piece] = []
    text, skipped, start = "", "", 0
    left = rng.choice(_LEFT)
    most = rng.choices((1, 5, 20), (80, 12, 8))[0]
    while start < len(lines):
        end = start
        while end < len(lines) and lines[end].rstrip("\n") in constant:
            end += 1
        head, tail = rng.randint(0, most), rng.randint(0, most)
        if end - start > head + tail:
            kept = "".join(lines[start : start + head])
            pieces.append(Piece(text + kept, 0.0, skipped))
            missing = "".join(lines[start + head : end - tail])
            text, skipped = "", missing[: int(left * len(missing))]
            start = end - tail
        text += "".join(lines[start : max(end, start + 1)])
        start = max(end, start + 1)
    pieces.append(Piece(text, 0.0, skipped))
    return pieces


def _known(value: Any, schema: Mapping[str, Any]) -> Any:
    """The answer, with what its schema fixes marked."""
    if "const" in schema:
        return Literal(value)
    if isinstance(value, dict):
        return {key: _known(each, schema.get("properties", {}).get(key, {})) for key, each in value.items()}
    if isinstance(value, list):
        first = schema.get("prefixItems", [])
        return [_known(each, first[place] if place < len(first) else {}) for place, each in enumerate(value)]
    return value


def answer_pieces(call: Call) -> list[Piece]:
    """What the engine waits for, weighed."""
    return as_quoted(weighed(pieces_of(_known(call["answer"], call["schema"]), _STYLE)), call["prompt"])


def weighed(pieces: list[Piece]) -> list[Piece]:
    """With the weights of verdicts, and of what is thought before them."""
    out = []
    for text, weight, *_ in pieces:
        said, same = parted(text) if text.startswith("They said: ") else (text, "")
        out.append(Piece(said, VERDICT if text in ("true", "false") else weight))
        if same:
            out.append(Piece(same, THOUGHT))
    return out


def with_reasons(call: Call) -> Call:
    """As it is to be answered today, with the reasons that `reasons.py` gives."""
    if call["name"] == AGAIN:
        call = _explained(call)
    for check in call["answer"].get("checks", ()):
        verdict = next((check[name] for name in ("applies", "should_reapply", "should_apply") if name in check), None)
        field = next((name for name in ("rationale", "tldr") if name in check), None)
        if verdict is None or field is None:
            continue
        said, _ = parted(check[field])
        check[field] = reason(check["condition"], said.removeprefix("They said: "), applies=verdict)
    return call


def _explained(call: Call) -> Call:
    """With the reasons that the host doesn't ask for (`generation.calls`, `reasons: added`)."""
    said = "They said: " + _last_message(call["prompt"])
    checks = []
    for check in call["answer"]["checks"]:
        fields = {name: value for name, value in check.items() if name != "rationale"}
        first = next(place for place, value in enumerate(fields.values()) if isinstance(value, bool))
        items = list(fields.items())
        checks.append(dict([*items[:first], ("rationale", check.get("rationale", said)), *items[first:]]))
    return {**call, "answer": {**call["answer"], "checks": checks}}


def _last_message(prompt: str) -> str:
    """Of the customer, in the list of events that a prompt shows."""
    for line in reversed(prompt.splitlines()):
        if line.startswith(("['{", '["{')):
            events = [json.loads(event) for event in ast.literal_eval(line)]
            said = [each["data"]["message"] for each in events if each["event_source"] == "user"]
            if said:
                return str(said[-1])
    raise ValueError("the prompt shows no message of the customer")


def sample(rng: random.Random, call: Call, constant: set[str] | None) -> Sample:
    """One question and its answer; ``constant``: the lines to cut, or None to keep all."""
    asked = [Piece(call["prompt"], 0.0)] if constant is None else shortened(rng, call["prompt"], constant)
    return Sample(
        (Piece("<|im_start|>user\n", 0.0), *asked, Piece("<|im_end|>\n<|im_start|>assistant\n", 0.0), *answer_pieces(call), Piece("<|im_end|>", 0.3)),
        split=rng.random() < 0.5,
    )  # fmt: skip


def chosen(rng: random.Random, calls: list[Call]) -> list[Call]:
    """In random order, and less of what is easy: of verdicts that are no, two of three."""
    out = []
    for call in rng.sample(calls, len(calls)):
        share = _SHARES.get(call["name"], 1.0)
        told = json.dumps(call["answer"])
        if '"applies": ' in told and '"applies": true' not in told:
            share *= 0.65
        if rng.random() < share:
            out.append(call)
    return out


def call_samples(rng: random.Random, *, whole: bool = False, only: str | None = None) -> Iterator[Sample]:
    """The recorded questions (`training/record.py`), with their constant passages cut, or in ``whole``. ``only``: those with a schema of this name."""
    calls = [call for path in sorted(BUILD.glob("calls-*.jsonl.gz")) for call in read(path)]
    calls = [call for call in calls if only in (None, call["name"])]
    constant = host_lines(calls)
    for call in chosen(rng, calls):
        yield sample(rng, call, None if whole else constant[call["name"]])
