"""Pictures made on this machine: the real library, in its own process, with a model of random weights."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import pytest
import pytest_asyncio

from parlant_local.errors import (
    BadRequestError,
    ConfigurationError,
    EngineClosedError,
    EngineFailedError,
    InsufficientMemoryError,
    ModelLoadError,
    StallError,
)
from parlant_local.images.architectures import SAMPLERS, memory_for
from parlant_local.images.base import ImageProgress, ImageRequest
from parlant_local.images.local import LocalImages
from parlant_local.settings import Settings
from tests.support.diffusion_models import DiffusionFiles, write_diffusion_model
from tests.support.eventually import eventually

# Not imported to find out: it stays out of this process.
pytestmark = [
    pytest.mark.skipif(find_spec("stable_diffusion_cpp") is None, reason="pip install 'parlant-local[images]'"),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> DiffusionFiles:
    return write_diffusion_model(tmp_path_factory.mktemp("diffusion"))


def settings_for(home: Path, files: DiffusionFiles, *, images: dict[str, Any] | None = None, **model: Any) -> Settings:
    """Without guidance, which would compute every step twice."""
    own = {"path": str(files.diffusion), "llm": str(files.llm), "taesd": str(files.taesd)}
    quick = {"steps": 2, "width": 64, "guidance": 1}
    return Settings(home=home, images={"models": {"tiny": own | quick | model}} | (images or {}))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory, files: DiffusionFiles) -> AsyncIterator[LocalImages]:
    """For tests that leave it as it was: each process takes a second to load."""
    async with LocalImages("tiny", settings_for(tmp_path_factory.mktemp("home"), files)) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def backend(tmp_path: Path, files: DiffusionFiles) -> AsyncIterator[LocalImages]:
    async with LocalImages("tiny", settings_for(tmp_path, files)) as opened:
        yield opened


def process_of(backend: LocalImages) -> psutil.Process:
    assert backend._child is not None
    return psutil.Process(backend._child.pid)


def pixels(png: bytes) -> npt.NDArray[np.float64]:
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(png), formats=("PNG",)).convert("RGB"), dtype=np.float64)


def png(width: int, height: int, colour: tuple[int, ...], mode: str = "RGB") -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new(mode, (width, height), colour if mode == "RGB" else colour[0]).save(file, "PNG")
    return file.getvalue()


async def start_of_long_job(backend: LocalImages) -> asyncio.Task[Any]:
    """A job of many steps, after its first one."""
    stepped = asyncio.Event()
    request = ImageRequest("a cat", width=256, height=256, steps=100)
    job = asyncio.create_task(backend.generate(request, lambda at: stepped.set() if at.step else None))
    waiting = asyncio.create_task(stepped.wait())
    await asyncio.wait({job, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    return job


async def test_it_draws_by_prompt_and_seed_and_tells_every_step(shared: LocalImages) -> None:
    told: list[ImageProgress] = []

    two = await shared.generate(ImageRequest("a cat", seed=7, count=2, steps=3), told.append)
    again = await shared.generate(ImageRequest("a cat", seed=8, steps=3))
    other = await shared.generate(ImageRequest("a dog", seed=8, steps=3))

    assert [(picture.width, picture.height, picture.seed) for picture in two.pictures] == [(64, 64, 7), (64, 64, 8)]
    assert [(at.picture, at.step) for at in told] == [(picture, step) for picture in (1, 2) for step in range(4)]
    assert {(at.steps, at.count) for at in told} == {(3, 2)}
    assert again.pictures[0].data == two.pictures[1].data
    assert other.pictures[0].data != again.pictures[0].data
    assert pixels(two.pictures[0].data).std() > 5
    assert (two.model, two.steps, two.guidance, two.sampler) == ("tiny", 3, 1.0, "euler")
    assert (info := shared.model_info()).loaded
    assert (info.architecture, info.edits, info.width, info.height) == ("ovis_image", True, 64, 64)


async def test_the_library_stays_out_of_this_process(backend: LocalImages) -> None:
    await backend.load()

    child = process_of(backend)

    assert not any(name.startswith("stable_diffusion_cpp") for name in sys.modules)
    if sys.platform == "linux":
        ours, its = ({Path(item.path).name for item in process.memory_maps()} for process in (psutil.Process(), child))
        assert "libstable-diffusion.so" in its - ours
    await backend.close()
    assert not child.is_running()


async def test_sizes_are_rounded_and_told(shared: LocalImages) -> None:
    reply = await shared.generate(ImageRequest("a cat", width=90, height=70, steps=1))

    assert (reply.pictures[0].width, reply.pictures[0].height) == (96, 64)
    assert pixels(reply.pictures[0].data).shape == (64, 96, 3)


async def test_a_prompt_is_text_and_opens_no_files(shared: LocalImages, files: DiffusionFiles) -> None:
    """Other programs read adapters named in a prompt: a client would choose what the server opens."""
    plain = await shared.generate(ImageRequest("a cat", seed=1))

    named = await shared.generate(ImageRequest(f"a cat<lora:{files.taesd}:1>", seed=1))

    assert named.pictures[0].data != plain.pictures[0].data  # it was read as words
    assert shared._child is not None
    assert not any("lora" in line.lower() and "load" in line.lower() for line in shared._child._log._lines)


async def test_what_a_mask_keeps_does_not_depend_on_the_seed(shared: LocalImages) -> None:
    source = png(128, 64, (200, 40, 40))
    mask = np.zeros((64, 128), np.uint8)
    mask[:, 112:] = 255
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")

    async def drawn(seed: int, **more: Any) -> npt.NDArray[np.float64]:
        request = ImageRequest("a cat", seed=seed, width=128, height=64, sources=(source,), **more)
        return pixels((await shared.generate(request)).pictures[0].data)

    first, second = await drawn(1, mask=file.getvalue()), await drawn(2, mask=file.getvalue())
    changed = np.abs(first - second).mean(axis=(0, 2))
    assert changed[:16].mean() < 0.1 * changed[112:].mean()


async def test_strength_says_how_much_is_drawn_anew(shared: LocalImages) -> None:
    source = png(64, 64, (200, 40, 40))

    async def differences(strength: float) -> float:
        pictures = [
            pixels(
                (await shared.generate(ImageRequest("a cat", seed=seed, steps=5, sources=(source,), strength=strength)))
                .pictures[0]
                .data
            )
            for seed in (1, 2)
        ]
        return float(np.abs(pictures[0] - pictures[1]).mean())

    assert await differences(0.2) < await differences(1.0)


async def test_sources_are_fitted_and_checked(shared: LocalImages) -> None:
    reply = await shared.generate(ImageRequest("a cat", steps=1, sources=(png(300, 150, (1, 2, 3)),)))
    assert (reply.pictures[0].width, reply.pictures[0].height) == (96, 48)  # its proportions, the model's usual size

    with pytest.raises(BadRequestError, match="mask has 10 x 10 pixels, the picture 64 x 64"):
        await shared.generate(
            ImageRequest("a cat", sources=(png(64, 64, (0, 0, 0)),), mask=png(10, 10, (255,), mode="L"))
        )
    with pytest.raises(BadRequestError, match="could not be decoded"):
        await shared.generate(ImageRequest("a cat", sources=(b"no picture",)))
    with pytest.raises(BadRequestError, match="no sampler 'brush'"):
        await shared.generate(ImageRequest("a cat", sampler="brush"))


async def test_cancelling_ends_the_process_and_the_next_job_gets_another(backend: LocalImages) -> None:
    job = await start_of_long_job(backend)
    first = process_of(backend)

    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job

    assert not first.is_running()
    assert not backend.model_info().loaded
    assert (await backend.generate(ImageRequest("a cat"))).pictures
    assert process_of(backend).pid != first.pid


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
async def test_a_process_that_aborts_is_an_error_and_the_next_job_gets_another(backend: LocalImages) -> None:
    job = await start_of_long_job(backend)

    process_of(backend).send_signal(signal.SIGABRT)

    with pytest.raises(EngineFailedError, match=r"tiny failed: it was ended by SIGABRT"):
        await job
    assert (await backend.generate(ImageRequest("a cat"))).pictures


async def test_closing_ends_a_job(backend: LocalImages) -> None:
    job = await start_of_long_job(backend)

    await backend.close()

    with pytest.raises(EngineClosedError, match="tiny was closed"):
        await job


async def test_jobs_take_turns(shared: LocalImages) -> None:
    replies = await asyncio.gather(*(shared.generate(ImageRequest("a cat", seed=seed)) for seed in (1, 2, 1)))

    assert replies[0].pictures[0].data == replies[2].pictures[0].data != replies[1].pictures[0].data


async def test_a_model_that_lacks_its_parts_says_which(tmp_path: Path, files: DiffusionFiles) -> None:
    async with LocalImages("tiny", settings_for(tmp_path, files, taesd=None)) as backend:
        with pytest.raises(ModelLoadError, match=r"tiny could not be loaded: .*not in model file"):
            await backend.generate(ImageRequest("a cat"))
        assert not backend.model_info().loaded


async def test_what_does_not_fit_is_not_loaded(tmp_path: Path, files: DiffusionFiles) -> None:
    async with LocalImages("tiny", settings_for(tmp_path, files, memory_mb=2**40)) as backend:
        with pytest.raises(InsufficientMemoryError, match=r"tiny needs about .* 64 x 64 pixels; .* are available"):
            await backend.generate(ImageRequest("a cat"))
        assert backend._child is None


async def test_one_that_shows_no_progress_is_ended(tmp_path: Path, files: DiffusionFiles) -> None:
    async with LocalImages("tiny", settings_for(tmp_path, files, images={"stall_seconds": 0.01})) as backend:
        with pytest.raises(StallError, match=r"no progress for 0.01 s \(images.stall_seconds\)"):
            await backend.generate(ImageRequest("a cat"))
        assert backend._child is None


async def test_the_estimate_covers_what_it_takes(backend: LocalImages) -> None:
    ballast = np.ones(800 << 20, dtype=np.uint8)  # of the parent, which must not count
    await backend.generate(ImageRequest("a cat", width=128, height=128, steps=1))

    assert backend._files is not None
    estimate = memory_for(backend._files, 128, 128, flash_attention=False)
    assert 0.5 * estimate < backend._peak < 1.1 * estimate
    assert ballast.size > 2 * estimate


async def test_it_does_not_outlive_its_parent(tmp_path: Path, files: DiffusionFiles) -> None:
    code = f"""
import asyncio
from parlant_local.images.base import ImageRequest
from parlant_local.images.local import LocalImages
from tests.images.test_local import settings_for
from tests.support.diffusion_models import DiffusionFiles
from pathlib import Path

async def main():
    files = DiffusionFiles(*map(Path, {[str(files.diffusion), str(files.llm), str(files.taesd)]!r}))
    backend = LocalImages("tiny", settings_for(Path({str(tmp_path)!r}), files))
    tell = lambda at: print(backend._child.pid, flush=True) if at.step == 1 else None
    await backend.generate(ImageRequest("a cat", width=256, height=256, steps=100), tell)

asyncio.run(main())
"""
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)) + os.pathsep + str(Path.cwd())}
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=subprocess.PIPE, env=variables)
    assert parent.stdout is not None
    child = psutil.Process(int(await parent.stdout.readline()))
    parent.kill()
    await parent.wait()
    await eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


async def test_a_missing_library_is_named(shared: LocalImages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parlant_local.images.local.find_spec", lambda name: None)

    with pytest.raises(ConfigurationError, match=r"not installed. pip install .parlant-local\[images\]"):
        await shared.generate(ImageRequest("a cat"))


async def test_the_library_knows_the_samplers() -> None:
    code = f"""
import stable_diffusion_cpp.stable_diffusion_cpp as library
print([library._lib.str_to_sample_method(name.encode()) for name in {SAMPLERS!r}])
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=subprocess.PIPE)
    printed, _ = await process.communicate()

    assert printed.decode().strip() == str(list(range(len(SAMPLERS))))
