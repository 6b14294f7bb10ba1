"""Servers by the dozen: a process that has imported them forks for each, which then takes its course as ever.

What runs in the fork is the command itself, with its own environment, until the interpreter's end; only the imports are spared.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import IO, Any

__all__ = ["POSSIBLE", "Forked", "start"]

POSSIBLE = sys.platform == "linux"
_ROOT = Path(__file__).parents[2]
_MAX_MESSAGE = 1 << 18


class Forked:
    """As much of :class:`subprocess.Popen` as tests of a server use."""

    def __init__(self, status: IO[bytes], stdout: IO[str], stderr: IO[str]) -> None:
        self.pid = int(status.readline())
        self.stdout, self.stderr = stdout, stderr
        self.returncode: int | None = None
        self._status = status

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self.returncode = int(self._status.readline())
            self._status.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(code: str, arguments: list[str], environment: Mapping[str, str]) -> Forked:
    """``python -c code arguments…``"""
    ends = [os.pipe() for _ in range(3)]
    request = {"code": code, "arguments": arguments, "environment": dict(environment), "folder": str(Path.cwd())}
    socket.send_fds(_zygote(), [json.dumps(request).encode()], [written for _, written in ends])
    for _, written in ends:
        os.close(written)
    status, stdout, stderr = (read for read, _ in ends)
    return Forked(os.fdopen(status, "rb", 0), os.fdopen(stdout, encoding="utf-8"), os.fdopen(stderr, encoding="utf-8"))


@cache
def _zygote() -> socket.socket:
    """One for each process that runs tests; it ends with the connection."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.forked", str(theirs.fileno())],
            cwd=_ROOT,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the tests
        )

    def end() -> None:
        ours.close()
        process.wait(10)

    atexit.register(end)
    return ours


def _serve(channel: socket.socket) -> Callable[[], Any]:
    """In the fork: what is left to do. Otherwise it ends with the connection."""
    import llguidance  # noqa: F401
    import uvicorn.lifespan.on
    import uvicorn.protocols.http.h11_impl  # noqa: F401

    import parlant_local.backends.llama_cpp
    import parlant_local.cli.serve
    import parlant_local.engine.engine
    import parlant_local.server.app
    import parlant_local.server.serving  # noqa: F401

    assert "huggingface_hub" not in sys.modules, "it reads the environment when it is imported"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those between
    while True:
        message, files, *_ = socket.recv_fds(channel, _MAX_MESSAGE, 3)
        if not message:
            sys.exit()
        if os.fork():
            for file in files:
                os.close(file)
            continue
        channel.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        status, stdout, stderr = files
        if pid := os.fork():
            _tell(pid, status, [stdout, stderr])
        os.close(status)
        for number, file in ((1, stdout), (2, stderr)):
            os.dup2(file, number)
            os.close(file)
        return _become(json.loads(message))


def _tell(pid: int, status: int, others: list[int]) -> None:
    """Between the two: who is started, and how it ends."""
    for file in others:
        os.close(file)
    os.write(status, b"%d\n" % pid)
    os.write(status, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    os._exit(0)


def _become(request: dict[str, Any]) -> Callable[[], Any]:
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["-c", *request["arguments"]]
    return lambda: exec(compile(request["code"], "<string>", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))()
