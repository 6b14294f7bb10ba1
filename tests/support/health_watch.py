"""A process that asks a server's /health again and again and looks at its memory, so that what it sees is not its own doing."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import urlsplit

__all__ = ["Seen", "Watch"]

_PAUSE = 0.01
_HANG = 30.0


@dataclass(frozen=True)
class Seen:
    """Since the last look."""

    silence: float
    """The longest that /health took to answer, in seconds."""
    peak: int
    """The most memory, in bytes."""
    failed: int
    """Questions that were not answered with 200, or not within half a minute."""


class Watch:
    def __init__(self, url: str, pid: int) -> None:
        command = [sys.executable, __file__, url, str(pid)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.look()

    def look(self) -> Seen:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return Seen(**json.loads(self._process.stdout.readline()))

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait(30)


def _watch(url: str, pid: int) -> None:
    import psutil

    process = psutil.Process(pid)
    place = urlsplit(url)
    asked = threading.Event()
    threading.Thread(target=_listen, args=(asked,), daemon=True).start()
    silence, peak, failed = 0.0, 0, 0
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=_HANG)
    while True:
        wanted = asked.is_set()
        began = time.monotonic()
        try:
            connection.request("GET", "/health")
            answer = connection.getresponse()
            answer.read()
            failed += answer.status != 200
        except (OSError, http.client.HTTPException):
            connection.close()
            failed += 1
        silence = max(silence, time.monotonic() - began)
        peak = max(peak, process.memory_info().rss)
        if wanted:  # one whole question after the wish, so that nothing is missed
            asked.clear()
            print(json.dumps({"silence": silence, "peak": peak, "failed": failed}), flush=True)
            silence, peak, failed = 0.0, process.memory_info().rss, 0
        time.sleep(_PAUSE)


def _listen(asked: threading.Event) -> None:
    for _ in sys.stdin:
        asked.set()
    import os

    os._exit(0)


if __name__ == "__main__":
    _watch(sys.argv[1], int(sys.argv[2]))
