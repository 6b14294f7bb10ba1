"""The processes that decode, kept for the next file: starting one takes longer than most files do."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any

from parlant_local.engine.helper_process import Watch, start
from parlant_local.errors import EngineError
from parlant_local.forking import Shared

__all__ = ["Decoders", "shared_decoders"]

_SCRIPT = Path(__file__).with_name("decoder.py")
_KEPT = 2
_KEPT_SECONDS = 240  # unused; a process ends itself some time later
_LOOK_SECONDS = 0.05

Answer = tuple[dict[str, Any], bytes]


class Decoders:
    """Decodes files, each in a process of its own. Safe to use from several threads, each of which gets its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Decoder] = []

    def ask(self, head: Mapping[str, Any], data: bytes, *, largest: int, stopped: threading.Event) -> Answer:
        """What the process says of a file, and up to ``largest`` bytes of pixels or samples. ``head``: what it is and its limits.

        Raises :class:`InterruptedError` where ``stopped`` is set, :class:`EngineError` where no process can be started.
        """
        try:
            try:
                return self._ask(self._take(), head, data, largest, stopped)
            except _Gone:
                return self._ask(_Decoder(), head, data, largest, stopped)
        except _Broken as error:
            return {"refused": str(error)}, b""

    def _ask(
        self, decoder: _Decoder, head: Mapping[str, Any], data: bytes, largest: int, stopped: threading.Event
    ) -> Answer:
        try:
            answer = decoder.ask(head, data, largest=largest, stopped=stopped)
        except BaseException:
            decoder.stop()
            raise
        self._give_back(decoder)
        return answer

    def _take(self) -> _Decoder:
        with self._lock:
            while self._idle:
                decoder = self._idle.pop()
                if not decoder.old:
                    return decoder
                decoder.stop()
        return _Decoder()

    def _give_back(self, decoder: _Decoder) -> None:
        if not hasattr(os, "fork"):  # it has ended: the next one is made ready meanwhile
            decoder.stop()
            with contextlib.suppress(EngineError):
                decoder = _Decoder()
        with self._lock:
            if len(self._idle) < _KEPT:
                self._idle.append(decoder)
                return
        decoder.stop()

    def close(self) -> None:
        """Ends the processes that wait for a file; the next file starts another."""
        with self._lock:
            idle, self._idle = self._idle, []
        for decoder in idle:
            decoder.stop()

    def forget(self) -> None:
        """After a fork: the processes are the parent's, and end when the parent closes their pipes."""
        for decoder in self._idle:
            decoder.let_go()


class _Broken(Exception):
    """Says what a file did to its process."""


class _Gone(_Broken):
    """The process had ended before it saw the file."""


class _Decoder:
    """A process, and a thread that reads its answers: not on every system can a pipe be waited for with a limit."""

    def __init__(self) -> None:
        try:
            self._process = start(_SCRIPT, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        except OSError as error:
            raise EngineError(f"The process that decodes pictures and sounds can't be started: {error}.") from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input = io.BufferedWriter(self._process.stdin)  # type: ignore[arg-type]  # unbuffered, it is the file itself
        self._answers: SimpleQueue[Answer | None] = SimpleQueue()
        self._room = _Room()
        self._used = time.monotonic()
        reading = (self._process.stdout, self._answers, self._room)
        threading.Thread(target=_read, args=reading, name="parlant-local-decoding", daemon=True).start()

    @property
    def old(self) -> bool:
        return time.monotonic() - self._used > _KEPT_SECONDS

    def ask(self, head: Mapping[str, Any], data: bytes, *, largest: int, stopped: threading.Event) -> Answer:
        """Raises :class:`_Broken`, and :class:`InterruptedError` where ``stopped`` is set."""
        self._room.bytes = largest
        deadline = time.monotonic() + 4 * head["seconds"]
        try:
            # It reads a request whole before it looks at it, so this can't wait for a hostile file.
            self._input.write(json.dumps({**head, "size": len(data)}).encode() + b"\n")
            self._input.write(data)
            self._input.flush()
        except OSError:
            raise _Gone("the decoder failed") from None
        watch: Watch | None = None
        while True:
            with contextlib.suppress(Empty):
                if (answer := self._answers.get(timeout=_LOOK_SECONDS)) is None:
                    raise (_Gone if watch is None else _Broken)("the decoder failed")
                if watch is None and "pid" in answer[0]:  # said before it looks at the file
                    watch = Watch(answer[0]["pid"], memory=head["memory"], cpu_seconds=head["seconds"])
                    continue
                self._used = time.monotonic()
                return answer
            if stopped.is_set():
                raise InterruptedError("Nobody waits for it.")
            if time.monotonic() > deadline or (watch is not None and watch.exceeded()):
                raise _Broken("it takes too much time or memory")

    def stop(self) -> None:
        """Ends it, and what it forked."""
        with contextlib.suppress(OSError):
            if hasattr(os, "killpg"):
                # Its own group; the number is nobody else's until it is waited for.
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        with contextlib.suppress(OSError):
            self._input.close()
        self._process.wait()

    def let_go(self) -> None:
        """Of a process of the parent's: closes this end of its pipes."""
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()
        self._process.returncode = 0


class _Room:
    """How many bytes the next answer may have: it comes from a process that reads hostile files."""

    bytes = 0


def _read(stream: IO[bytes], answers: SimpleQueue[Answer | None], room: _Room) -> None:
    with io.BufferedReader(stream) as reader:  # type: ignore[type-var]  # unbuffered, it is the file itself
        try:
            while line := reader.readline(1 << 16):
                answer = json.loads(line)
                size = answer["size"]
                if not 0 <= size <= room.bytes or len(body := reader.read(size)) < size:
                    break
                answers.put((answer, body))
        except (OSError, ValueError, KeyError, TypeError):
            pass
        finally:
            answers.put(None)


shared_decoders = Shared(Decoders, Decoders.close, Decoders.forget)
"""Gives those of this process."""
