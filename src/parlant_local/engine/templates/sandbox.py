"""The parent's side of the rendering process: started on first use, restarted when a template breaks it."""

from __future__ import annotations

import contextlib
import json
import os
import struct
import subprocess
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any

from parlant_local.engine.helper_process import Watch, start
from parlant_local.errors import TemplateError, TemplateLimitError
from parlant_local.forking import Shared

__all__ = ["Sandbox", "SandboxLimits", "shared_sandbox"]

_WORKER = Path(__file__).with_name("worker.py")
_LOOK_SECONDS = 0.05  # how often its time and memory are looked at


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What one rendering may use."""

    cpu_seconds: float = 2.0
    """CPU time, so that a busy machine is not mistaken for a hostile template."""
    wall_seconds: float = 60.0
    memory_bytes: int = 512 * 1024 * 1024
    """Address space of the rendering process, or its memory where the system has no such limit."""
    max_template: int = 512 * 1024
    """Characters of a template's source."""
    max_output: int = 16 * 1024 * 1024
    """Characters of a rendered prompt."""


class Sandbox:
    """Renders templates in a process of their own. Safe to use from several threads; calls take turns."""

    def __init__(self, limits: SandboxLimits | None = None) -> None:
        self.limits = limits or SandboxLimits()
        self._lock = threading.Lock()
        self._worker: _Worker | None = None

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
        worker = self._running()
        try:
            answers: list[dict[str, str]] = json.loads(worker.ask(data, self.limits))
        except _LimitError as error:
            self._stop()
            return [{"error": "limit", "message": str(error)}]
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
            return _too_long(self.limits)
        return f"it ended the rendering process (exit code {code})"

    def _running(self) -> _Worker:
        worker = self._worker
        # After a fork the pipes belong to the parent.
        if worker is None or worker.owner != os.getpid() or worker.process.poll() is not None:
            try:
                worker = self._worker = _Worker(self.limits.memory_bytes)
            except OSError as error:
                raise TemplateError(f"The process that renders chat templates can't be started: {error}.") from None
        return worker

    def _stop(self) -> int:
        worker, self._worker = self._worker, None
        return 0 if worker is None or worker.owner != os.getpid() else worker.stop()


class _LimitError(Exception):
    """Says which limit a template broke."""


def _too_long(limits: SandboxLimits) -> str:
    return f"it took more than {limits.cpu_seconds:g} s of processor time"


class _Worker:
    """The process, and a thread that reads its answers: not on every system can a pipe be waited for with a limit."""

    def __init__(self, memory_bytes: int) -> None:
        self.owner = os.getpid()
        self.process = start(_WORKER, str(memory_bytes), stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self._answers: SimpleQueue[bytes | None] = SimpleQueue()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        weakref.finalize(self, self.process.stdin.close)  # ends process and thread of a sandbox that was forgotten
        reading = (self.process.stdout, self._answers)
        threading.Thread(target=_read_answers, args=reading, name="parlant-local-template", daemon=True).start()

    def ask(self, data: bytes, limits: SandboxLimits) -> bytes:
        """The answer. Raises :class:`_LimitError`, and :class:`OSError` or :class:`EOFError` for a process that has ended."""
        assert self.process.stdin is not None
        deadline = time.monotonic() + limits.wall_seconds
        # The worker reads a request whole before it renders, so this can't wait on a stuck template.
        _send(self.process.stdin.fileno(), struct.pack(">I", len(data)) + data)
        watch: Watch | None = None
        while True:
            with contextlib.suppress(Empty):
                if (answer := self._answers.get(timeout=_LOOK_SECONDS)) is None:
                    raise EOFError
                return answer
            if time.monotonic() > deadline:
                raise _LimitError(f"it took longer than {limits.wall_seconds:g} s")
            # Made now, since most answers come sooner.
            watch = watch or Watch(self.process.pid, memory=limits.memory_bytes, cpu_seconds=limits.cpu_seconds)
            if broken := watch.exceeded():
                raise _LimitError(_too_long(limits) if broken == "time" else "it asks for too much memory")

    def stop(self) -> int:
        """Ends the process; its exit code."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            # The pipe is closed: a dead or idle worker exits at once; a stuck one is killed.
            return self.process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def _read_answers(stream: IO[bytes], answers: SimpleQueue[bytes | None]) -> None:
    with stream:
        try:
            while True:
                (size,) = struct.unpack(">I", _read(stream.fileno(), 4))
                answers.put(_read(stream.fileno(), size))
        except (OSError, EOFError):
            answers.put(None)


def _send(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view[: 1 << 20]) :]


def _read(descriptor: int, size: int) -> bytes:
    chunks: list[bytes] = []
    while size:
        chunk = os.read(descriptor, min(size, 1 << 20))
        if not chunk:
            raise EOFError
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


def _text_or_error(answer: Mapping[str, str]) -> str | TemplateError:
    if (text := answer.get("text")) is not None:
        return text
    if answer["error"] == "limit":
        raise TemplateLimitError(
            f"The chat template was stopped: {answer['message']}.", hint="Set another one with chat_format."
        )
    return TemplateError(f"The chat template failed: {answer['message']} ({answer['error']}).")


shared_sandbox = Shared(Sandbox, Sandbox.close)
"""Gives the sandbox of all models of this process."""
