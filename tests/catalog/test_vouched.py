"""Whether anybody published the digest of what was catalogued: others are loaded in a process of their own first."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from parlant_local.catalog import LocalModelManager
from parlant_local.catalog.shipped import shipped_model
from parlant_local.observability import NullLogger
from tests.catalog.test_urls import FileServer
from tests.fakes.hub import FakeHub
from tests.support.small_gguf import write_gguf


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "o" / "m-Q4_K_M.gguf", file_type=15)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as made:
        yield made


def again(manager: LocalModelManager) -> LocalModelManager:
    """As the next process finds it."""
    return LocalModelManager(NullLogger(), manager.models_dir, manager.settings, offline=True)


@pytest.mark.parametrize("in_lfs", [True, False])
async def test_a_hub_vouches_for_its_files(manager: LocalModelManager, hub: FakeHub, file: Path, in_lfs: bool) -> None:
    hub.add("maker/A-GGUF", {file.name: file}, not_lfs=set() if in_lfs else {file.name})
    model = await manager.download_model("maker/A-GGUF")
    assert model.vouched
    assert again(manager).get_model(model.id).vouched
    assert (await manager.verify_model(model.id)).vouched


async def test_nobody_vouches_for_an_address_or_a_file_of_ones_own(
    manager: LocalModelManager, server: FileServer, file: Path
) -> None:
    server.files["/m.gguf"] = file
    assert not (await manager.download_model(f"{server.url}/m.gguf")).vouched
    assert not (await manager.register_model(file)).vouched
    assert not manager.find(file).vouched


async def test_what_was_vouched_for_stays_so_until_its_bytes_change(
    manager: LocalModelManager, hub: FakeHub, file: Path
) -> None:
    hub.add("maker/A-GGUF", {file.name: file})
    model = await manager.download_model("maker/A-GGUF")
    assert model.path is not None
    assert (await manager.register_model(model.path)).vouched
    write_gguf(model.path.resolve(), file_type=15, seed=7)
    assert not (await manager.register_model(model.path)).vouched


async def test_a_rebuilt_index_vouches_where_names_are_digests(
    manager: LocalModelManager, hub: FakeHub, file: Path
) -> None:
    hub.add("maker/A-GGUF", {file.name: file})
    model = await manager.download_model("maker/A-GGUF")
    shutil.rmtree(manager.models_dir / "index")
    fresh = again(manager)
    await fresh.initialize()
    assert fresh.get_model(model.id).vouched


def test_the_package_vouches_for_its_own_model() -> None:
    tiny = shipped_model()
    assert tiny is None or tiny.vouched
