"""A model and the projector that reads pictures for it are pulled, verified, shown and removed together."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from parlant_local.catalog import LocalModelManager
from parlant_local.catalog.projectors import projector_among
from parlant_local.engine import LlamaEngine
from parlant_local.engine.vetting import Vetting
from parlant_local.errors import InvalidModelError, VerificationError
from parlant_local.observability import NullLogger
from parlant_local.settings import EngineSettings, Settings
from tests.fakes.hub import FakeHub
from tests.fakes.registry import FakeRegistry
from tests.support import gguf_models, projectors


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("published")
    return gguf_models.llama(folder / "Seeing-F32.gguf"), projectors.vision(folder / "mmproj-Seeing-f16.gguf")


@pytest.fixture
def published(hub: FakeHub, files: tuple[Path, Path]) -> FakeHub:
    model, projector = files
    hub.add("maker/Seeing-GGUF", {model.name: model, projector.name: projector, "mmproj-Seeing-f32.gguf": b"x"})
    return hub


async def test_a_repositorys_projector_comes_with_its_model(
    manager: LocalModelManager, published: FakeHub, files: tuple[Path, Path]
) -> None:
    model = await manager.download_model("maker/Seeing-GGUF:F32")
    assert model.projector is not None
    assert model.projector.path.read_bytes() == files[1].read_bytes()
    assert model.size == sum(file.stat().st_size for file in files)
    assert model.vouched
    assert (await manager.verify_model(model.id)).state == "available"
    again = next(item for item in manager.list_models() if item.id == model.id)
    assert again == model  # as it was written and read
    await manager.delete_model(model.id)
    assert not model.projector.path.exists()


async def test_a_projector_with_other_bytes_is_noticed(manager: LocalModelManager, published: FakeHub) -> None:
    model = await manager.download_model("maker/Seeing-GGUF:F32")
    assert model.projector is not None
    real = model.projector.path.resolve()
    real.write_bytes(real.read_bytes()[:-1] + b"x")
    with pytest.raises(VerificationError, match="mmproj-Seeing"):
        await manager.verify_model(model.id)


async def test_a_file_named_like_one_is_none(
    manager: LocalModelManager, hub: FakeHub, files: tuple[Path, Path]
) -> None:
    hub.add("maker/Odd-GGUF", {"Odd-F32.gguf": files[0], "mmproj-Odd-f16.gguf": files[0]})
    with pytest.raises(InvalidModelError, match="is not a projector"):
        await manager.download_model("maker/Odd-GGUF:F32")


async def test_of_ollamas_registry(manager: LocalModelManager, files: tuple[Path, Path]) -> None:
    with FakeRegistry() as registry:
        registry.add("library/seeing", "1b", {"model": files[0], "projector": files[1]})
        model = await manager.download_model(f"{registry.host}/library/seeing:1b", source="ollama")
    assert model.projector is not None
    assert model.projector.path.read_bytes() == files[1].read_bytes()


def test_of_several_f16_is_taken() -> None:
    assert projector_among(["a-Q4_K_M.gguf"], "a-Q4_K_M.gguf") is None
    assert projector_among(["mmproj-F32.gguf", "mmproj-F16.gguf", "mmproj-BF16.gguf"], "m.gguf") == "mmproj-F16.gguf"
    assert projector_among(["x/mmproj-model.gguf", "model.gguf"], "model.gguf") == "x/mmproj-model.gguf"
    both = ["4b/mmproj-F16.gguf", "12b/mmproj-F16.gguf"]
    assert projector_among(both, "4b/m.gguf") == "4b/mmproj-F16.gguf"  # each folder has a model of its own
    assert projector_among(both, "12b/m.gguf") == "12b/mmproj-F16.gguf"


async def test_a_copy_takes_its_projector_along(manager: LocalModelManager, files: tuple[Path, Path]) -> None:
    model = await manager.register_model(files[0], copy=True)
    assert model.projector is not None
    assert model.projector.path.parent == model.path.parent != files[1].parent  # type: ignore[union-attr]


async def test_one_that_crashes_its_reader_crashes_a_trial_instead(files: tuple[Path, Path], tmp_path: Path) -> None:
    """It has fewer positions than its header promises, on which the library aborts."""
    hostile = projectors.vision(tmp_path / "mmproj-hostile.gguf", patches=2)
    settings = EngineSettings(n_ctx=256, projector=str(hostile))
    engine = LlamaEngine(files[0], settings=settings, vetting=Vetting(verdicts=tmp_path / "vetted.json"))
    try:
        with pytest.raises(InvalidModelError, match="crash"):
            await engine.load()
    finally:
        await engine.close()


async def test_a_projector_in_the_models_folder_is_no_cause_for_warning(
    tmp_path: Path, files: tuple[Path, Path]
) -> None:
    folder = tmp_path / "models" / "seeing"
    folder.mkdir(parents=True)
    for file in files:
        shutil.copy(file, folder)
    (folder / "broken.gguf").write_bytes(b"GGUF")
    logger = Told()
    manager = LocalModelManager(logger, tmp_path / "models", Settings(home=tmp_path))
    await manager.initialize()
    model = manager.find(folder / files[0].name)
    assert model.projector is not None
    assert model.projector.path.name == files[1].name
    assert len(logger.warnings) == 1
    assert "broken.gguf" in logger.warnings[0]


class Told(NullLogger):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, message: str) -> None:
        self.warnings.append(message)
