"""What the examination said of models, as answers tell it."""

from __future__ import annotations

from parlant_local.catalog.scores import Score
from parlant_local.server.shapes.answers import Evaluation

__all__ = ["told"]


def told(score: Score | None) -> Evaluation | None:
    if score is None:
        return None
    return {
        "model": score.model,
        "score": score.score,
        "verdict": score.verdict,
        "cases": score.cases,
        "made": score.made,
    }
