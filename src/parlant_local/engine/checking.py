"""Validates a request before any work is done for it. Pure."""

from __future__ import annotations

import math

from parlant_local.call_options import SAMPLING
from parlant_local.engine.requests import GenerationRequest
from parlant_local.engine.sampling import Sampling
from parlant_local.errors import BadRequestError

__all__ = ["check"]


def check(request: GenerationRequest) -> None:
    """Raises :class:`BadRequestError` naming the field at fault."""
    _require(request.max_tokens >= 1, "max_tokens", request.max_tokens, "at least 1")
    _require(request.logprobs is None or request.logprobs >= 0, "logprobs", request.logprobs, "0 or more")
    _require(all(request.stop), "stop", request.stop, "texts that are not empty")
    deadline = request.deadline
    _require(deadline is None or not math.isnan(deadline), "deadline", deadline, "a number of seconds")
    if (reasoning := request.reasoning) is not None:
        _require(bool(reasoning.end), "reasoning.end", reasoning.end, "a text that is not empty")
        _require(reasoning.budget >= 0, "reasoning.budget", reasoning.budget, "0 or more")
    _check_sampling(request.sampling)


def _check_sampling(sampling: Sampling) -> None:
    for name, option in SAMPLING.items():
        value = getattr(sampling, name)
        if option.bounded and value is not None:
            _require(option.fits_engine(value), name, value, option.engine_range)
    _require(sampling.penalty_window >= 1, "penalty_window", sampling.penalty_window, "at least 1")
    for token, bias in sampling.logit_bias.items():
        _require(token >= 0 and bias < math.inf, "logit_bias", {token: bias}, "token ids from 0 on with finite values")


def _require(holds: bool, name: str, value: object, wanted: str) -> None:
    if not holds:
        raise BadRequestError(f"{name} is {value!r}.", hint=f"It must be {wanted}.")
