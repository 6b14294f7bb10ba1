"""Runs native work on other people's files in a process of its own: what crashes there would have crashed us."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Mapping
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import IO, Any, cast

from parlant_local import errors
from parlant_local.engine.helper_process import start
from parlant_local.engine.vetting.process import Tail, cause_of_death, last_line, native_environment
from parlant_local.errors import EngineError, InvalidModelError, ParlantLocalError
from parlant_local.gguf_info import available_memory
from parlant_local.workshop.control import Control

__all__ = ["run_child"]

_SCRIPT = Path(__file__).with_name("native_work.py")
_LEAST_MEMORY = 2 << 30


def run_child(job: str, spec: Mapping[str, Any], *, library: str, file: str, control: Control) -> dict[str, Any]:
    """What ``job`` of :mod:`native_work` answers. Blocks; ends it where ``control`` is cancelled or the caller is interrupted.

    ``library``: as engine.library. ``file``: what it works on, for messages. Raises the error that the job raised,
    :class:`InvalidModelError` where it crashed, :class:`EngineError` where it ended otherwise.
    """
    try:
        process = start(_SCRIPT, stdin=subprocess.PIPE, stderr=subprocess.PIPE, environment=native_environment(library))
    except OSError as error:
        raise EngineError(f"The process for {job} can't be started: {error}.") from None
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        # A process that is written to has raw pipes.
        log, lines = Tail(BufferedReader(cast(RawIOBase, process.stderr))), _Lines(process.stdout)
        try:
            memory = max(available_memory(), _LEAST_MEMORY)
            process.stdin.write(json.dumps({"job": job, "memory": memory, **spec}).encode() + b"\n")
            process.stdin.flush()
            answer = _answer(lines, control, file)
            code = process.wait() if answer is None else 0
        except BrokenPipeError:
            answer, code = None, process.wait()
        finally:
            process.kill()
            log.ended(5)
    if answer is None:
        raise _death(code, log.text, job, file)
    if "refused" in answer:
        raise _raised(answer)
    return answer


def _answer(lines: _Lines, control: Control, file: str) -> dict[str, Any] | None:
    """The last line; None where there was none. The lines before it say how far it is."""
    while True:
        control.check()
        try:
            line = lines.waiting.get(timeout=0.1)
        except queue.Empty:
            continue
        if line is None:
            return None
        told = json.loads(line)
        if "progress" not in told:
            return dict(told)
        done, total, doing = told["progress"]
        control.step(f"{doing} {file}", int(done), int(total))


class _Lines:
    """A pipe's lines, read on a thread."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self.waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(pipe,), name="parlant-local-workshop", daemon=True).start()

    def _read(self, pipe: IO[bytes]) -> None:
        try:
            for line in pipe:
                self.waiting.put(line)
        except (ValueError, OSError):  # closed by its owner
            pass
        finally:
            self.waiting.put(None)


def _raised(answer: Mapping[str, Any]) -> ParlantLocalError:
    kind = getattr(errors, str(answer["kind"]), EngineError)
    try:
        found = kind(answer["refused"], hint=answer["hint"])
    except TypeError:  # one that wants figures
        found = EngineError(answer["refused"], hint=answer["hint"])
    assert isinstance(found, ParlantLocalError)
    return found


def _death(code: int, log: str, job: str, file: str) -> ParlantLocalError:
    cause, last = cause_of_death(code), last_line(log)
    if cause is None:
        return EngineError(f"{job} of {file} failed: {last}")
    if cause in ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"):
        return EngineError(f"{job} of {file} was ended from outside ({cause}).", hint="Was there too little memory?")
    return InvalidModelError(
        f"{job} of {file} crashed its process ({cause}: {last}).",
        hint="The file may be corrupt: `parlant-local verify`. Or there was too little memory.",
    )
