"""Failures as clients see them: what a client repeats by itself has to be worth repeating."""

from __future__ import annotations

import pytest

from parlant_local.errors import (
    EngineClosedError,
    EngineFailedError,
    InvalidOutputError,
    ParlantLocalError,
    TruncatedOutputError,
)
from parlant_local.server.problems import problem_of


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidOutputError("It breaks its schema."), 422, "invalid_output"),  # was repaired already
        (TruncatedOutputError("It was cut.", used=5, limit=5), 422, "output_truncated"),
        (EngineFailedError("The engine failed."), 503, "engine_failed"),  # the next request loads anew
        (EngineClosedError("It was unloaded."), 503, "model_unloaded"),
    ],
)
def test_a_failure_has_the_status_that_says_whether_to_repeat(error: ParlantLocalError, status: int, code: str) -> None:
    problem = problem_of(error)
    assert (problem.status, problem.code) == (status, code)
