"""Pulling from a hub: the real huggingface_hub client and our transfer, over real sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from parlant_local.catalog import LocalModelManager, ModelType
from parlant_local.gguf_info import sha256_file
from tests.fakes.hub import FakeHub
from tests.support.small_gguf import write_gguf, write_split


@pytest.fixture
def llama(hub: FakeHub, tmp_path: Path) -> Path:
    path = write_gguf(tmp_path / "origin" / "Tiny-Llama-Q4_K_M.gguf", payload=300_000, file_type=15)
    hub.add("maker/Tiny-Llama-GGUF", {path.name: path, "README.md": b"hello"})
    return path


async def test_a_repository_is_pulled_verified_and_catalogued(manager: LocalModelManager, llama: Path) -> None:
    model = await manager.download_model("maker/Tiny-Llama-GGUF:q4_k_m")
    assert model.id == "local/llama/tiny-llama-q4_k_m"
    assert model.type is ModelType.LLAMA
    assert model.sha256 == sha256_file(llama)
    assert model.path is not None
    assert model.path.read_bytes() == llama.read_bytes()
    assert model in manager.list_models()
    assert manager.resolve("hf.co/maker/Tiny-Llama-GGUF") == model.path


async def test_all_shards_are_fetched_and_make_one_model(
    manager: LocalModelManager, hub: FakeHub, tmp_path: Path
) -> None:
    shards = write_split(tmp_path / "origin", "Big-Q8_0", 3, payload=200_000)
    hub.add("maker/Big-GGUF", {f"Q8_0/{path.name}": path for path in shards})
    model = await manager.download_model("maker/Big-GGUF:Q8_0")
    assert [path.read_bytes() for path in model.paths] == [path.read_bytes() for path in shards]
    assert len(manager.list_models(ModelType.LLAMA)) >= 1
