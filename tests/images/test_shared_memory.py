"""Pictures and language models under one budget: the idle ones give way."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from pathlib import Path

import pytest

from parlant_local.catalog import LocalModelManager
from parlant_local.errors import InsufficientMemoryError
from parlant_local.images import ImageDirectory, ImageRequest
from parlant_local.images.guarded import GuardedImages
from parlant_local.images.local import LocalImages
from parlant_local.observability import NullLogger
from parlant_local.server.models import Models
from tests.images.test_local import settings_for
from tests.support.diffusion_models import DiffusionFiles, write_diffusion_model
from tests.support.eventually import eventually

pytestmark = pytest.mark.skipif(find_spec("stable_diffusion_cpp") is None, reason="pip install 'parlant-local[images]'")
pytest.importorskip("fastapi", reason="pip install 'parlant-local[server]'")

# Pictures are said to take 400 MiB; the shipped model takes 15.
_FOR_ONE, _FOR_BOTH = 405, 1000


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> DiffusionFiles:
    return write_diffusion_model(tmp_path_factory.mktemp("diffusion"))


class Opened:
    """The server's models, and what makes pictures in the same pool."""

    def __init__(self, home: Path, files: DiffusionFiles, memory_mb: int) -> None:
        settings = settings_for(home, files, memory_mb=400)
        settings = settings.model_copy(
            update={"engine": settings.engine.model_copy(update={"memory_mb": memory_mb, "n_ctx": 512})}
        )
        manager = LocalModelManager(settings=settings)
        self.models = Models(settings, manager, NullLogger())
        self.pool = self.models.pool
        self.pictures = ImageDirectory(settings, manager=manager, pool=self.models.pool)
        self.guarded = self.pictures.backend("tiny")

    @property
    def drawing(self) -> LocalImages:
        assert isinstance(self.guarded, GuardedImages)
        assert isinstance(self.guarded.inner, LocalImages)
        return self.guarded.inner

    async def close(self) -> None:
        await self.pictures.close()
        await self.models.close()


async def test_a_language_model_gives_way_to_a_picture_and_comes_back(tmp_path: Path, files: DiffusionFiles) -> None:
    opened = Opened(tmp_path, files, memory_mb=_FOR_ONE)
    try:
        _, language = await opened.models.backend(None)
        await language.load()
        assert len(opened.pool.loaded()) == 1

        await opened.guarded.generate(ImageRequest("a cat"))
        assert not opened.pool.loaded()
        assert opened.drawing.model_info().loaded

        await language.load()
        assert len(opened.pool.loaded()) == 1
        assert not opened.drawing.model_info().loaded

        assert (await opened.guarded.generate(ImageRequest("a cat"))).pictures
    finally:
        await opened.close()


async def test_both_stay_where_both_fit(tmp_path: Path, files: DiffusionFiles) -> None:
    opened = Opened(tmp_path, files, memory_mb=_FOR_BOTH)
    try:
        _, language = await opened.models.backend(None)
        await language.load()
        await opened.guarded.generate(ImageRequest("a cat"))

        assert len(opened.pool.loaded()) == 1
        assert opened.drawing.model_info().loaded
        assert opened.pool.size > 400 * 2**20
        assert len(opened.pool.status()) == 1  # of language models
    finally:
        await opened.close()


async def test_a_picture_waits_for_a_language_model_in_use(tmp_path: Path, files: DiffusionFiles) -> None:
    opened = Opened(tmp_path, files, memory_mb=_FOR_ONE)
    try:
        async with opened.models.engine(None):
            job = asyncio.create_task(opened.guarded.generate(ImageRequest("a cat")))
            await eventually(lambda: opened.drawing.model_info().architecture)  # it has read its files
            await asyncio.sleep(0.1)
            assert not job.done()
            assert not opened.drawing.model_info().loaded
        assert (await job).pictures
    finally:
        await opened.close()


async def test_one_that_exceeds_the_budget_alone_says_so(tmp_path: Path, files: DiffusionFiles) -> None:
    opened = Opened(tmp_path, files, memory_mb=300)
    try:
        with pytest.raises(InsufficientMemoryError, match=r"images.models.tiny needs about 400 MiB.*engine.memory_mb"):
            await opened.guarded.generate(ImageRequest("a cat"))
    finally:
        await opened.close()
