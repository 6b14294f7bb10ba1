"""The number of threads for small steps, tuned while serving."""

from __future__ import annotations

from collections import deque
from statistics import median

__all__ = ["SMALL_STEP", "ThreadChoice"]

SMALL_STEP = 32
"""Steps of this many tokens or more always use all threads."""
_TRIAL_STEPS = 5  # the first of them only warms up
_MIN_INTERVAL, _MAX_INTERVAL = 8, 512  # steps between two trials
_ABORT_RATIO = 1.2  # two steps this many times slower end a trial early and postpone the next
_MORE_THREADS_RATIO, _FEWER_THREADS_RATIO = (
    0.95,
    1.02,
)  # relative time below which more (or fewer) threads win: others may want the cores


class ThreadChoice:
    """The fastest number of threads for steps of few tokens, from one to ``max_threads``.

    A step of one token is hundreds of small operations with a barrier after each, and threads that wait without spinning
    (spinning ones starve a busy machine) may lose more time in waking than they save in computing. That
    depends on the model, the machine and its current load, so now and then a few steps are computed with half or twice the
    threads.

    Answers don't depend on the choice. Flash attention's logits would, by some tenths, in steps of a single token (its cells
    are summed in as many parts as there are threads): with it, such steps always use ``max_threads``.
    """

    def __init__(self, max_threads: int, *, flash_attention: bool) -> None:
        self._max_threads = max_threads
        self._fewest_tokens = 2 if flash_attention else 1
        self._climbers: dict[int, _HillClimber] = {}

    def threads(self, tokens: int) -> int:
        """For a step of ``tokens``."""
        return self._climber(tokens).threads if self._is_tuned(tokens) else self._max_threads

    def record(self, tokens: int, seconds: float) -> None:
        """Records how long a step took with the number that :meth:`threads` gave."""
        if self._is_tuned(tokens):
            self._climber(tokens).record(seconds)

    def _is_tuned(self, tokens: int) -> bool:
        return self._max_threads > 1 and self._fewest_tokens <= tokens < SMALL_STEP

    def _climber(self, tokens: int) -> _HillClimber:
        size = tokens.bit_length()
        if size not in self._climbers:
            self._climbers[size] = _HillClimber(self._max_threads)
        return self._climbers[size]


class _HillClimber:
    """Hill climbing over halvings of all threads: a trial is a few steps of at most about twice the time."""

    def __init__(self, max_threads: int) -> None:
        self._candidates = _halvings(max_threads)
        self._index = len(self._candidates) - 1
        self._trial: int | None = None
        self._samples: list[float] = []
        self._recent: deque[float] = deque(maxlen=_MIN_INTERVAL)
        self._baseline: float | None = None
        self._upwards = False
        self._interval = self._until_trial = _MIN_INTERVAL

    @property
    def threads(self) -> int:
        return self._candidates[self._index if self._trial is None else self._trial]

    def record(self, seconds: float) -> None:
        if self._trial is not None:
            self._samples.append(seconds)
            measured = self._samples[1:]
            too_slow = len(measured) >= 2 and min(measured) > _ABORT_RATIO * median(self._recent)
            if too_slow or len(self._samples) == _TRIAL_STEPS:
                self._finish_trial(self._trial, median(measured), too_slow=too_slow)
            return
        self._recent.append(seconds)
        self._until_trial -= 1
        if len(self._recent) < _MIN_INTERVAL:
            return
        now = median(self._recent)
        if self._baseline is None:
            self._baseline = now
        elif not 0.6 < now / self._baseline < 1.7:  # the load of the machine has changed
            self._baseline, self._interval, self._until_trial = now, _MIN_INTERVAL, 0
        if self._until_trial <= 0:
            self._until_trial = self._interval
            self._start_trial()

    def _start_trial(self) -> None:
        for _ in range(2):
            index = self._index + (1 if self._upwards else -1)
            if 0 <= index < len(self._candidates):
                self._trial, self._samples = index, []
                return
            self._upwards = not self._upwards

    def _finish_trial(self, trial: int, seconds: float, *, too_slow: bool) -> None:
        before = median(self._recent)
        if seconds < before * (_MORE_THREADS_RATIO if trial > self._index else _FEWER_THREADS_RATIO):
            self._index, self._baseline = trial, seconds
            self._recent.clear()
            self._interval = _MIN_INTERVAL
        else:
            self._baseline = before
            self._upwards = not self._upwards
            self._interval = min(_MAX_INTERVAL, self._interval * (4 if too_slow else 2))
        self._trial, self._until_trial = None, self._interval


def _halvings(max_threads: int) -> list[int]:
    """1, …, most / 4, most / 2, most."""
    found = [max_threads]
    while found[0] > 1:
        found.insert(0, found[0] // 2)
    return found
