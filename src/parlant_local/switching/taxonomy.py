"""What a failure means for the call, and for the target's circuit breaker.

========================================  =============================  =================
failure                                   the call                       the breaker counts
========================================  =============================  =================
transient, rate-limited                   retried here, then the next    yes
down, loading, out of memory, stalled     the next                       yes
queue full, model missing on disk      the next                       no
context overflow                          the next with a larger window  no
invalid or truncated output               retried here, then the next    no
misconfigured, not allowed, budget spent  the next                       no
a call that this backend can't make       the next                       no
bad request, bad schema, authentication   fails at once                  no (the request's or the owner's fault)
stream interrupted                        fails at once                  yes
the caller's own deadline                 fails at once                  no
a bug (anything else)                     fails at once, as it is        no
========================================  =============================  =================

How often one target is retried, and what a retry changes, is up to the ladder (ladder.py).
"""

from __future__ import annotations

from typing import Literal

from parlant_local.errors import (
    BackendError,
    BudgetExceededError,
    CatalogError,
    ConfigurationError,
    ContextOverflowError,
    DeadlineExceededError,
    EngineClosedError,
    EngineError,
    InvalidOutputError,
    ModelLoadError,
    OutputError,
    QueueFullError,
    RequestError,
    StallError,
    StreamInterruptedError,
    TargetDownError,
    TransientError,
    TruncatedOutputError,
    UnsupportedCallError,
)
from parlant_local.switching.breaker import Outcome

__all__ = ["Verdict", "outcome_of", "verdict_on"]

Verdict = Literal["retry", "repair", "next", "larger", "fail"]

_VERDICTS: tuple[tuple[type[Exception], Verdict], ...] = (
    (StreamInterruptedError, "fail"),
    (TransientError, "retry"),
    (TargetDownError, "next"),
    (UnsupportedCallError, "next"),
    (BackendError, "fail"),
    (ContextOverflowError, "larger"),
    (RequestError, "fail"),
    (DeadlineExceededError, "fail"),
    (ModelLoadError, "next"),
    (StallError, "next"),
    (EngineClosedError, "next"),
    (QueueFullError, "next"),
    (EngineError, "fail"),
    (InvalidOutputError, "repair"),
    (TruncatedOutputError, "repair"),
    (OutputError, "next"),
    (CatalogError, "next"),
    (ConfigurationError, "next"),
    (BudgetExceededError, "next"),
)
_COUNTS_AS_FAILURE = (
    TransientError,
    TargetDownError,
    StreamInterruptedError,
    ModelLoadError,
    StallError,
    EngineClosedError,
)


def verdict_on(error: BaseException) -> Verdict:
    return next((verdict for kind, verdict in _VERDICTS if isinstance(error, kind)), "fail")


def outcome_of(error: BaseException) -> Outcome:
    return "failure" if isinstance(error, _COUNTS_AS_FAILURE) else "neutral"
