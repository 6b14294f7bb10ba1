"""Inputs that may be text or token ids, one or several."""

from __future__ import annotations

from parlant_local.backends.base import Backend
from parlant_local.errors import BadRequestError, RequestRefusedError
from parlant_local.server.counting import refuse_excess
from parlant_local.server.options import check_texts
from parlant_local.server.pooled import PooledBackend
from parlant_local.settings import LimitSettings

__all__ = ["check_inputs"]


def check_inputs(given: list[str | list[int]], backend: Backend, limits: LimitSettings, param: str, most: str) -> None:
    """Raises :class:`RequestRefusedError` for none, too many (``most`` is the limit's name) or too long ones, and
    :class:`BadRequestError` for token ids to an external model, whose vocabulary is unknown."""
    if not given:
        raise RequestRefusedError(400, f"{param} is empty.", code="empty_input", param=param)
    refuse_excess(len(given), param, "items", most, "too_many_inputs", limits)
    check_texts([item for item in given if isinstance(item, str)], limits, param)
    ids = sum(len(item) for item in given if isinstance(item, list))
    refuse_excess(ids, param, "token ids", "token_ids", "too_many_token_ids", limits)
    if ids and not isinstance(backend, PooledBackend):
        raise BadRequestError("Token ids are only supported for models of this process.", hint=f"Send {param} as text.")
