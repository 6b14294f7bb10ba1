"""The parent's side of the process that runs stable-diffusion.cpp."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import struct
import subprocess
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from parlant_local.engine.helper_process import start
from parlant_local.errors import EngineError, EngineFailedError

__all__ = ["Answer", "Child"]

_WORKER = Path(__file__).with_name("worker.py")
_MAX_HEAD = 1024 * 1024
_MAX_BLOB = 512 * 1024 * 1024
_LOG_LINES, _LOG_CHARS = 60, 2000
_END_SECONDS = 0.2

# What the libraries of GPUs read, and threads that wait without spinning: the language models compute on the same cores.
_ENVIRONMENT = (
    "CUDA_VISIBLE_DEVICES",
    "CUDA_PATH",
    "HIP_VISIBLE_DEVICES",
    "HIP_PATH",
    "ROCR_VISIBLE_DEVICES",
    "GGML_VK_VISIBLE_DEVICES",
    "HOME",
)

Answer = tuple[dict[str, Any], list[bytes]]


class Child:
    """One process with one model. Belongs to ``loop``; :meth:`end` may be called from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Blocks while the process is started. Raises :class:`EngineError`."""
        variables = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        try:
            self._process = start(
                _WORKER,
                stdin=subprocess.PIPE,
                stderr=subprocess.PIPE,
                environment={"OMP_WAIT_POLICY": "PASSIVE"} | variables,
            )
        except OSError as error:
            raise EngineError(f"The process that makes pictures can't be started: {error}.") from None
        self._owner = os.getpid()
        self._answers: asyncio.Queue[Answer | None] = asyncio.Queue()
        self._log = _Log()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        weakref.finalize(self, self._process.stdin.close)  # ends process and threads of one that was forgotten
        _thread(_read_log, self._process.stderr, self._log)
        _thread(_read_answers, self._process.stdout, loop, self._answers)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        # After a fork the pipes belong to the parent.
        return self._owner == os.getpid() and self._process.poll() is None

    @property
    def last_sign(self) -> float:
        """When the library last said something, by :func:`time.monotonic`."""
        return self._log.last

    def last_words(self) -> str:
        """What the library said of an error, in one line."""
        return self._log.last_words()

    async def send(self, request: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> None:
        data = json.dumps({**request, "blobs": [len(blob) for blob in blobs]}).encode()
        pieces = [struct.pack(">I", len(data)), data, *blobs]
        try:
            # On a thread: its pipe is full until the process has imported what it needs.
            await asyncio.to_thread(self._write, pieces)
        except OSError:
            raise EngineFailedError(await asyncio.to_thread(self._how_it_ended)) from None

    def _write(self, pieces: Sequence[bytes]) -> None:
        assert self._process.stdin is not None
        for piece in pieces:
            view = memoryview(piece)
            while view:
                view = view[self._process.stdin.write(view[: 1 << 20]) :]

    async def receive(self, seconds: float) -> Answer:
        """The next answer. Raises :class:`TimeoutError` after so many seconds, :class:`EngineFailedError` where the process has ended."""
        async with asyncio.timeout(seconds):
            answer = await self._answers.get()
        if answer is None:
            raise EngineFailedError(await asyncio.to_thread(self._how_it_ended))
        return answer

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._log.whole.wait(5)
        words = self.last_words() or self._log.last_line()
        return f"{_exit(code)}{f': {words}' if words else ''}"

    def end(self) -> None:
        """Ends the process and waits for it: its memory is the system's again. Idempotent."""
        if self._owner != os.getpid():
            return
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # an idle one exits
        try:
            self._process.wait(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class _Log:
    """The last lines that the library wrote."""

    def __init__(self) -> None:
        self.last = time.monotonic()
        self.whole = threading.Event()
        self._lines: deque[str] = deque(maxlen=_LOG_LINES)

    def add(self, line: str) -> None:
        self.last = time.monotonic()
        self._lines.append(line)

    def last_line(self) -> str:
        return self._lines[-1].removeprefix("W ").removeprefix("I ") if self._lines else ""

    def last_words(self) -> str:
        lines = list(self._lines)
        errors = [line[2:] for line in lines if line.startswith("E ")]
        # A failed assertion is printed without a level, before a trace that begins with brackets or numbers.
        aborts = [line for line in lines if "GGML_ASSERT" in line or "abort" in line.lower()]
        said = list(dict.fromkeys([*errors[-3:], *aborts[:1]]))
        return "; ".join(said)[:_LOG_CHARS]


def _exit(code: int) -> str:
    if code >= 0:
        return f"it exited with {code}"
    with contextlib.suppress(ValueError):
        return f"it was ended by {signal.Signals(-code).name}"
    return f"it was ended by signal {-code}"


def _thread(work: Any, *arguments: Any) -> None:
    threading.Thread(target=work, args=arguments, name="parlant-local-images", daemon=True).start()


def _read_log(stream: IO[bytes], log: _Log) -> None:
    with stream:
        try:
            while line := stream.readline(_LOG_CHARS):
                log.add(line.decode("utf-8", "replace").rstrip())
        except (OSError, ValueError):
            pass
        finally:
            log.whole.set()


def _read_answers(stream: IO[bytes], loop: asyncio.AbstractEventLoop, answers: asyncio.Queue[Answer | None]) -> None:
    def deliver(answer: Answer | None) -> bool:
        try:
            loop.call_soon_threadsafe(answers.put_nowait, answer)
        except RuntimeError:  # the loop is closed: nobody waits
            return False
        return True

    with stream:
        try:
            while deliver(_read_answer(stream)):
                pass
        except (OSError, EOFError, ValueError):
            deliver(None)


def _read_answer(stream: IO[bytes]) -> Answer:
    (size,) = struct.unpack(">I", _read(stream, 4))
    if size > _MAX_HEAD:
        raise EOFError(f"an answer of {size} bytes")
    answer = json.loads(_read(stream, size))
    lengths = answer.pop("blobs")
    if sum(lengths) > _MAX_BLOB:
        raise EOFError(f"pictures of {sum(lengths)} bytes")
    return answer, [_read(stream, length) for length in lengths]


def _read(stream: IO[bytes], size: int) -> bytes:
    pieces: list[bytes] = []
    while size:
        piece = stream.read(min(size, 1 << 20))
        if not piece:
            raise EOFError
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
