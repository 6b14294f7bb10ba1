"""What the examination said of models: a small file in the home, by the digest of a model's file, else by its id.

Whoever chooses between models reads it here; only the examination writes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

from parlant_local.catalog.records import LocalModel
from parlant_local.errors import StateFileError
from parlant_local.observability import Logger, NullLogger
from parlant_local.storage import locked, read_as, write_whole

__all__ = ["Score", "keep_score", "score_of", "scores"]

_MAX_BYTES = 4 << 20
_LOCK_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Score:
    model: str
    """The id that it was examined under."""
    score: Annotated[float, Field(ge=0, le=1)]
    """The mean share of right decisions over the families of the examination."""
    verdict: str
    cases: Annotated[int, Field(ge=0)]
    made: str
    """When, as ISO 8601."""


_SCORES = TypeAdapter(dict[str, Score])


def scores(home: Path, logger: Logger | None = None) -> Mapping[str, Score]:
    """By digest or id; none where the file can't be used, which costs no more than another examination."""
    try:
        return read_as(_SCORES, _file(home), _MAX_BYTES)
    except FileNotFoundError:
        return {}
    except StateFileError as error:
        (logger or NullLogger()).warning(f"The scores of evaluated models can't be used: {error}")
        return {}


def score_of(record: LocalModel, known: Mapping[str, Score]) -> Score | None:
    """That of a catalogued model."""
    return known.get(record.sha256 or record.id)


def keep_score(home: Path, identity: str, score: Score, logger: Logger | None = None) -> None:
    """Keeps it, unless one from more cases is known."""
    with locked(_file(home).with_suffix(".lock"), _LOCK_SECONDS):
        known = dict(scores(home, logger))
        if identity in known and known[identity].cases > score.cases:
            return
        known[identity] = score
        write_whole(_file(home), json.dumps({key: asdict(value) for key, value in known.items()}, indent=1))


def _file(home: Path) -> Path:
    return home / "evaluation" / "scores.json"
