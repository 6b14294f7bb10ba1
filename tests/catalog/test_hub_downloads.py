"""Pulling from a hub: the real huggingface_hub client and our transfer, over real sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from parlant_local.catalog import LocalModelManager, ModelType
from parlant_local.errors import BadReferenceError, InvalidModelError
from parlant_local.gguf_info import sha256_file
from tests.fakes.hub import FakeHub
from tests.support.diffusion_models import write_diffusion_model
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


async def test_a_model_that_makes_pictures_is_pulled_in_either_form(
    manager: LocalModelManager, hub: FakeHub, tmp_path: Path
) -> None:
    """Safetensors where they are named; neither is offered for chat."""
    files = write_diffusion_model(tmp_path / "origin")
    hub.add("maker/Fox", {"fox-q8_0.gguf": files.diffusion, "vae/taesd.safetensors": files.taesd})

    model = await manager.download_model("hf://maker/Fox")
    part = await manager.download_model("maker/Fox/vae/taesd.safetensors")

    assert (model.architecture, model.makes_pictures, model.chats) == ("flux", True, False)
    assert (part.architecture, part.for_pictures, part.makes_pictures, part.chats) == (
        "picture-part",
        True,
        False,
        False,
    )
    assert part.path is not None
    assert part.path.read_bytes() == files.taesd.read_bytes()
    assert (part.vouched, part.sha256) == (True, sha256_file(files.taesd))
    assert manager.resolve("hf://maker/Fox/vae/taesd.safetensors") == part.path
    assert (await manager.verify_model(part.id)).state == "available"


async def test_safetensors_are_checked_and_pickles_are_not_fetched(
    manager: LocalModelManager, hub: FakeHub, tmp_path: Path
) -> None:
    hub.add("maker/Fox", {"fox.safetensors": b"\xff" * 1000, "fox.ckpt": b"\x80\x02"})

    with pytest.raises(InvalidModelError, match="not a usable safetensors file"):
        await manager.download_model("maker/Fox/fox.safetensors")
    with pytest.raises(BadReferenceError, match=r"is a pickle.*safetensors"):
        await manager.download_model("maker/Fox/fox.ckpt")
    assert manager.list_models(states="all") == manager.list_models()
