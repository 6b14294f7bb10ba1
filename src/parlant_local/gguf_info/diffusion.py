"""Which models make pictures: by the architecture that a file declares, else by the names of its tensors."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["DIFFUSION_ARCHITECTURES", "PICTURE_PART", "diffusion_architecture"]

PICTURE_PART = "picture-part"
"""What a file is said to be that only belongs to such a model: a VAE, a text encoder."""

DIFFUSION_ARCHITECTURES = frozenset(
    """
    anima aura chroma cosmos ernie_image flux flux2 hidream hyvid kolors ltxv lumina2 ovis_image pig pixart qwen_image sd1 sd2 sd3
    sdxl wan z_image
    """.split()
)

# The part of a tensor's name that only this architecture has; the more special ones first.
_MARKS = (
    ("chroma", "distilled_guidance_layer."),
    ("chroma", "nerf_final_layer_conv."),
    ("flux2", "double_stream_modulation_img.lin."),
    ("ovis_image", "double_blocks.0.img_mlp.gate_proj."),
    ("flux", "double_blocks.0."),
    ("flux", "single_transformer_blocks.0."),
    ("sd3", "joint_blocks.0."),
    ("qwen_image", "transformer_blocks.0.img_mod.1."),
    ("anima", "llm_adapter.blocks.0.cross_attn."),
    ("ernie_image", "layers.0.adaLN_sa_ln."),
    ("z_image", "cap_embedder.0."),
    ("wan", "blocks.0.cross_attn.norm_k."),
)
_UNET = ("input_blocks.0.0.weight", "down_blocks.0.resnets.0.")
_TWO_ENCODERS = ("label_emb.0.", "conditioner.embedders.1.", "cond_stage_model.1.", "add_embedding.linear_1.")
_ATTENDS_TO_TEXT = ("attn2.to_k.weight",)


def diffusion_architecture(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """What the tensors belong to; ``shapes`` with a matrix's input width first. None where they make no pictures."""
    for architecture, mark in _MARKS:
        if any(mark in name for name in shapes):
            return architecture
    if not _any_has(shapes, _UNET):
        return None
    if _any_has(shapes, _TWO_ENCODERS):
        return "sdxl"
    widths = {shape[0] for name, shape in shapes.items() if name.endswith(_ATTENDS_TO_TEXT) and shape}
    return "sdxl" if 2048 in widths else "sd2" if 1024 in widths else "sd1"


def _any_has(names: Mapping[str, object], marks: tuple[str, ...]) -> bool:
    return any(mark in name for name in names for mark in marks)
