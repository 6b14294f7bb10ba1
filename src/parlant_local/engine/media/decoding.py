"""Decodes pictures and sounds, each in a process of its own with limits on time and memory."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from parlant_local.engine.helper_process import Watch, start
from parlant_local.engine.media.decoders import shared_decoders
from parlant_local.engine.media.inputs import Image, Media, Sound
from parlant_local.errors import BadRequestError, ConfigurationError, EngineError
from parlant_local.settings import MediaSettings

__all__ = ["apart", "ask", "decode", "decoded"]

T = TypeVar("T")

_SECONDS = 30
_AT_ONCE = 2  # each may take two gigabytes
_BASE_MEMORY = 512 * 1024 * 1024
_BYTES_A_SAMPLE = 4
_BYTES_A_PIXEL = 24  # of a decoder at its worst: several copies, some with an alpha channel
_LOOK_SECONDS = 0.05


async def decoded(data: bytes, kind: Literal["image", "audio"], settings: MediaSettings, *, rate: int) -> Media:
    """:func:`decode`, apart from the loop; cancelling the task ends the process."""
    return await apart(lambda stopped: decode(data, kind, settings, rate=rate, stopped=stopped))


async def apart(work: Callable[[threading.Event], T]) -> T:
    """``work``, on threads of its own: a hostile file may use its whole time, and the loop's default executor is shared.

    Cancelling the task sets the event that ``work`` gets.
    """
    stopped = threading.Event()
    try:
        return await asyncio.get_running_loop().run_in_executor(_executor(), work, stopped)
    except asyncio.CancelledError:
        stopped.set()
        raise


@lru_cache(maxsize=1)
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="parlant-local-decode")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_executor.cache_clear)  # the child has none of the parent's threads


def decode(
    data: bytes, kind: Literal["image", "audio"], settings: MediaSettings, *, rate: int, stopped: threading.Event
) -> Media:
    """The picture, or the sound at ``rate`` samples a second. Blocks for milliseconds; the first one for tenths of a second.

    Raises :class:`BadRequestError` for a file that is none, is damaged or exceeds a limit, :class:`ConfigurationError` where the
    package that decodes it is missing, :class:`InterruptedError` where ``stopped`` is set.
    """
    what = "picture" if kind == "image" else "sound"
    if len(data) > settings.max_mb * 1e6:
        raise BadRequestError(
            f"A {what} has {len(data) / 1e6:.1f} MB; the limit is {settings.max_mb:g} MB (media.max_mb).",
            hint="Send a smaller file.",
        )
    head = {
        "kind": kind,
        "pixels": int(settings.max_megapixels * 1e6),
        "side": settings.max_side,
        "rate": rate,
        "longest": settings.max_seconds,
    }
    most = settings.max_megapixels * 1e6 if kind == "image" else settings.max_seconds * rate
    largest = 3 * settings.max_side**2 if kind == "image" else int(most) * _BYTES_A_SAMPLE
    answer, body = shared_decoders().ask(head | _limits(int(most)), data, largest=largest, stopped=stopped)
    if "missing" in answer:
        raise ConfigurationError(
            f"{what.capitalize()}s are decoded by the package {answer['missing']}, which is not installed.",
            hint='pip install "parlant-local[media]"',
        )
    if "large" in answer:
        width, height = answer["large"]
        raise BadRequestError(
            f"A picture has {width} x {height} pixels; the limit is {settings.max_megapixels:g} megapixels (media.max_megapixels).",
            hint="Send a smaller one.",
        )
    if "long" in answer:
        raise BadRequestError(
            f"A sound is longer than {settings.max_seconds:g} s (media.max_seconds).", hint="Send a shorter one."
        )
    if "refused" in answer:
        raise BadRequestError(
            f"A {what} could not be decoded: {answer['refused']}.",
            hint="Pictures may be PNG, JPEG, WebP or GIF, sounds WAV, MP3 or FLAC.",
        )
    try:
        if kind == "image":
            return Image(np.frombuffer(body, dtype=np.uint8).reshape(answer["height"], answer["width"], 3))
        return Sound(np.frombuffer(body, dtype=np.float32), rate)
    except (KeyError, TypeError, ValueError):  # the process was taken over
        raise BadRequestError(f"A {what} could not be decoded: the decoder failed.") from None


def _limits(most: int) -> dict[str, int]:
    """Of a process that decodes at most so many pixels or samples."""
    return {"memory": _BASE_MEMORY + most * _BYTES_A_PIXEL, "seconds": _SECONDS}


def ask(
    script: Path, head: dict[str, Any], data: bytes, *, most: int, what: str, stopped: threading.Event
) -> tuple[dict[str, Any], bytes]:
    """What ``script``, started for it alone, answers for an untrusted file, which holds at most ``most`` pixels or samples; blocks.

    It gets ``head`` with its own limits as a line of JSON, and answers in the same form: ``refused`` says why it can't.
    """
    limits = _limits(most)
    sent = json.dumps(head | limits).encode() + b"\n" + data
    try:
        process = start(script, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError as error:
        raise EngineError(f"The process that decodes a {what} can't be started: {error}.") from None
    with process:
        exchange = _Exchange(process, sent)
        watch = Watch(process.pid, memory=limits["memory"], cpu_seconds=_SECONDS)
        deadline = time.monotonic() + 4 * _SECONDS
        try:
            while not exchange.done.wait(_LOOK_SECONDS):
                if stopped.is_set():
                    raise InterruptedError("Nobody waits for it.")
                if time.monotonic() > deadline or watch.exceeded():
                    return {"refused": "it takes too much time or memory"}, b""
        finally:
            process.kill()
    line, found, body = exchange.answer.partition(b"\n")
    return (json.loads(line), body) if found else ({"refused": "the decoder failed"}, b"")


class _Exchange:
    """Feeds a process and reads what it answers, on a thread: neither side waits for the other's full pipe."""

    def __init__(self, process: subprocess.Popen[bytes], sent: bytes) -> None:
        self.answer = b""
        self.done = threading.Event()
        self._process = process
        self._sent = sent
        threading.Thread(target=self._run, name="parlant-local-decoding", daemon=True).start()

    def _run(self) -> None:
        try:
            self.answer = self._process.communicate(self._sent)[0]
        except (OSError, ValueError):  # it ended early, or was killed
            self.answer = b""
        finally:
            self.done.set()
