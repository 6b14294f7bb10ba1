"""The same decisions, one by one: of a model under changed settings, or of two models that were examined."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path
from typing import TYPE_CHECKING

from parlant_local.evaluation.decisions import FAMILIES, Family
from parlant_local.evaluation.records import CaseResult, kept_results, results_folder, slug
from parlant_local.evaluation.statistics import Share

if TYPE_CHECKING:  # which needs Parlant
    from parlant_local.evaluation.report import Report

__all__ = ["Change", "Comparison", "change", "changes", "compared"]

_Key = tuple[str, str, str]
"""Of a decision: case, family, and what it is about."""


@dataclass(frozen=True)
class Change:
    better: int
    """Decisions that were wrong before and are right now."""
    worse: int
    same: int

    @property
    def chance(self) -> float:
        """How likely so lopsided a change is if the setting changes nothing (the sign test, two-sided).

        Decisions of one case depend on each other, so that the true likelihood is rather higher.
        """
        changed = self.better + self.worse
        ways = sum(comb(changed, count) for count in range(min(self.better, self.worse) + 1))
        return min(1.0, ways / 2.0 ** (changed - 1))

    def __str__(self) -> str:
        if not self.better + self.worse:
            return "nothing changed"
        return f"{self.better} better, {self.worse} worse (p = {self.chance:.2f})"


def change(before: Report, after: Report) -> Change:
    """Of the decisions that both made: a call that only one of them made is a decision of that one alone."""
    known = _decided(before.results)
    return _changed([(known[key], right) for key, right in _decided(after.results).items() if key in known])


def changes(reports: Sequence[Report]) -> list[str]:
    """Of each against the first one of its model; empty for that one."""
    first: dict[str, Report] = {}
    for report in reports:
        first.setdefault(report.identity, report)
    return [
        "" if report is first[report.identity] else str(change(first[report.identity], report)) for report in reports
    ]


@dataclass(frozen=True)
class Comparison:
    """Of two models, over the cases that both were examined on: decisions right, by family, and what the second did otherwise."""

    cases: int
    families: Mapping[Family, tuple[Share, Share]]
    change: Change


def compared(home: Path, first: str, second: str) -> Comparison | None:
    """By the identities of two models (the digest of the file); None where there is no case that both have a result of."""
    before, after = (kept_results(results_folder(home) / f"{slug(each)}.jsonl") for each in (first, second))
    both = [key for key, result in before.items() if key in after and after[key].digest == result.digest]
    if not both:
        return None
    ours, theirs = _decided(before[key] for key in both), _decided(after[key] for key in both)
    shared = [key for key in ours if key in theirs]
    families = {
        family: (_share(ours, keys), _share(theirs, keys))
        for family in FAMILIES
        if (keys := [key for key in shared if key[1] == family])
    }
    return Comparison(len(both), families, _changed([(ours[key], theirs[key]) for key in shared]))


def _share(decided: Mapping[_Key, bool], keys: Sequence[_Key]) -> Share:
    return Share(sum(decided[key] for key in keys), len(keys))


def _changed(pairs: Sequence[tuple[bool, bool]]) -> Change:
    better, worse = (pairs.count(pair) for pair in ((False, True), (True, False)))
    return Change(better, worse, len(pairs) - better - worse)


def _decided(results: Iterable[CaseResult]) -> dict[_Key, bool]:
    return {
        (result.id, decision.family, decision.about): decision.right
        for result in results
        for decision in result.decisions
    }
