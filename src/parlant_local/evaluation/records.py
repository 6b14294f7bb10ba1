"""Results of single cases: kept one by one as they come, so that an interrupted examination goes on where it was."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from parlant_local.errors import StateFileError
from parlant_local.evaluation.decisions import Decision
from parlant_local.evaluation.reading import Exercise
from parlant_local.evaluation.tally import Cost
from parlant_local.storage import parse_json, read_text, validated, write_whole

__all__ = ["CaseResult", "Ledger", "kept_results", "results_folder", "slug"]

_MAX_BYTES = 256 << 20


@dataclass(frozen=True)
class CaseResult:
    id: str
    digest: str
    """Of the case; a result is only good for the case that it was made with."""
    language: str
    level: str
    trap: str | None
    decisions: tuple[Decision, ...]
    cost: Cost
    replied: bool | None = None
    """None: the case asks for no reply."""
    error: str = ""
    alone: Literal["", "cold", "warm"] = ""
    """Whether it ran with no other: first after loading, or once the agent's prompts were known."""

    @property
    def passed(self) -> bool:
        return all(decision.right for decision in self.decisions)


_RESULT = TypeAdapter(CaseResult)


@dataclass
class Ledger:
    """A file of results, one per line, under conditions that its first line states."""

    path: Path
    conditions: str
    """What has to be the same for results to be comparable: model, seed, versions, settings."""
    results: dict[str, CaseResult] = field(default_factory=dict)

    def load(self) -> None:
        """Reads the results made under the same conditions; others, and a line that was cut off, are dropped."""
        lines = _lines(self.path)
        if lines and _parsed(lines[0]) == {"conditions": self.conditions}:
            self.results |= _results(lines[1:])

    def start(self) -> None:
        """Writes what is known, so that appending goes on from a whole file."""
        lines = [json.dumps({"conditions": self.conditions}), *map(_line, self.results.values())]
        write_whole(self.path, "".join(f"{line}\n" for line in lines), private=True)

    def add(self, result: CaseResult) -> None:
        """One write of one line; a kill leaves a whole line or a cut one, which :meth:`load` drops."""
        self.results[result.id] = result
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_line(result) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StateFileError(self.path, error.strerror or str(error)) from None

    def valid(self, cases: Sequence[Exercise]) -> list[CaseResult]:
        """The results of these cases, as they are now."""
        found = (self.results.get(case.id) for case in cases)
        return [result for case, result in zip(cases, found, strict=True) if result and result.digest == case.digest]


def results_folder(home: Path) -> Path:
    return home / "evaluation" / "results"


def kept_results(path: Path) -> dict[str, CaseResult]:
    """What a ledger's file has, under whatever conditions it was made; by case."""
    return _results(_lines(path)[1:])


def _lines(path: Path) -> list[str]:
    try:
        return read_text(path, _MAX_BYTES).splitlines()
    except FileNotFoundError:
        return []


def _results(lines: Sequence[str]) -> dict[str, CaseResult]:
    found = {}
    for line in lines:
        try:
            result = validated(_RESULT, _parsed(line))
        except ValueError:  # cut off by a kill: its case is asked again
            continue
        found[result.id] = result
    return found


def slug(text: str) -> str:
    """``text`` as a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:120] or "model"


def _line(result: CaseResult) -> str:
    return json.dumps(asdict(result), ensure_ascii=False)


def _parsed(line: str) -> object:
    try:
        return parse_json(line)
    except ValueError:
        return None
