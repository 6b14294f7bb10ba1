"""Which transfer errors are retried, and after what delay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from email.message import Message
from threading import Event

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential
from tenacity.nap import sleep_using_event

from parlant_local.errors import HubBusyError, TransferError
from parlant_local.retry_after import retry_after

__all__ = ["busy", "retrying"]

_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_WAIT = 300.0
_backoff = wait_random_exponential(multiplier=0.5, max=20)


def busy(who: str, status: int, headers: Mapping[str, str] | Message, hint: str) -> HubBusyError | None:
    """The error of an answer that is worth waiting for; None for any other."""
    if status not in _BUSY:
        return None
    return HubBusyError(
        f"{who} responded with status {status}.", status=status, retry_after=retry_after(headers), hint=hint
    )


def retrying(attempts: int, stop: Event, idle_attempts: Callable[[], int] | None = None) -> Retrying:
    """Tries again after :class:`TransferError` and :class:`HubBusyError`, with growing pauses, until ``stop`` is set.

    ``idle_attempts`` counts the tries without progress (default: all tries); more than ``attempts`` of them give up.
    """

    def asked(state: RetryCallState) -> float | None:
        error = state.outcome.exception() if state.outcome else None
        return error.retry_after if isinstance(error, HubBusyError) else None

    def give_up(state: RetryCallState) -> bool:
        count = idle_attempts() if idle_attempts is not None else state.attempt_number
        return stop.is_set() or count >= attempts or (asked(state) or 0.0) > _LONGEST_WAIT

    def pause(state: RetryCallState) -> float:
        wait = asked(state)
        return _backoff(state) if wait is None else wait

    return Retrying(
        retry=retry_if_exception_type((TransferError, HubBusyError)),
        stop=give_up,
        wait=pause,
        sleep=sleep_using_event(stop),
        reraise=True,
    )
