"""Pictures of every kind, and backends over stand-ins on real sockets."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from PIL import Image

from parlant_local.images import ImageBackend, ImageDirectory
from parlant_local.settings import Settings
from tests.support.at_home import home
from tests.support.sd_server import SdServer

__all__ = ["home"]

Opening = Callable[..., ImageBackend]


def file_of(picture: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def opened(data: bytes) -> Image.Image:
    picture: Image.Image = Image.open(io.BytesIO(data))
    picture.load()
    return picture


@pytest.fixture
async def sd_server() -> AsyncIterator[SdServer]:
    server = SdServer()
    async with server:
        yield server


@pytest.fixture
async def opening() -> AsyncIterator[Opening]:
    """The backend of a model at an address, by the settings: ``opening(url, **{"images.max_count": 8})``."""
    directories: list[ImageDirectory] = []

    def open_(url: str, model: str = "sd", **settings: Any) -> ImageBackend:
        given = {"endpoints.sd.base_url": url, "images.model": model, **settings}
        directories.append(ImageDirectory(Settings.load(**given)))
        return directories[-1].backend()

    yield open_
    for directory in directories:
        await directory.close()
