"""Small projectors (``mmproj`` files) with random weights: what turns pictures into a model's embeddings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter

__all__ = ["gemma3", "hearing", "qwen2vl", "vision"]


def vision(
    path: Path, *, text_width: int = 64, image_size: int = 56, seed: int = 0, patches: int | None = None
) -> Path:
    """LLaVA's architecture: a transformer over patches, two dense layers; ``(image_size / 14)²`` embeddings a picture. ``patches``: what it
    has positions for, where that is not as many as it says."""
    return _projector(path, "mlp", text_width=text_width, image_size=image_size, seed=seed, patches=patches)


def qwen2vl(path: Path, *, text_width: int = 64, seed: int = 0) -> Path:
    """Qwen2-VL's: pictures of any size, four patches to an embedding, positions of several axes in the language model."""
    return _projector(path, "qwen2vl_merger", text_width=text_width, image_size=56, seed=seed)


def gemma3(path: Path, *, text_width: int = 64, seed: int = 0) -> Path:
    """Gemma 3's: 64 patches averaged by fours, 16 embeddings that attend to each other in both directions in the language model."""
    return _projector(path, "gemma3", text_width=text_width, image_size=112, seed=seed)


def _projector(
    path: Path,
    kind: str,
    *,
    text_width: int,
    image_size: int,
    seed: int,
    width: int = 32,
    layers: int = 2,
    heads: int = 2,
    patch_size: int = 14,
    patches: int | None = None,
) -> Path:
    merged = kind == "qwen2vl_merger"
    dice = np.random.default_rng(seed)
    writer = GGUFWriter(str(path), "clip")
    writer.add_name("random-vision")
    writer.add_file_type(0)
    writer.add_string("general.type", "mmproj")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", kind)
    writer.add_bool("clip.use_gelu", True)
    for key, value in (
        ("image_size", image_size),
        ("patch_size", patch_size),
        ("embedding_length", width),
        ("feed_forward_length", 2 * width),
        ("block_count", layers),
        ("projection_dim", text_width),
        ("attention.head_count", heads),
    ):
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])

    def tensor(name: str, *shape: int, ones: bool = False) -> None:
        data = np.ones(shape) if ones else dice.normal(0, 1.4 / np.sqrt(shape[-1]), shape)
        writer.add_tensor(name, data.astype(np.float32), raw_dtype=GGMLQuantizationType.F32)

    tensor("v.patch_embd.weight", width, 3, patch_size, patch_size)
    if merged:
        tensor("v.patch_embd.weight.1", width, 3, patch_size, patch_size)
        tensor("v.post_ln.weight", width, ones=True)
        tensor("v.post_ln.bias", width)
    else:
        tensor("v.position_embd.weight", patches or (image_size // patch_size) ** 2, width)
    _layers(tensor, "v", layers, width)
    if kind == "gemma3":
        writer.add_uint32("clip.vision.projector.scale_factor", 2)
        tensor("v.patch_embd.bias", width)
        tensor("v.post_ln.weight", width, ones=True)
        tensor("v.post_ln.bias", width)
        tensor("mm.input_projection.weight", width, text_width)
        tensor("mm.soft_emb_norm.weight", width, ones=True)
        return _written(writer, path)
    inner = 4 * width if merged else text_width
    tensor("mm.0.weight", inner, 4 * width if merged else width)
    tensor("mm.0.bias", inner)
    tensor("mm.2.weight", text_width, inner)
    tensor("mm.2.bias", text_width)
    return _written(writer, path)


def _written(writer: GGUFWriter, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _layers(tensor: Callable[..., None], prefix: str, layers: int, width: int, *, without_bias: str = "") -> None:
    for layer in range(layers):
        name = f"{prefix}.blk.{layer}."
        for part in ("ln1", "ln2"):
            tensor(f"{name}{part}.weight", width, ones=True)
            tensor(f"{name}{part}.bias", width)
        for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
            tensor(f"{name}{part}.weight", width, width)
            if part != without_bias:
                tensor(f"{name}{part}.bias", width)
        tensor(f"{name}ffn_up.weight", 2 * width, width)
        tensor(f"{name}ffn_up.bias", 2 * width)
        tensor(f"{name}ffn_down.weight", width, 2 * width)
        tensor(f"{name}ffn_down.bias", width)


def hearing(path: Path, *, text_width: int = 64, width: int = 32, layers: int = 1, seed: int = 0) -> Path:
    """Qwen2-Audio's: Whisper's encoder over half a minute of sound, 16,000 samples a second."""
    dice = np.random.default_rng(seed)
    writer = GGUFWriter(str(path), "clip")
    writer.add_name("random-hearing")
    writer.add_file_type(0)
    writer.add_string("general.type", "mmproj")
    writer.add_bool("clip.has_audio_encoder", True)
    writer.add_string("clip.projector_type", "qwen2a")
    for key, value in (
        ("num_mel_bins", 80),
        ("embedding_length", width),
        ("feed_forward_length", 2 * width),
        ("block_count", layers),
        ("projection_dim", text_width),
        ("attention.head_count", 2),
    ):
        writer.add_uint32(f"clip.audio.{key}", value)
    writer.add_float32("clip.audio.attention.layer_norm_epsilon", 1e-5)

    def tensor(name: str, *shape: int, ones: bool = False, half: bool = False) -> None:
        data = np.ones(shape) if ones else dice.normal(0, 1.4 / np.sqrt(shape[-1]), shape)
        writer.add_tensor(name, data.astype(np.float16 if half else np.float32))

    tensor("a.conv1d.1.weight", width, 80, 3, half=True)
    tensor("a.conv1d.2.weight", width, width, 3, half=True)
    for number in (1, 2):
        tensor(f"a.conv1d.{number}.bias", width, 1)
    tensor("a.position_embd.weight", 1500, width)
    _layers(tensor, "a", layers, width, without_bias="attn_k")
    tensor("a.post_ln.weight", width, ones=True)
    tensor("a.post_ln.bias", width)
    tensor("mm.a.fc.weight", text_width, width)
    tensor("mm.a.fc.bias", text_width)
    return _written(writer, path)
