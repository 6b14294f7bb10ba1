"""Failures as clients see them: what a client repeats by itself has to be worth repeating."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from parlant_local import errors
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


STATUSES = {
    "AccessError": (403, "no_access"),
    "AgentError": (500, "internal_error"),
    "AllTargetsFailedError": (502, "all_targets_failed"),
    "AuthenticationError": (502, "upstream_failed"),
    "BackendError": (502, "upstream_failed"),
    "BadReferenceError": (400, "bad_reference"),
    "BadRequestError": (400, "bad_request"),
    "BudgetExceededError": (403, "budget_exceeded"),
    "CaseFileError": (500, "internal_error"),
    "CatalogError": (400, "catalog_error"),
    "CloudNotAllowedError": (403, "cloud_not_allowed"),
    "ConfigurationError": (500, "internal_error"),
    "ContextOverflowError": (400, "context_length_exceeded"),
    "DeadlineExceededError": (504, "deadline_exceeded"),
    "DiskSpaceError": (507, "disk_full"),
    "DownloadError": (502, "download_failed"),
    "EmbeddingIdentityError": (500, "internal_error"),
    "EngineClosedError": (503, "model_unloaded"),
    "EngineError": (500, "internal_error"),
    "EngineFailedError": (503, "engine_failed"),
    "HubBusyError": (502, "download_failed"),
    "HubError": (502, "download_failed"),
    "InsufficientMemoryError": (503, "insufficient_memory"),
    "InvalidModelError": (422, "invalid_model"),
    "InvalidOutputError": (422, "invalid_output"),
    "JobCancelledError": (500, "internal_error"),
    "ModelInUseError": (409, "model_in_use"),
    "ModelLoadError": (500, "model_load_failed"),
    "ModelNotFoundError": (404, "model_not_found"),
    "NoGGUFError": (404, "model_not_found"),
    "NoTargetError": (400, "no_target"),
    "OfflineError": (403, "offline"),
    "OutputError": (422, "invalid_output"),
    "ParlantLocalError": (500, "internal_error"),
    "PluginError": (500, "internal_error"),
    "QueueFullError": (429, "queue_full"),
    "RateLimitedError": (429, "upstream_rate_limited"),
    "RequestError": (400, "bad_request"),
    "SchemaError": (400, "invalid_schema"),
    "SettingsError": (500, "internal_error"),
    "StallError": (504, "stalled"),
    "StateFileError": (500, "internal_error"),
    "StreamInterruptedError": (502, "upstream_failed"),
    "SwitchingError": (500, "internal_error"),
    "TargetDownError": (503, "upstream_down"),
    "TemplateError": (400, "template_error"),
    "TemplateLimitError": (400, "template_error"),
    "TextTooLongError": (400, "context_length_exceeded"),
    "TransferError": (502, "download_failed"),
    "TransientError": (502, "upstream_failed"),
    "TruncatedOutputError": (422, "output_truncated"),
    "UnsupportedCallError": (400, "bad_request"),
    "UnsupportedModelError": (500, "model_load_failed"),
    "VerificationError": (502, "download_failed"),
}
"""Of every error, save the one that carries its own; clients act on them, so that they stay."""


def an_error(name: str) -> ParlantLocalError:
    kind: Any = getattr(errors, name)
    known = {
        "causes": ExceptionGroup("x", [ValueError()]),
        "repo": "r",
        "hint": "",
        "revision": None,
        "retry_after": None,
    }
    needed = [
        one.name
        for one in inspect.signature(kind).parameters.values()
        if one.kind is one.KEYWORD_ONLY and one.default is one.empty
    ]
    words = ("x", "y") if name == "StateFileError" else ("x",)
    made: ParlantLocalError = kind(*words, **{each: known.get(each, [] if each == "near" else 1) for each in needed})
    return made


def test_every_error_has_its_status() -> None:
    assert set(STATUSES) == set(errors.__all__) - {"RequestRefusedError"}
    problems = {name: problem_of(an_error(name)) for name in STATUSES}
    assert {name: (problem.status, problem.code) for name, problem in problems.items()} == STATUSES


def test_an_overflow_without_figures_names_none() -> None:
    problem = problem_of(errors.ContextOverflowError("The prompt is too long.", needed=None, available=None))
    assert "None" not in problem.message
    assert "maximum context length" in problem.message
