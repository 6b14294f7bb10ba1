"""Models that make pictures at a test's command: real PNG files, one step when the test says so."""

from __future__ import annotations

import asyncio
import struct
import time
import zlib
from dataclasses import replace
from typing import Any

from parlant_local.errors import ModelNotFoundError, ParlantLocalError
from parlant_local.images import (
    ImageBackend,
    ImageDirectory,
    ImageModel,
    ImageProgress,
    ImageReply,
    ImageRequest,
    OnProgress,
    Picture,
)
from parlant_local.settings import Settings

__all__ = ["EDITS", "PLAIN", "ScriptedDirectory", "ScriptedImages", "a_png", "install"]

EDITS = "studio/painter"
PLAIN = "studio/pencil"


def a_png(width: int, height: int, red: int = 200, green: int = 80, blue: int = 40, alpha: int | None = None) -> bytes:
    """One colour; with ``alpha`` the left half has it and the right half is opaque."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    if alpha is None:
        row, colour = bytes((red, green, blue)) * width, 2
    else:
        left = width // 2
        row = bytes((red, green, blue, alpha)) * left + bytes((red, green, blue, 255)) * (width - left)
        colour = 6
    pixels = zlib.compress((b"\0" + row) * height)
    head = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


class ScriptedImages(ImageBackend):
    """``held``: each step waits until ``step`` is called. ``failure`` is raised by the next job, at its first step."""

    def __init__(self, model: ImageModel, *, held: bool = False, seconds: float = 0.0) -> None:
        self.model, self.seconds = model, seconds
        self.running = 0
        self.closed = False
        self.reset(held=held)

    def reset(self, *, held: bool) -> None:
        self.held = held
        self.asked: list[ImageRequest] = []
        self.cancelled = 0
        self.most_running = 0
        self.failure: BaseException | None = None
        self.data: bytes | None = None
        self._steps = asyncio.Semaphore(0)

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            self._steps.release()

    async def generate(self, request: ImageRequest, on_progress: OnProgress | None = None) -> ImageReply:
        self.asked.append(request)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        began = time.monotonic()
        try:
            pictures = [await self._picture(request, at, on_progress) for at in range(request.count)]
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        steps, guidance = request.steps or 4, 7.0 if request.guidance is None else request.guidance
        return ImageReply(tuple(pictures), self.model.id, steps, guidance, "euler", time.monotonic() - began)

    async def _picture(self, request: ImageRequest, at: int, on_progress: OnProgress | None) -> Picture:
        steps = request.steps or 4
        for step in range(steps):
            if self.held:
                await self._steps.acquire()
            elif self.seconds:
                await asyncio.sleep(self.seconds)
            if (failure := self.failure) is not None:
                self.failure = None
                raise failure
            if on_progress is not None:
                on_progress(ImageProgress(step + 1, steps, at + 1, request.count))
        width, height = request.width or 64, request.height or 64
        seed = (7 if request.seed is None else request.seed) + at
        data = self.data or a_png(width, height, seed % 256, len(request.prompt) % 256)
        return Picture(data, width, height, seed)

    def model_info(self) -> ImageModel:
        return self.model

    async def close(self) -> None:
        self.closed = True


class ScriptedDirectory(ImageDirectory):
    """Two models, one of which takes pictures to start from; belongs to the loop that first asks it."""

    def __init__(
        self, settings: Settings | None = None, _logger: Any = None, *, held: bool = False, seconds: float = 0.0
    ):
        models = (
            ImageModel(EDITS, "Painter", "sdxl", edits=True, width=64, height=64),
            ImageModel(PLAIN, "Pencil", "sd1", width=64, height=64),
        )
        self.backends = {model.id: ScriptedImages(model, held=held, seconds=seconds) for model in models}
        self.refusal: ParlantLocalError | None = None

    def models(self) -> list[ImageModel]:
        return [replace(backend.model) for backend in self.backends.values()]

    def backend(self, name: str | None = None) -> ImageBackend:
        if self.refusal is not None:
            raise self.refusal
        if (name or EDITS) not in self.backends:
            raise ModelNotFoundError(f"No model {name!r} makes pictures here.", hint=f"These do: {EDITS}, {PLAIN}.")
        return self.backends[name or EDITS]

    async def close(self) -> None:
        for backend in self.backends.values():
            await backend.close()


def install(seconds: float = 0.05) -> None:
    """For a server in a process of its own: its models are these."""
    from parlant_local.server import context

    context.ImageDirectory = lambda *_, **__: ScriptedDirectory(seconds=seconds)  # type: ignore[misc,assignment]
