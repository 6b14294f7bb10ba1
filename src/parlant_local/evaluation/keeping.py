"""Reports kept in the home: a model's last one whole, and its score where choosing looks for it."""

from __future__ import annotations

import json
from pathlib import Path

from parlant_local.catalog.scores import Score, keep_score
from parlant_local.evaluation.records import slug
from parlant_local.evaluation.report import Report
from parlant_local.storage import write_whole

__all__ = ["keep"]


def keep(home: Path, report: Report) -> None:
    folder = home / "evaluation" / "reports"
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / f"{slug(report.identity)}.json", json.dumps(report.as_dict(), indent=1, ensure_ascii=False))
    keep_score(
        home, report.identity, Score(report.model, report.score, report.verdict, report.cases.whole, report.made)
    )
