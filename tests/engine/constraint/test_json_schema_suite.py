"""The JSON-Schema-Test-Suite, which the source distribution of ``jsonschema`` carries: accepted, refused, wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import referencing

from parlant_local.engine.constraint.validation import Validator
from parlant_local.engine.requests import JsonSchema
from parlant_local.errors import SchemaError
from tests.engine.conftest import TINY
from tests.support.dicing import Dice
from tests.support.evidence import table, write_section

_PAGE = Path(__file__).parents[3] / "docs/evidence/json-schema-suite.md"
_FETCHED = {"refRemote", "vocabulary"}  # about documents and metaschemas that would have to be fetched
_DRAFTS = {
    "draft2020-12": jsonschema.Draft202012Validator,
    "draft2019-09": jsonschema.Draft201909Validator,
    "draft7": jsonschema.Draft7Validator,
    "draft6": jsonschema.Draft6Validator,
    "draft4": jsonschema.Draft4Validator,
}


@pytest.fixture(scope="module")
def dice() -> Iterator[Dice]:
    dice = Dice(TINY)
    yield dice
    dice.close()


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suite")
    wanted = f"jsonschema=={version('jsonschema')}"
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-binary",
        "jsonschema",
        "--no-deps",
        "-q",
        "-d",
        str(folder),
    ]
    if subprocess.run([*command, wanted], check=False).returncode:
        pytest.skip("the source distribution of jsonschema can't be had here")
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    return next(folder.glob("*/json/tests"))


class _Judged:
    """One group of the suite: a schema, and values with what the suite says of them."""

    def __init__(self, dice: Dice, kind: Any, schema: Any, tests: list[Mapping[str, Any]]) -> None:
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._dice, self._schema = dice, schema
        self._peer = kind(schema, registry=referencing.Registry())
        try:
            self._judge = Validator(schema)
            self._constraint = JsonSchema(schema)
            self._unbound = dice.compiler.compile(self._constraint).unbound
        except SchemaError as refused:
            self._refused(refused, tests)
            return
        self.counts["accepted"] += 1
        for test in tests:
            self._value(test)
        self._answers()

    def _refused(self, refused: SchemaError, tests: list[Mapping[str, Any]]) -> None:
        contradictory = not any(test["valid"] for test in tests)
        outside = "outside itself" in refused.message
        self.counts["contradictory" if contradictory else "outside" if outside else "refused"] += 1
        if not contradictory and not outside:
            self.wrong.append(f"refused: {refused.message[:120]}")

    def _value(self, test: Mapping[str, Any]) -> None:
        self.counts["values"] += 1
        try:
            fits = self._judge.violation(test["data"]) is None
        except SchemaError as refused:
            self.wrong.append(f"{test['description']}: {refused}")
            return
        if fits != test["valid"]:
            self.wrong.append(f"{test['description']}: judged {fits}")
        text = json.dumps(test["data"], ensure_ascii=False, separators=(",", ":"))
        if self._dice.accepts(self._constraint, text):
            self.counts["decodable"] += test["valid"]
            if not test["valid"] and (fits or not self._unbound):
                self.wrong.append(f"{test['description']}: it may be answered")
        elif test["valid"]:
            self.counts["narrower"] += 1

    def _answers(self) -> None:
        for random in range(4):
            watched = self._dice.watched(self._constraint)
            answer = self._dice.answer(self._constraint, max_tokens=watched + 40 * random, seed=random)
            if answer.finish_reason != "stop":
                self.counts["cut"] += 1
                continue
            value = json.loads(answer.text)
            valid = self._peer.is_valid(value)
            self.counts["answers"] += 1
            if (self._judge.violation(value) is None) != valid:
                self.wrong.append(f"judged unlike jsonschema: {answer.text[:80]}")
            if not valid:
                self.counts["again"] += 1
                if not self._unbound:
                    self.wrong.append(f"not valid: {answer.text[:80]}")


@pytest.mark.evidence
@pytest.mark.timeout(3600)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("draft", _DRAFTS)
def test_the_suite_has_no_wrong_verdicts(draft: str, suite: Path, dice: Dice) -> None:
    kind = _DRAFTS[draft]
    rows, wrong = [], []
    whole: Counter[str] = Counter()
    for file in sorted((suite / draft).glob("*.json")):
        if file.stem in _FETCHED:
            continue
        counts: Counter[str] = Counter()
        for group in json.loads(file.read_text("utf-8")):
            schema = group["schema"]
            if isinstance(schema, dict):
                schema = {"$schema": kind.META_SCHEMA.get("$schema"), **schema}
            judged = _Judged(dice, kind, schema, group["tests"])
            counts += judged.counts
            wrong += [f"{file.stem}, {group['description']}: {what}" for what in judged.wrong]
        whole += counts
        rows.append([file.stem, *_row(counts)])
    rows.append(["**all**", *_row(whole)])
    head = [
        *("keyword", "schemas taken", "contradictory", "need another document", "values judged", "valid, decodable"),
        *("valid, narrower", "random answers", "of them to be asked again", "cut"),
    ]
    text = f"Wrong: {len(wrong)}.\n\n{table(head, rows)}" + "".join(f"\n- {line}" for line in wrong)
    write_section(_PAGE, draft, text, command="pytest -m evidence tests/engine/constraint/test_json_schema_suite.py")
    assert not wrong


def _row(counts: Counter[str]) -> list[int]:
    names = ("accepted", "contradictory", "outside", "values", "decodable", "narrower", "answers", "again", "cut")
    return [counts[name] for name in names]
