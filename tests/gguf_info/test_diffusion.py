"""Models that make pictures are told by what they declare, and by their tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.support.diffusion_models import write_gguf

from parlant_local.errors import InvalidModelError
from parlant_local.gguf_info import check_is_model, read_header
from parlant_local.gguf_info.diffusion import DIFFUSION_ARCHITECTURES, diffusion_architecture

NAMES = {
    "chroma": ["double_blocks.0.img_attn.qkv.weight", "distilled_guidance_layer.in_proj.weight"],
    "flux": ["double_blocks.0.img_attn.qkv.weight", "img_in.weight"],
    "flux2": ["double_blocks.0.img_attn.qkv.weight", "double_stream_modulation_img.lin.weight"],
    "ovis_image": ["double_blocks.0.img_mlp.gate_proj.weight"],
    "sd3": ["joint_blocks.0.x_block.attn.qkv.weight"],
    "qwen_image": ["transformer_blocks.0.img_mod.1.weight"],
    "z_image": ["cap_embedder.0.weight", "layers.0.attention.qkv.weight"],
    "wan": ["blocks.0.cross_attn.norm_k.weight"],
    "anima": ["net.llm_adapter.blocks.0.cross_attn.q_proj.weight"],
    "ernie_image": ["layers.0.adaLN_sa_ln.weight"],
    "sd1": ["input_blocks.0.0.weight", "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"],
    "sdxl": ["input_blocks.0.0.weight", "label_emb.0.0.weight"],
}


@pytest.mark.parametrize("architecture", NAMES)
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_tensors_tell_the_architecture(architecture: str, prefix: str) -> None:
    shapes = {prefix + name: (768, 320) for name in NAMES[architecture]}

    assert diffusion_architecture(shapes) == architecture
    assert architecture in DIFFUSION_ARCHITECTURES


def test_unets_are_told_by_the_width_of_their_text() -> None:
    def unet(width: int) -> str | None:
        return diffusion_architecture(
            {
                "input_blocks.0.0.weight": (3, 3, 4, 320),
                "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (width, 320),
            }
        )

    assert [unet(768), unet(1024), unet(2048)] == ["sd1", "sd2", "sdxl"]


def test_language_models_make_none() -> None:
    assert diffusion_architecture({"token_embd.weight": (64, 100), "blk.0.attn_q.weight": (64, 64)}) is None
    assert diffusion_architecture({"first_stage_model.decoder.conv_in.weight": (3, 3, 4, 512)}) is None


@pytest.mark.parametrize("declared", ["flux", "sd1", "qwen_image"])
def test_a_declared_one_is_no_language_model(tmp_path: Path, declared: str) -> None:
    write_gguf(tmp_path / "a.gguf", declared, {"some.weight": np.zeros((4, 32), np.float32)})

    header = read_header(tmp_path / "a.gguf")

    assert header.kind == "diffusion"
    with pytest.raises(InvalidModelError, match=r"makes pictures; .*parlant-local image"):
        check_is_model(header)


def test_one_that_declares_nothing_is_told_by_its_tensors(tmp_path: Path) -> None:
    """stable-diffusion.cpp writes no architecture."""
    write_gguf(tmp_path / "a.gguf", "", {"joint_blocks.0.x_block.attn.qkv.weight": np.zeros((4, 32), np.float32)})

    header = read_header(tmp_path / "a.gguf")

    assert (header.kind, header.picture_architecture) == ("diffusion", "sd3")
