"""The eyes in PyTorch, layer for layer what llama.cpp computes for LLaVA's kind of projector, and the file that it loads."""

from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

PADDING = (122, 116, 104)
"""What llama.cpp puts beside a picture that isn't square."""


@dataclass(frozen=True)
class EyeShape:
    """Numbers of the architecture. Each patch of a picture becomes one embedding."""

    image: int = 64
    patch: int = 16
    width: int = 96
    layers: int = 3
    heads: int = 4
    feed_forward: int = 192
    code: int = 256
    out: int = 192
    epsilon: float = 1e-5

    @property
    def patches(self) -> int:
        """Embeddings of a picture."""
        return (self.image // self.patch) ** 2


def prepared(image: Image.Image, side: int) -> np.ndarray:
    """The pixels that llama.cpp makes of a picture: fitted, padded, three planes in -1 … 1."""
    scale = min(side / image.width, side / image.height)
    width, height = (min(int(np.ceil(each * scale)), side) for each in image.size)
    fitted = image.resize((width, height), Image.Resampling.BICUBIC)
    whole = Image.new("RGB", (side, side), PADDING)
    whole.paste(fitted, ((side - width) // 2, (side - height) // 2))
    return (np.asarray(whole, dtype=np.float32) / 127.5 - 1).transpose(2, 0, 1)


class EyeBlock(nn.Module):
    """Attention among all patches, then a feed-forward layer."""

    def __init__(self, shape: EyeShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.ln1, self.ln2 = (nn.LayerNorm(shape.width, eps=shape.epsilon) for _ in range(2))
        self.q, self.k, self.v, self.out = (nn.Linear(shape.width, shape.width) for _ in range(4))
        self.up = nn.Linear(shape.width, shape.feed_forward)
        self.down = nn.Linear(shape.feed_forward, shape.width)

    def forward(self, x: Tensor) -> Tensor:
        batch, time, width = x.shape
        seen = self.ln1(x)
        q, k, v = (
            part(seen).view(batch, time, self.heads, width // self.heads).transpose(1, 2)
            for part in (self.q, self.k, self.v)
        )
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, time, width)
        x = x + self.out(mixed)
        return x + self.down(F.gelu(self.up(self.ln2(x)), approximate="tanh"))


class Eyes(nn.Module):
    """Pixels in; what was recognised, and the embeddings that the language model reads, out."""

    def __init__(self, shape: EyeShape) -> None:
        super().__init__()
        self.shape = shape
        self.patch = nn.Conv2d(3, shape.width, shape.patch, shape.patch, bias=False)
        self.position = nn.Parameter(torch.randn(shape.patches, shape.width) * 0.02)
        self.blocks = nn.ModuleList(EyeBlock(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width, eps=shape.epsilon)
        self.code = nn.Linear(shape.width, shape.code)
        self.speak = nn.Linear(shape.code, shape.out)

    def codes(self, pixels: Tensor) -> Tensor:
        """What each patch has come to know of the picture."""
        x = self.patch(pixels).flatten(2).transpose(1, 2) + self.position
        for block in self.blocks:
            x = block(x)
        return F.gelu(self.code(self.norm(x)), approximate="tanh")

    def forward(self, pixels: Tensor) -> Tensor:
        """Embeddings for the language model."""
        return self.speak(self.codes(pixels))


_NAMES = {
    "patch.weight": "v.patch_embd.weight", "position": "v.position_embd.weight",
    "norm.weight": "v.post_ln.weight", "norm.bias": "v.post_ln.bias",
    "code.weight": "mm.0.weight", "code.bias": "mm.0.bias", "speak.weight": "mm.2.weight", "speak.bias": "mm.2.bias",
}  # fmt: skip
_PARTS = {"q": "attn_q", "k": "attn_k", "v": "attn_v", "out": "attn_out", "up": "ffn_up", "down": "ffn_down", "ln1": "ln1", "ln2": "ln2"}  # fmt: skip


def _name(name: str) -> str:
    if name in _NAMES:
        return _NAMES[name]
    _, layer, part, kind = name.split(".")
    return f"v.blk.{layer}.{_PARTS[part]}.{kind}"


def export(eyes: Eyes, target: Path, *, language_model: str) -> None:
    """Writes the ``mmproj`` file: matrices in 16 bits, the rest in 32. ``language_model``: the digest of the file that it speaks to."""
    shape = eyes.shape
    writer = gguf.GGUFWriter(str(target), "clip")
    writer.add_type("mmproj")
    writer.add_name("parlant-local-tiny-eyes")
    writer.add_author("the parlant-local authors")
    writer.add_license("apache-2.0")
    writer.add_description(
        "Tells ten shapes and ten colours. It speaks to one file of parlant-local-tiny, and to no other."
    )
    writer.add_string("parlant_local.language_model.sha256", language_model)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.use_gelu", True)
    for key, value in (
        ("image_size", shape.image),
        ("patch_size", shape.patch),
        ("embedding_length", shape.width),
        ("feed_forward_length", shape.feed_forward),
        ("block_count", shape.layers),
        ("projection_dim", shape.out),
        ("attention.head_count", shape.heads),
    ):
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_array("clip.vision.feature_layer", [shape.layers])  # otherwise the last layer is left out, as LLaVA does
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", shape.epsilon)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
    for name, weight in eyes.state_dict().items():
        matrix = name.endswith(".weight") and weight.dim() > 1
        writer.add_tensor(_name(name), weight.detach().numpy().astype(np.float16 if matrix else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
