"""The process that does native work on a file. It reads one line of JSON, and writes some: how far it is, then its answer.

It ends when its standard input does: nobody waits for it any more.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

_JOBS = {
    "quantize": "parlant_local.workshop.quantize_job",
    "imatrix": "parlant_local.workshop.imatrix_job",
}


def main() -> dict[str, Any]:
    spec = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _limit_resources(int(spec.pop("memory")))
    from parlant_local.errors import ParlantLocalError

    work: Callable[..., dict[str, Any]] = import_module(_JOBS[spec.pop("job")]).work
    try:
        return work(_progress, **spec)
    except ParlantLocalError as error:
        return {"refused": error.message, "hint": error.hint, "kind": type(error).__name__}


def _progress(done: int, total: int, doing: str) -> None:
    _write({"progress": [done, total, doing]})


def _write(told: dict[str, Any]) -> None:
    os.write(1, json.dumps(told).encode() + b"\n")


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


def _limit_resources(memory: int) -> None:
    with contextlib.suppress(ImportError):  # not on Windows
        resource = import_module("resource")
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


if __name__ == "__main__":
    _write(main())
    os._exit(0)  # skips the library's teardown
