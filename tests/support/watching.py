"""What a piece of work does to the rest of its process: how long other threads were silent, and the memory it took."""

from __future__ import annotations

import threading
import time
from types import TracebackType

import psutil

__all__ = ["Watch"]

_BEAT = 0.005
_HANG = 10.0  # seconds of this process's own processor time


class Watch:
    """``with Watch() as watch: …``, then ``watch.kept_the_lock`` and ``watch.grown`` in bytes; in seconds, for documents only,
    ``watch.seconds`` and ``watch.silence``."""

    def __enter__(self) -> Watch:
        self.silence = 0.0
        self._process = psutil.Process()
        self._before = self._peak = self._process.memory_info().rss
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._beat), threading.Thread(target=self._weigh)]
        for thread in self._threads:
            thread.start()
        self._started = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.perf_counter() - self._started
        self._ended.set()
        for thread in self._threads:
            thread.join()

    @property
    def kept_the_lock(self) -> bool:
        """Whether no other thread could run while this process computed for very long: a hang that ends by itself."""
        return self.silence > _HANG

    @property
    def grown(self) -> int:
        return self._peak - self._before

    def _beat(self) -> None:
        last, spent = time.perf_counter(), time.process_time()
        while not self._ended.is_set():
            time.sleep(_BEAT)
            now, used = time.perf_counter(), time.process_time()
            # Only while this process computed: what the machine did elsewhere silences nobody here.
            self.silence = max(self.silence, min(now - last - _BEAT, used - spent))
            last, spent = now, used

    def _weigh(self) -> None:
        while not self._ended.is_set():
            self._peak = max(self._peak, self._process.memory_info().rss)
            time.sleep(4 * _BEAT)
