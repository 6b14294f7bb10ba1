"""``python -m benchmarks.tightening``: what tightening saves on T, with and without it in one run.

Both sides replay the same recorded calls on our engine, and write the same keys in the same order, with texts of the same
lengths. Without tightening every text is sampled; with it, those that the prompt gave to the schema are not. What
tightening does to an answer's shape (counts, nulls, order) counts for neither side.

Texts are as long as in the recording, and with ``--natural`` as in Parlant's own examples, field by field. The result is
kept in docs/evidence/tightening.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
from tests.support.evidence import table, write_section

from benchmarks.models import CACHE, MODELS, model_path
from benchmarks.record import record
from parlant_local.engine import LlamaEngine
from parlant_local.engine.requests import GenerationRequest, JsonSchema
from parlant_local.settings import EngineSettings

PHASES = {"turn 1": ["1.1"], "turns 2-3": ["1.2", "1.3"]}
N_CTX = 12_288  # the longest prompt of T with its answer
COUNTED = ("sampled_tokens", "forced_tokens", "steps")
PAGE = Path(__file__).parent.parent / "docs" / "evidence" / "tightening.md"

Figures = dict[str, dict[str, dict[str, float]]]
"""Side, phase, what was counted."""

Length = Callable[[str, str, str], int]
"""From a schema's name, a key and the recorded text there to how many characters stand for it."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tightening", description=__doc__)
    parser.add_argument("--model", choices=sorted(MODELS), default="small")
    parser.add_argument("--natural", action="store_true", help="texts as long as in Parlant's own examples")
    arguments = parser.parse_args()
    recorded = record(CACHE / "parlant.json")
    natural = natural_lengths()
    length = natural if arguments.natural else as_recorded
    figures = asyncio.run(replay(recorded, arguments.model, length))
    text = report(figures, floor(recorded, length), arguments.model)
    if not arguments.natural:
        least = floor(recorded, natural)
        text += (
            f"\n\nWith texts as long as in Parlant's own examples the floor is {least:.0%} (`--natural` measures that)."
        )
    print(text)
    lengths = "texts as long as in Parlant's own examples" if arguments.natural else "texts as long as recorded"
    command = "python -m benchmarks.tightening" + (" --natural" if arguments.natural else "")
    write_section(PAGE, f"Sampled tokens on benchmark T, {lengths}", text, command=command)


async def replay(recorded: list[dict[str, Any]], model: str, length: Length) -> Figures:
    """Counts and seconds of each phase, on an engine for each side; phase by phase, so that a busy minute hits both."""
    settings = EngineSettings(n_ctx=N_CTX)
    engines = {side: LlamaEngine(str(model_path(model)), settings=settings) for side in ("without", "with")}
    figures: Figures = {side: {} for side in engines}
    try:
        for label, names in PHASES.items():
            for side, engine in engines.items():
                await engine.load()
                plain = side == "without"
                turns = [[as_call(item, length, plain) for item in recorded if item["phase"] == name] for name in names]
                before, begun = engine.stats().as_dict(), time.perf_counter()
                for calls in turns:
                    await run(engine, calls)
                seconds, after = time.perf_counter() - begun, engine.stats().as_dict()
                figures[side][label] = {**{key: after[key] - before[key] for key in COUNTED}, "seconds": seconds}
    finally:
        for engine in engines.values():
            await engine.close()
    return figures


async def run(engine: LlamaEngine, calls: list[dict[str, Any]]) -> None:
    """Each call starts when the calls that its ``after`` names are done: concurrency and order are the host's."""
    done = [asyncio.Event() for _ in calls]

    async def one(index: int, call: dict[str, Any]) -> None:
        for earlier in call["after"]:
            await done[earlier].wait()
        request = GenerationRequest(
            prompt=call["prompt"],
            max_tokens=call["max_tokens"],
            constraint=JsonSchema(call["schema"]) if call["schema"] else None,
            prefix_group=call["group"],
            session=call["session"],
        )
        result = await engine.generate(request)
        if call["schema"]:
            jsonschema.validate(json.loads(result.text), call["schema"])  # a cut answer would be cheap
        done[index].set()

    async with asyncio.TaskGroup() as tasks:
        for index, call in enumerate(calls):
            tasks.create_task(one(index, call))


def as_call(item: dict[str, Any], length: Length, plain: bool) -> dict[str, Any]:
    call = {**item["call"], "after": item["after"]}
    if item["answer"] is not None:
        sent = {} if "$defs" in item["tightened"] else item["tightened"]  # tightened ones have no references
        call["schema"] = shape(item["answer"], sent, lambda *at: length(call["group"], *at), plain=plain)
    return call


def shape(
    value: Any, sent: Mapping[str, Any], length: Callable[[str, str], int], *, plain: bool, key: str = ""
) -> dict[str, Any]:
    """A schema of values like ``value``. Texts that ``sent``, the schema it was written under, fixes or lists stay so; where
    ``plain``, they are as long but open, as a model writes that nobody binds."""
    if "anyOf" in sent:
        sent = next((part for part in sent["anyOf"] if jsonschema.Draft202012Validator(part).is_valid(value)), {})
    if isinstance(value, dict):
        known = sent.get("properties", {})
        parts = {name: shape(part, known.get(name, {}), length, plain=plain, key=name) for name, part in value.items()}
        return {"type": "object", "properties": parts, "required": list(value), "additionalProperties": False}
    if isinstance(value, list):
        if not value:
            return {"type": "array", "maxItems": 0}
        first, rest = sent.get("prefixItems", []), sent.get("items") or {}
        kinds = [first[place] if place < len(first) else rest for place in range(len(value))]
        items = [shape(part, kind, length, plain=plain, key=key) for part, kind in zip(value, kinds, strict=True)]
        return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, int | float):
        return {"type": "integer", "minimum": 0, "maximum": 10}
    if value is None:
        return {"type": "null"}
    if is_bound(sent):
        return {"type": "string", "minLength": len(value), "maxLength": len(value)} if plain else dict(sent)
    count = max(1, length(key, value))
    return {"type": "string", "minLength": count, "maxLength": count}


def is_bound(schema: Mapping[str, Any]) -> bool:
    return "const" in schema or "enum" in schema


def as_recorded(_schema: str, _key: str, text: str) -> int:
    return len(text)


def natural_lengths() -> Length:
    """Medians over the answers in Parlant's own few-shot examples; fields that none of them has stay as recorded."""
    import tests.nlp.conftest  # noqa: F401  # a home for Parlant, before it is imported
    from tests.nlp.test_tightening_examples import CASES

    found: dict[tuple[str, str], list[int]] = {}

    def collect(name: str, value: Any, key: str = "") -> None:
        if isinstance(value, dict):
            for inner, part in value.items():
                collect(name, part, inner)
        elif isinstance(value, list):
            for part in value:
                collect(name, part, key)
        elif isinstance(value, str):
            found.setdefault((name, key), []).append(len(value))

    for case in CASES:
        schema, _, expected = case.values
        collect(schema.__name__, expected)
    medians = {place: round(statistics.median(lengths)) for place, lengths in found.items()}
    return lambda name, key, text: medians.get((name, key), len(text))


def texts(schema: Mapping[str, Any], value: Any) -> Iterator[tuple[bool, int]]:
    """Each text of an answer: whether ``schema`` (one that :func:`shape` made) binds it, and its characters."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from texts(schema["properties"][key], part)
    elif isinstance(value, list):
        for kind, part in zip(schema.get("prefixItems", ()), value, strict=True):
            yield from texts(kind, part)
    elif isinstance(value, str):
        yield is_bound(schema), len(value) if is_bound(schema) else schema["maxLength"]


def floor(recorded: list[dict[str, Any]], length: Length) -> float:
    """The share of the answers' text, in characters, that no prompt says."""
    bound = free = 0
    for item in recorded:
        if item["answer"] is not None and any(item["phase"] in names for names in PHASES.values()):
            for is_fixed, count in texts(as_call(item, length, plain=False)["schema"], item["answer"]):
                bound, free = bound + is_fixed * count, free + (not is_fixed) * count
    return free / (bound + free)


def report(figures: Figures, least: float, model: str) -> str:
    rows = []
    for label, names in PHASES.items():
        turns = len(names)
        with_it, without = figures["with"][label], figures["without"][label]
        row = [label]
        for key in (*COUNTED, "seconds"):
            digits = 1 if key == "seconds" else 0
            ratio = with_it[key] / without[key]
            row.append(f"{without[key] / turns:.{digits}f} → {with_it[key] / turns:.{digits}f} ({ratio:.0%})")
        rows.append(row)
    total = {side: sum(phase["sampled_tokens"] for phase in figures[side].values()) for side in figures}
    share = total["with"] / total["without"]
    head = ["per turn, without → with", *(key.replace("_", " ") for key in COUNTED), "seconds"]
    return (
        f"{table(head, rows)}\n\nOver all turns, {share:.0%} of the tokens that are sampled without tightening are sampled with "
        f"it. The floor is {least:.0%}: the share of the answers' text (by characters) that no prompt says. Model: random "
        f"weights of the size `{model}`, drawing the most likely token."
    )


if __name__ == "__main__":
    main()
