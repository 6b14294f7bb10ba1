"""A model that makes pictures, with random weights, of 18 MB: written in a fraction of a second, loaded and drawn with by stable-diffusion.cpp.

Of the architectures that the library knows, Ovis-Image (a Flux with Qwen3 as its text encoder) takes nearly every size from its tensors:
one double and one single block of a single head, one layer of Qwen3 over the real vocabulary, and TAESD, which has one size.
What it draws means nothing; it depends on the prompt, the seed and the steps as a real one's does.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType, GGUFWriter

WIDTH = 128  # one head: the rotary embedding's axes add up to 128
TEXT_WIDTH = 32
VOCABULARY = 151_936  # the library has Qwen's tokenizer built in
LATENTS = 16
_CHANNELS = 64

Array = npt.NDArray[np.float16] | npt.NDArray[np.float32]


@dataclass(frozen=True)
class DiffusionFiles:
    diffusion: Path
    llm: Path
    taesd: Path

    @property
    def size(self) -> int:
        return sum(path.stat().st_size for path in (self.diffusion, self.llm, self.taesd))


def write_diffusion_model(folder: Path, *, seed: int = 0, safetensors: bool = False) -> DiffusionFiles:
    """``safetensors``: the diffusion model too; else it is a GGUF file of the architecture ``flux``, as they are published."""
    draw = _Drawing(np.random.default_rng(seed))
    folder.mkdir(parents=True, exist_ok=True)
    diffusion, text, decoder = _diffusion(draw), _text_encoder(draw), _tiny_autoencoder(draw)
    path = folder / f"diffusion.{'safetensors' if safetensors else 'gguf'}"
    if safetensors:
        write_safetensors(path, diffusion)
    else:
        write_gguf(path, "flux", diffusion)
    write_gguf(folder / "text-encoder.gguf", "qwen3", text)
    write_safetensors(folder / "taesd.safetensors", decoder)
    return DiffusionFiles(path, folder / "text-encoder.gguf", folder / "taesd.safetensors")


def write_safetensors(path: Path, tensors: Mapping[str, Array]) -> None:
    header: dict[str, object] = {}
    offset = 0
    for name, tensor in tensors.items():
        kind = "F16" if tensor.dtype == np.float16 else "F32"
        header[name] = {
            "dtype": kind,
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + tensor.nbytes],
        }
        offset += tensor.nbytes
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(tensor.tobytes())


def write_gguf(path: Path, architecture: str, tensors: Mapping[str, Array]) -> None:
    writer = GGUFWriter(str(path), architecture)
    for name, tensor in tensors.items():
        kind = GGMLQuantizationType.F16 if tensor.dtype == np.float16 else GGMLQuantizationType.F32
        writer.add_tensor(name, tensor, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class _Drawing:
    def __init__(self, random: np.random.Generator) -> None:
        self._random = random

    def weight(self, *shape: int, gain: float = 1.0) -> Array:
        fan_in = int(np.prod(shape[1:]))
        values = self._random.standard_normal(shape, dtype=np.float32) * (gain / np.sqrt(fan_in))
        return values.astype(np.float16)

    def bias(self, length: int, spread: float = 0.02) -> Array:
        return self._random.standard_normal(length, dtype=np.float32) * np.float32(spread)

    def linear(self, name: str, source: int, target: int) -> dict[str, Array]:
        return {f"{name}.weight": self.weight(target, source), f"{name}.bias": self.bias(target)}

    def conv(self, name: str, source: int, target: int, *, gain: float = 1.0, bias: bool = True) -> dict[str, Array]:
        found: dict[str, Array] = {f"{name}.weight": self.weight(target, source, 3, 3, gain=gain)}
        return found | ({f"{name}.bias": self.bias(target)} if bias else {})


def _ones(length: int) -> Array:
    return np.ones(length, dtype=np.float32)


def _diffusion(draw: _Drawing) -> dict[str, Array]:
    feed_forward = 4 * WIDTH
    tensors = {
        **draw.linear("img_in", 4 * LATENTS, WIDTH),
        **draw.linear("txt_in", TEXT_WIDTH, WIDTH),
        "txt_norm.scale": _ones(TEXT_WIDTH),
        **draw.linear("time_in.in_layer", 256, WIDTH),
        **draw.linear("time_in.out_layer", WIDTH, WIDTH),
        **draw.linear("final_layer.linear", WIDTH, 4 * LATENTS),
        **draw.linear("final_layer.adaLN_modulation.1", WIDTH, 2 * WIDTH),
    }
    for stream in ("img", "txt"):
        block = f"double_blocks.0.{stream}"
        tensors |= {
            **draw.linear(f"{block}_mod.lin", WIDTH, 6 * WIDTH),
            **draw.linear(f"{block}_attn.qkv", WIDTH, 3 * WIDTH),
            **draw.linear(f"{block}_attn.proj", WIDTH, WIDTH),
            f"{block}_attn.norm.query_norm.scale": _ones(WIDTH),
            f"{block}_attn.norm.key_norm.scale": _ones(WIDTH),
            **draw.linear(f"{block}_mlp.gate_proj", WIDTH, feed_forward),
            **draw.linear(f"{block}_mlp.up_proj", WIDTH, feed_forward),
            **draw.linear(f"{block}_mlp.down_proj", feed_forward, WIDTH),
        }
    return tensors | {
        **draw.linear("single_blocks.0.linear1", WIDTH, 3 * WIDTH + 2 * feed_forward),
        **draw.linear("single_blocks.0.linear2", WIDTH + feed_forward, WIDTH),
        **draw.linear("single_blocks.0.modulation.lin", WIDTH, 3 * WIDTH),
        "single_blocks.0.norm.query_norm.scale": _ones(WIDTH),
        "single_blocks.0.norm.key_norm.scale": _ones(WIDTH),
    }


def _text_encoder(draw: _Drawing) -> dict[str, Array]:
    """A layer of Qwen3, whose heads are 32 of 128 whatever its width."""
    heads, kv_heads, head, feed_forward = 32, 8, 128, 64
    return {
        "token_embd.weight": draw.weight(VOCABULARY, TEXT_WIDTH, gain=5.0),
        "output_norm.weight": _ones(TEXT_WIDTH),
        "blk.0.attn_norm.weight": _ones(TEXT_WIDTH),
        "blk.0.ffn_norm.weight": _ones(TEXT_WIDTH),
        "blk.0.attn_q.weight": draw.weight(heads * head, TEXT_WIDTH),
        "blk.0.attn_k.weight": draw.weight(kv_heads * head, TEXT_WIDTH),
        "blk.0.attn_v.weight": draw.weight(kv_heads * head, TEXT_WIDTH),
        "blk.0.attn_output.weight": draw.weight(TEXT_WIDTH, heads * head),
        "blk.0.attn_q_norm.weight": _ones(head),
        "blk.0.attn_k_norm.weight": _ones(head),
        "blk.0.ffn_gate.weight": draw.weight(feed_forward, TEXT_WIDTH),
        "blk.0.ffn_up.weight": draw.weight(feed_forward, TEXT_WIDTH),
        "blk.0.ffn_down.weight": draw.weight(TEXT_WIDTH, feed_forward),
    }


def _tiny_autoencoder(draw: _Drawing) -> dict[str, Array]:
    """TAESD: convolutions between a picture and latents an eighth of its size, by halving and by doubling thrice."""
    encoder = "encoder.layers"
    tensors = {**draw.conv(f"{encoder}.0", 3, _CHANNELS), **_residual(draw, f"{encoder}.1")}
    for first in (2, 6, 10):
        tensors |= draw.conv(f"{encoder}.{first}", _CHANNELS, _CHANNELS, bias=False)
        for number in range(first + 1, first + 4):
            tensors |= _residual(draw, f"{encoder}.{number}")
    tensors |= draw.conv(f"{encoder}.14", _CHANNELS, LATENTS)

    decoder = "decoder.layers"
    tensors |= draw.conv(f"{decoder}.0", LATENTS, _CHANNELS)  # 1 is its activation, 5, 10 and 15 double the size
    for first in (2, 7, 12):
        for number in range(first, first + 3):
            tensors |= _residual(draw, f"{decoder}.{number}")
        tensors |= draw.conv(f"{decoder}.{first + 4}", _CHANNELS, _CHANNELS, bias=False)
    tensors |= _residual(draw, f"{decoder}.17")
    # Colours around the middle grey, not black and white.
    return tensors | draw.conv(f"{decoder}.18", _CHANNELS, 3, gain=0.4) | {f"{decoder}.18.bias": draw.bias(3) + 0.5}


def _residual(draw: _Drawing, name: str) -> dict[str, Array]:
    tensors: dict[str, Array] = {}
    for number in (0, 2, 4):
        tensors |= draw.conv(f"{name}.conv.{number}", _CHANNELS, _CHANNELS, gain=0.7)
    return tensors
