"""The parent's side of the rendering process: started on first use, restarted when a template breaks it."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import spawn
from pathlib import Path
from typing import Any

from parlant_local.errors import TemplateError, TemplateLimitError

__all__ = ["Sandbox", "SandboxLimits", "shared_sandbox"]

_WORKER = Path(__file__).with_name("worker.py")
# As in subprocess: needs no descriptor of its own, unlike epoll, and has no upper limit on them, unlike select.
_Waiting = getattr(selectors, "PollSelector", selectors.SelectSelector)
# Environment variables for the worker: enough to run and to tell the date, no secrets.
_INHERITED = ("PATH", "TZ", "LANG", "LC_ALL", "LC_TIME", "LC_CTYPE", "SYSTEMROOT", "LD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What one rendering may use."""

    cpu_seconds: float = 2.0
    """CPU time, so that a busy machine is not mistaken for a hostile template."""
    wall_seconds: float = 60.0
    memory_bytes: int = 512 * 1024 * 1024
    """Address space of the rendering process."""
    max_template: int = 512 * 1024
    """Characters of a template's source."""
    max_output: int = 16 * 1024 * 1024
    """Characters of a rendered prompt."""


class Sandbox:
    """Renders templates in a process of their own. Safe to use from several threads; calls take turns."""

    def __init__(self, limits: SandboxLimits | None = None) -> None:
        self.limits = limits or SandboxLimits()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def render(self, template: str, variables: Mapping[str, Any]) -> str:
        """The rendered text.

        Raises :class:`TemplateError` with what the template raised, :class:`TemplateLimitError` with the limit it broke.
        """
        found = self.render_all(template, [variables])[0]
        if isinstance(found, TemplateError):
            raise found
        return found

    def render_all(self, template: str, variables: Sequence[Mapping[str, Any]]) -> list[str | TemplateError]:
        """One text for each set of variables, or what the template raised for it; the limits hold for all together.

        Raises :class:`TemplateLimitError` with the limit that was broken.
        """
        if len(template) > self.limits.max_template:
            raise TemplateLimitError(
                f"The chat template is {len(template):,} characters long; the limit is {self.limits.max_template:,}.",
                hint="Set another one with chat_format.",
            )
        request = {
            "template": template,
            "variables": variables,
            "max_output": self.limits.max_output,
            "max_seconds": self.limits.cpu_seconds,
        }
        data = json.dumps(request).encode()
        with self._lock:
            answers = self._exchange(data)
        return [_text_or_error(answer) for answer in answers]

    def close(self) -> None:
        """Ends the process; the next call starts another."""
        with self._lock:
            self._stop()

    def _exchange(self, data: bytes) -> list[dict[str, str]]:
        deadline = time.monotonic() + self.limits.wall_seconds
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            # The worker reads a request whole before it renders, so this can't wait on a stuck template.
            self._send(process.stdin.fileno(), struct.pack(">I", len(data)) + data)
            (size,) = struct.unpack(">I", self._read(process, 4, deadline))
            answers: list[dict[str, str]] = json.loads(self._read(process, size, deadline))
        except TimeoutError:
            self._stop()
            return [{"error": "limit", "message": f"it took longer than {self.limits.wall_seconds:g} s"}]
        except (OSError, EOFError):
            code = self._stop()
            return [{"error": "limit", "message": self._exit_reason(code)}]
        except BaseException:
            self._stop()  # after an interrupted exchange the next request would read its answer
            raise
        return answers

    def _exit_reason(self, code: int) -> str:
        import signal

        if hasattr(signal, "SIGPROF") and code == -signal.SIGPROF:
            return f"it took more than {self.limits.cpu_seconds:g} s of processor time"
        return f"it ended the rendering process (exit code {code})"

    @staticmethod
    def _send(descriptor: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view[: 1 << 20]) :]

    @staticmethod
    def _read(process: subprocess.Popen[bytes], size: int, deadline: float) -> bytes:
        assert process.stdout is not None
        chunks: list[bytes] = []
        descriptor = process.stdout.fileno()
        while size:
            if os.name == "posix":
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not _readable(descriptor, remaining):
                    raise TimeoutError
            chunk = os.read(descriptor, min(size, 1 << 20))
            if not chunk:
                raise EOFError
            chunks.append(chunk)
            size -= len(chunk)
        return b"".join(chunks)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._owner != os.getpid():
            self._process = None  # after a fork: the pipes belong to the parent
        if self._process is None or self._process.poll() is not None:
            environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
            # Same import path as ours; -P keeps this folder's modules from shadowing the standard library's.
            environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
            executable = os.fsdecode(spawn.get_executable() or sys.executable)
            try:
                self._process = subprocess.Popen(
                    [executable, "-P", "-S", str(_WORKER), str(self.limits.memory_bytes)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    bufsize=0,
                    env=environment,
                    start_new_session=True,  # Ctrl-C in a terminal must not reach it
                )
            except OSError as error:
                raise TemplateError(f"The process that renders chat templates can't be started: {error}.") from None
            self._owner = os.getpid()
        return self._process

    def _stop(self) -> int:
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return 0
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            # The pipe is closed: a dead or idle worker exits at once; a stuck one is killed.
            return process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def _readable(descriptor: int, seconds: float) -> bool:
    with _Waiting() as waiting:
        waiting.register(descriptor, selectors.EVENT_READ)
        return bool(waiting.select(seconds))


def _text_or_error(answer: Mapping[str, str]) -> str | TemplateError:
    if (text := answer.get("text")) is not None:
        return text
    if answer["error"] == "limit":
        raise TemplateLimitError(
            f"The chat template was stopped: {answer['message']}.", hint="Set another one with chat_format."
        )
    return TemplateError(f"The chat template failed: {answer['message']} ({answer['error']}).")


_shared: Sandbox | None = None
_shared_lock = threading.Lock()


def shared_sandbox() -> Sandbox:
    """The sandbox shared by all models of this process; closed at exit."""
    global _shared
    with _shared_lock:
        if _shared is None:
            import atexit

            _shared = Sandbox()
            atexit.register(_close_shared)
        return _shared


def _close_shared() -> None:
    if _shared is not None:
        _shared.close()


def _after_fork() -> None:
    """The worker belongs to the parent: a child that wrote to it would steal the parent's answers."""
    global _shared, _shared_lock
    _shared, _shared_lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
