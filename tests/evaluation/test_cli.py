"""`parlant-local evaluate` (docs/evaluate.md), with the shipped model and cases of one's own; and where its results are shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

import parlant_local.cli.evaluate
from parlant_local.agent.serving import free_port
from parlant_local.backends.base import ModelInfo
from parlant_local.catalog import LocalModelManager
from parlant_local.cli.evaluating import compare, show
from parlant_local.evaluation.examining import Examination
from parlant_local.evaluation.keeping import keep
from parlant_local.evaluation.report import Report, report_of
from parlant_local.settings import Settings
from parlant_local.shipped import SHIPPED_ID
from tests.evaluation.files import case_file
from tests.evaluation.test_report import RESULTS

Verb = Callable[..., tuple[int, str, str]]
LEVER = "generation.calls.matching.boolean_bias"
RUN = "from parlant_local.cli.main import main; main()"


def shipped_report(settings: Settings) -> Report:
    record = LocalModelManager(settings=settings).find(SHIPPED_ID)
    assert record.sha256 is not None
    return report_of(Examination(ModelInfo(id=SHIPPED_ID), RESULTS, 0, record.sha256), holds=0.9)


def test_cases_of_ones_own_in_ci(tmp_path: Path, home: Path) -> None:
    """Exit 1 below a threshold; JUnit, page and JSON."""
    kept = {key: value for key, value in os.environ.items() if key != "PARLANT_HOME"}
    command = ["evaluate", SHIPPED_ID, "--cases", str(case_file(tmp_path)), "--json", "--n-ctx", "8192"]
    command += ["--junit", str(tmp_path / "junit.xml"), "--html", str(tmp_path / "page.html")]
    command += ["--try", f"{LEVER}=50", "--min-accuracy", "0", "--min-accuracy", "journeys=0.5"]
    done = subprocess.run(
        [sys.executable, "-c", RUN, *command], env=kept, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "journeys below 0.5: none were examined" in done.stderr
    assert "decisions below" not in done.stderr
    report, tried = json.loads(done.stdout)
    assert report["model"] == tried["model"] == SHIPPED_ID
    assert (report["tried"], tried["tried"]) == ({}, {LEVER: "50"})
    assert tried["families"]["matching"]["false_alarms"] == 2, "everything applies"
    assert tried["families"]["matching"]["misses"] == 0
    assert report["cases"]["whole"] == 2
    assert report["account"]["sampled_tokens"] > 0
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot()[0]
    assert suite.get("tests") == "2"
    assert "Content-Security-Policy" in (tmp_path / "page.html").read_text("utf-8")
    assert not (home / "evaluation" / "scores.json").exists(), (
        "cases of one's own say nothing about the model to others"
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("generation.calls.matching.temprature=1", "temprature"),
        ("generation.cals.matching.temperature=1", "no setting 'generation.cals"),
        ("generation.calls.matchin.temperature=1", "matchin"),
        ("temperature", "KEY=VALUE"),
        ("=1", "KEY=VALUE"),
        ("'", "can't be read"),
        ("generation.temperature={", "not YAML"),
        ("auth.api_key=x", "secret"),
    ],
)
def test_a_trial_that_is_none(verb: Verb, tmp_path: Path, given: str, told: str) -> None:
    code, _, err = verb("evaluate", "--cases", str(case_file(tmp_path)), "--try", given)
    assert (code, told in err) == (2, True), err


@pytest.mark.parametrize("given", ["tols=0.9", "1.5", "much", "tools=", "=x"])
def test_thresholds_that_are_none(verb: Verb, tmp_path: Path, given: str) -> None:
    code, _, err = verb("evaluate", "--cases", str(case_file(tmp_path)), "--min-accuracy", given)
    assert code == 2
    assert "--min-accuracy" in err


def test_without_parlant_it_says_what_to_install(verb: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parlant_local.cli.evaluate, "find_spec", lambda name: None)
    code, _, err = verb("evaluate")
    assert (code, "parlant-local[parlant]" in err) == (2, True)


def test_a_file_that_is_wrong_is_a_usage_error(verb: Verb, tmp_path: Path) -> None:
    code, _, err = verb("evaluate", "--cases", str(case_file(tmp_path, "agent: {}\n")))
    assert code == 2
    assert "tickets.yml:1" in err


def test_the_schema_is_printed(verb: Verb) -> None:
    code, out, _ = verb("evaluate", "--schema")
    assert code == 0
    assert json.loads(out)["title"] == "Cases for parlant-local evaluate"


def test_a_session_of_a_server_that_is_not_there(verb: Verb) -> None:
    code, _, err = verb("evaluate", "--record", "abc", "--server", f"http://127.0.0.1:{free_port()}")
    assert (code, "can't be reached" in err) == (1, True)


def test_scores_are_shown_where_models_are_chosen(verb: Verb, settings: Settings) -> None:
    assert json.loads(verb("list", "--json")[1])[0]["evaluation"] is None
    report = shipped_report(settings)
    keep(settings.home, report)
    assert json.loads(verb("list", "--json")[1])[0]["evaluation"]["verdict"] == report.verdict
    assert f"{100 * report.score:.0f} %" in verb("list")[1]
    assert report.verdict in verb("recommend", "--no-measure")[1]
    (scored,) = json.loads(verb("recommend", "--no-measure", "--json")[1])["evaluated"]
    assert scored["model"] == SHIPPED_ID
    (kept,) = (settings.home / "evaluation" / "reports").iterdir()
    assert json.loads(kept.read_text("utf-8")) == json.loads(json.dumps(report.as_dict()))


def test_reports_in_a_terminal(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    report = shipped_report(settings)
    show(report)
    compare([report, report])
    out = capsys.readouterr().out
    for expected in (report.verdict, "matching", "90 %", "silent turns", "1 of 2", "By language: de"):
        assert expected in out
