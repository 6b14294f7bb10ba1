"""What a changed setting changed: the same decisions of the same model, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

from parlant_local.evaluation.report import Report

__all__ = ["Change", "change", "changes"]


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
    known = _decisions(before)
    pairs = [(known[key], right) for key, right in _decisions(after).items() if key in known]
    better, worse = (pairs.count(pair) for pair in ((False, True), (True, False)))
    return Change(better, worse, len(pairs) - better - worse)


def changes(reports: Sequence[Report]) -> list[str]:
    """Of each against the first one of its model; empty for that one."""
    first: dict[str, Report] = {}
    for report in reports:
        first.setdefault(report.identity, report)
    return [
        "" if report is first[report.identity] else str(change(first[report.identity], report)) for report in reports
    ]


def _decisions(report: Report) -> dict[tuple[str, str, str], bool]:
    return {
        (result.id, decision.family, decision.about): decision.right
        for result in report.results
        for decision in result.decisions
    }
