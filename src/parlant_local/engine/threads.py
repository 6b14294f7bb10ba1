"""How many threads a small step is worth, found out while serving."""

from __future__ import annotations

from collections import deque
from statistics import median

__all__ = ["SMALL_STEP", "ThreadChoice"]

SMALL_STEP = 32
"""Tokens from which on a step is long enough for every thread."""
_TRIAL = 5  # steps, of which the first only warms up
_EAGER, _PATIENT = 8, 512  # steps between two trials
_HOPELESS = 1.2  # times as long: two steps of that end a trial, and the next one is far off
_MORE, _FEWER = 0.95, 1.02  # share of the time that speaks for more threads, which somebody else may want, or for fewer


class ThreadChoice:
    """The fastest number of threads for steps of few tokens, from one to ``most``.

    A step of one token is hundreds of small operations with a barrier after each, and threads that wait without spinning
    (spinning ones starve a busy machine) may lose more time in waking than they save in computing. Which is so depends on
    the model, the machine and what else runs there now, so now and then a few steps are computed with half or twice the
    threads.

    No answer depends on the choice. Flash attention's logits do, to some tenths, where a step has a single token (its cells
    are summed up in as many parts as there are threads): with it, such steps always get ``most``.
    """

    def __init__(self, most: int, *, flash_attention: bool) -> None:
        self._most = most
        self._fewest_tokens = 2 if flash_attention else 1
        self._sizes: dict[int, _Climb] = {}

    def threads(self, tokens: int) -> int:
        """For a step of so many tokens."""
        return self._climb(tokens).threads if self._varies(tokens) else self._most

    def note(self, tokens: int, seconds: float) -> None:
        """How long the step took with what :meth:`threads` said."""
        if self._varies(tokens):
            self._climb(tokens).note(seconds)

    def _varies(self, tokens: int) -> bool:
        return self._most > 1 and self._fewest_tokens <= tokens < SMALL_STEP

    def _climb(self, tokens: int) -> _Climb:
        size = tokens.bit_length()
        if size not in self._sizes:
            self._sizes[size] = _Climb(self._most)
        return self._sizes[size]


class _Climb:
    """Hill climbing over halves of all threads: a trial is a few steps of at most about twice the time."""

    def __init__(self, most: int) -> None:
        self._ladder = _halves(most)
        self._place = len(self._ladder) - 1
        self._trial: int | None = None
        self._samples: list[float] = []
        self._recent: deque[float] = deque(maxlen=_EAGER)
        self._known: float | None = None
        self._upwards = False
        self._pause = self._left = _EAGER

    @property
    def threads(self) -> int:
        return self._ladder[self._place if self._trial is None else self._trial]

    def note(self, seconds: float) -> None:
        if self._trial is not None:
            self._samples.append(seconds)
            counted = self._samples[1:]
            hopeless = len(counted) >= 2 and min(counted) > _HOPELESS * median(self._recent)
            if hopeless or len(self._samples) == _TRIAL:
                self._decide(self._trial, median(counted), hopeless=hopeless)
            return
        self._recent.append(seconds)
        self._left -= 1
        if len(self._recent) < _EAGER:
            return
        now = median(self._recent)
        if self._known is None:
            self._known = now
        elif not 0.6 < now / self._known < 1.7:  # something else began or ended to run here
            self._known, self._pause, self._left = now, _EAGER, 0
        if self._left <= 0:
            self._left = self._pause
            self._begin()

    def _begin(self) -> None:
        for _ in range(2):
            place = self._place + (1 if self._upwards else -1)
            if 0 <= place < len(self._ladder):
                self._trial, self._samples = place, []
                return
            self._upwards = not self._upwards

    def _decide(self, trial: int, seconds: float, *, hopeless: bool) -> None:
        before = median(self._recent)
        if seconds < before * (_MORE if trial > self._place else _FEWER):
            self._place, self._known = trial, seconds
            self._recent.clear()
            self._pause = _EAGER
        else:
            self._known = before
            self._upwards = not self._upwards
            self._pause = min(_PATIENT, self._pause * (4 if hopeless else 2))
        self._trial, self._left = None, self._pause


def _halves(most: int) -> list[int]:
    """1, …, most / 4, most / 2, most."""
    found = [most]
    while found[0] > 1:
        found.insert(0, found[0] // 2)
    return found
