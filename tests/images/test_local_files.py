"""Files of models that make pictures: found by path and by name, and checked before a library reads them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from parlant_local.catalog import LocalModelManager
from parlant_local.errors import InvalidModelError, ModelNotFoundError
from parlant_local.images.files import ModelFiles, find_files
from parlant_local.settings import Settings
from parlant_local.settings.images import ImageModelSettings
from tests.support.diffusion_models import write_diffusion_model, write_gguf, write_safetensors

UNET = {"model.diffusion_model.input_blocks.0.0.weight": np.zeros((4, 8), np.float16)}


def found(home: Path, **model: str) -> ModelFiles:
    settings = Settings(home=home)
    return find_files("mine", ImageModelSettings.model_validate(model), LocalModelManager(settings=settings))


@pytest.mark.parametrize("safetensors", [False, True])
def test_a_diffusion_model_with_companions(tmp_path: Path, safetensors: bool) -> None:
    files = write_diffusion_model(tmp_path, safetensors=safetensors)

    model = found(tmp_path, path=str(files.diffusion), llm=str(files.llm), taesd=str(files.taesd))

    assert model.architecture == "ovis_image"
    assert model.options == {
        "diffusion_model_path": str(files.diffusion),
        "llm_path": str(files.llm),
        "taesd_path": str(files.taesd),
    }
    assert model.encodes
    assert model.tiny_decoder
    assert 0.95 * files.size < model.weights <= files.size


def test_a_whole_checkpoint_and_what_starts_from_pictures(tmp_path: Path) -> None:
    encoder = {"first_stage_model.encoder.conv_in.weight": np.zeros((4, 8), np.float16)}
    write_safetensors(tmp_path / "whole.safetensors", UNET | encoder)
    write_safetensors(tmp_path / "decoder.safetensors", UNET)
    write_safetensors(tmp_path / "some-image-edit.safetensors", UNET)

    whole = found(tmp_path, path=str(tmp_path / "whole.safetensors"))

    assert whole.options == {"model_path": str(tmp_path / "whole.safetensors")}
    assert (whole.architecture, whole.encodes, whole.for_edits) == ("sd1", True, False)
    assert not found(tmp_path, path=str(tmp_path / "decoder.safetensors")).encodes
    assert found(tmp_path, path=str(tmp_path / "some-image-edit.safetensors")).for_edits


def test_a_name_below_the_home_is_a_file_of_it(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "whole.safetensors", UNET)

    assert found(tmp_path, path="whole.safetensors").architecture == "sd1"
    with pytest.raises(ModelNotFoundError, match=r"/nowhere/x.safetensors does not exist. .*images.models.mine"):
        found(tmp_path, path="/nowhere/x.safetensors")


async def test_a_catalogued_model_by_its_id(tmp_path: Path) -> None:
    manager = LocalModelManager(settings=Settings(home=tmp_path))
    folder = tmp_path / "models" / "pictures"
    folder.mkdir(parents=True)
    write_gguf(folder / "red-fox-q8_0.gguf", "flux", {"double_blocks.0.x": np.zeros((4, 32), np.float32)})

    await manager.initialize()
    record = next(each for each in manager.list_models() if each.makes_pictures)

    assert (record.architecture, record.chats) == ("flux", False)
    model = find_files(record.id, ImageModelSettings(), manager)
    assert model.options == {"diffusion_model_path": str(folder / "red-fox-q8_0.gguf")}


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("a.ckpt", b"GGUF"),
        ("a.pt", b"whatever"),
        ("a.PTH", b"whatever"),
        ("a.bin", b"whatever"),
        ("zip.safetensors", b"PK\x03\x04"),
        ("pickle.gguf", b"\x80\x02}q\x00"),
    ],
)
def test_pickles_are_refused_by_name_and_by_content(tmp_path: Path, name: str, start: bytes) -> None:
    (tmp_path / name).write_bytes(start + bytes(100))

    with pytest.raises(InvalidModelError, match=r"is a pickle: a program.*safetensors"):
        found(tmp_path, path=str(tmp_path / name))
    write_safetensors(tmp_path / "whole.safetensors", UNET)
    with pytest.raises(InvalidModelError, match="is a pickle"):
        found(tmp_path, path=str(tmp_path / "whole.safetensors"), vae=str(tmp_path / name))


def header(entries: object) -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 16,
        struct.pack("<Q", 2**60) + b"{}",
        header([]),
        header({"input_blocks.0.0.weight": {"dtype": "F16", "shape": [4], "data_offsets": [0, 2**50]}}),
        header({"input_blocks.0.0.weight": {"dtype": "F16", "shape": [4], "data_offsets": [8, 0]}}),
        header({"input_blocks.0.0.weight": {"dtype": "F16", "shape": [-4], "data_offsets": [0, 0]}}),
    ],
)
def test_a_damaged_header_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.safetensors").write_bytes(data)

    with pytest.raises(InvalidModelError, match="not a usable safetensors file"):
        found(tmp_path, path=str(tmp_path / "a.safetensors"))


def test_a_file_that_makes_no_pictures_is_refused(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "text.safetensors", {"model.layers.0.x": np.zeros((4, 8), np.float16)})

    with pytest.raises(InvalidModelError, match=r"makes no pictures. images.models.mine.path"):
        found(tmp_path, path=str(tmp_path / "text.safetensors"))
