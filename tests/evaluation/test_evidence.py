"""That the examination tells good from bad: written to docs/evidence/evaluation.md."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

import parlant_local.nlp.schematic
from parlant_local.backends.llama_cpp import LlamaCppBackend
from parlant_local.evaluation.decisions import FAMILIES
from parlant_local.evaluation.examining import examine
from parlant_local.evaluation.reading import Exercise, exercises, shipped_cases
from parlant_local.evaluation.report import Report, report_of
from parlant_local.evaluation.rows import percent
from parlant_local.nlp.host import Host
from parlant_local.nlp.schemas import AnswerType
from parlant_local.nlp.tightening import Tightening
from parlant_local.settings import Settings
from tests.evaluation.standin import CONTRARY, PERFECT, KeyBackend
from tests.support.evidence import table, write_section
from tests.support.places import TINY

pytestmark = [pytest.mark.evidence, pytest.mark.timeout(1800)]

PAGE = Path(__file__).parents[2] / "docs" / "evidence" / "evaluation.md"
COMMAND = "pytest -m evidence tests/evaluation/test_evidence.py"
QUICK = exercises(shipped_cases(), quick=True)
HEAD = ("", "score", "decisions right", *FAMILIES)

Patch = Callable[[pytest.MonkeyPatch], None]


async def reported(backend: KeyBackend, cases: Sequence[Exercise], settings: Settings) -> Report:
    found = await examine(backend, cases, settings, finder=backend.take_finder, fresh=True)
    return report_of(found, holds=0.9)


def row(name: str, report: Report) -> list[str]:
    levels = [percent(report.families[family].level) if family in report.families else "-" for family in FAMILIES]
    return [name, percent(report.score), f"{report.decisions.part} of {report.decisions.whole}", *levels]


async def test_stand_ins(settings: Settings) -> None:
    cases = exercises(shipped_cases())
    perfect = await reported(KeyBackend(info=PERFECT), cases, settings)
    contrary = await reported(KeyBackend(info=CONTRARY, contrary=True), cases, settings)
    dicing = KeyBackend(info=CONTRARY, seed=7)
    dicing.answers.clear()
    random = await reported(dicing, cases, settings)
    assert perfect.score == 1.0
    assert contrary.score < 0.05
    assert 0.1 < random.score < 0.6
    rows = [
        row("knows the key", perfect),
        row("does the opposite", contrary),
        row("answers at random, by the schema", random),
    ]
    text = f"All {len(cases)} cases.\n\n{table(HEAD, rows)}\n\n" + "\n".join(
        f"- {name}: {report.verdict}"
        for name, report in (("The key", perfect), ("The opposite", contrary), ("Random", random))
    )
    write_section(PAGE, "Stand-ins", text, command=COMMAND)


def changed_schema(change: Callable[[str, dict[str, Any]], None]) -> Patch:
    """A fault in tightening: what it made is changed in place."""
    original = parlant_local.nlp.schematic.tighten

    def tighten(name: str, schema: Mapping[str, Any], prompt: Any) -> Tightening:
        outcome = original(name, schema, prompt)
        spoiled = deepcopy(dict(outcome.schema))
        if outcome.tightened:
            change(name, spoiled)
        return Tightening(spoiled, outcome.tightened, outcome.problem)

    return lambda patch: patch.setattr(parlant_local.nlp.schematic, "tighten", tighten)


def unknown_ids(name: str, schema: dict[str, Any]) -> None:
    if "checks" in (known := schema["properties"]) and name != "GenericResponseAnalysisSchema":
        for item in known["checks"]["prefixItems"]:
            item["properties"]["guideline_id"] = {"const": "99"}


def forget_checks(name: str, schema: dict[str, Any]) -> None:
    if "checks" in (known := schema["properties"]) and name != "GenericResponseAnalysisSchema":
        items = known["checks"]["prefixItems"]
        known["checks"] = {"type": "array", "prefixItems": items[1:], "items": False, "minItems": len(items) - 1}


def forget_argument(name: str, schema: dict[str, Any]) -> None:
    if name == "NonConsequentialToolBatchSchema":
        arguments = schema["properties"]["calls"]["items"]["properties"]["args"]
        first = next(iter(arguments["properties"]))
        del arguments["properties"][first]
        arguments["required"].remove(first)


def changed_text(change: Callable[[str], str]) -> Patch:
    """A fault in how prompts are put together."""
    original = parlant_local.nlp.schematic.as_text
    return lambda patch: patch.setattr(parlant_local.nlp.schematic, "as_text", lambda prompt: change(original(prompt)))


def changed_answer(change: Callable[[str], str]) -> Patch:
    """A fault in how answers are read."""
    original = AnswerType.parse
    return lambda patch: patch.setattr(AnswerType, "parse", lambda self, text: original(self, change(text)))


def without(key: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        value = json.loads(text)
        if key in value:
            value[key] = None
        return json.dumps(value)

    return change


def same_session(patch: pytest.MonkeyPatch) -> None:
    original, seen = Host.session_id, []

    def session_id(self: Host, prompt: Any) -> str | None:
        seen.append(original(self, prompt))
        return seen[max(0, len(seen) - 12)]  # of a call some time ago

    patch.setattr(Host, "session_id", session_id)


FAULTS: Mapping[str, Patch] = {
    "an id that no guideline has": changed_schema(unknown_ids),
    "the first guideline of a batch left out": changed_schema(forget_checks),
    "the first argument of a tool left out": changed_schema(forget_argument),
    "the last 1,500 characters of a prompt lost": changed_text(lambda text: text[:-1500]),
    "digits after the third lost in answers": changed_answer(lambda text: re.sub(r"(\d{3})\d+", r"\1", text)),
    "answers in lower case": changed_answer(str.lower),
    "capital letters lost in answers": changed_answer(lambda text: re.sub(r"(?<!\\)[A-Z]", "", text)),
    "the reply dropped": changed_answer(without("response_body")),
    "the chosen template dropped": changed_answer(without("chosen_template_id")),
    "true read as false": changed_answer(lambda text: text.replace(": true", ": false")),
    "another conversation's session": same_session,
}


async def test_planted_faults_lower_the_score(settings: Settings) -> None:
    """The same stand-in, which has everything right without them."""
    sound = await reported(KeyBackend(), QUICK, settings)
    assert sound.score == 1.0
    rows = [row("none", sound)]
    for name, plant in FAULTS.items():
        with pytest.MonkeyPatch.context() as patch:
            plant(patch)
            spoiled = await reported(KeyBackend(), QUICK, settings)
        rows.append(row(name, spoiled))
    assert [faulty for faulty in rows[1:] if faulty[1] == rows[0][1]] == []
    text = f"The stand-in that knows the key, over the {len(QUICK)} cases of `--quick`, with one fault in tightening or in the glue to Parlant."
    write_section(PAGE, "Planted faults", f"{text}\n\n{table(('fault', *HEAD[1:]), rows)}", command=COMMAND)


async def test_the_shipped_model(home: Path) -> None:
    """Twice, for the same verdict; and in a template that it was not trained with."""
    reports, settings = [], Settings(home=home)
    for template in (None, None, "alpaca"):
        async with LlamaCppBackend(TINY, settings=settings, chat_format=template) as backend:
            found = await examine(backend, QUICK, settings, fresh=True)
        reports.append(report_of(found, holds=0.9))
    first, again, spoiled = reports
    names = ("the shipped model", "again", "in Alpaca's template")
    rows = [row(name, report) for name, report in zip(names, reports, strict=True)]
    one, two = _decisions(first), _decisions(again)
    asked = one.keys() | two.keys()
    kept = sum(one.get(about) == two.get(about) for about in asked)
    text = (
        f"The {len(QUICK)} cases of `--quick`.\n\n{table(HEAD, rows)}\n\n"
        f"- Verdict: {first.verdict}\n- Again: {again.verdict}\n- {kept} of {len(asked)} decisions came out the same.\n"
        f"- In Alpaca's template: {spoiled.verdict}"
    )
    write_section(PAGE, "The shipped model", text, command=COMMAND)
    assert kept >= 0.9 * len(asked)
    assert first.account.failed_turns == 0


def _decisions(report: Report) -> dict[tuple[str, str, str], bool]:
    """By what they were about: arguments are only judged where the tool was called."""
    return {(result.id, each.family, each.about): each.right for result in report.results for each in result.decisions}
