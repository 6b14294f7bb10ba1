"""A server of processes: it has imported all that writers need, so that each new one costs a fork and no import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.eventually import wait_until

__all__ = ["Acknowledged", "Forks"]

_ROOT = Path(__file__).parents[2]


class Acknowledged:
    """What a process says it has done: lines of a file, which outlive it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def send(self, what: object) -> None:
        os.write(self._file, f"{what}\n".encode())


class Forks:
    """``start`` runs a function of :mod:`tests.storage.writers` in a process of its own."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.storage.forks"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # nothing may run in threads where processes are forked
        )

    def start(self, name: str, *arguments: str | int | Path) -> int:
        """The number of the new process."""
        return self._ask({"start": name, "arguments": [str(item) for item in arguments]})

    def wait(self, process: int) -> int:
        """How it ended: an exit code, or minus the signal."""
        return self._ask({"wait": process})

    def _ask(self, what: object) -> int:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps(what), file=self._server.stdin, flush=True)
        return int(self._server.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(30)
        self._server.stdout.close()


def first_word(path: Path) -> str:
    """The first line of a file of acknowledgements, once it is there."""
    wait_until(lambda: path.exists() and "\n" in path.read_text("utf-8"), "nothing was begun")
    return path.read_text("utf-8").partition("\n")[0]


def _serve() -> None:
    import llama_cpp  # noqa: F401  # loaded, not begun: a fork has no threads

    import parlant_local.engine.engine  # noqa: F401
    from tests.storage import writers

    for line in sys.stdin:
        asked = json.loads(line)
        if "wait" in asked:
            _, status = os.waitpid(asked["wait"], 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        if (process := os.fork()) == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(2, 1)
            try:
                getattr(writers, asked["start"])(*asked["arguments"])
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(process, flush=True)


if __name__ == "__main__":
    _serve()
