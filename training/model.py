"""A llama in PyTorch, written so that its weights go into a GGUF as they are.

Rotary pairs are neighbours (2i, 2i+1), which is what llama.cpp's `llama` architecture expects: no permutation on export.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Shape:
    """The architecture. Steps are worth more than width here: half the size learns twice as much in the same time."""

    vocabulary: int = 4096
    layers: int = 6
    width: int = 192
    heads: int = 4
    kv_heads: int = 2
    head_width: int = 64
    feed_forward: int = 512
    rope_base: float = 100_000.0
    epsilon: float = 1e-5
    context: int = 32_768


def rotary(positions: Tensor, shape: Shape) -> tuple[Tensor, Tensor]:
    """Cosines and sines for positions of shape (batch, time)."""
    steps = torch.arange(0, shape.head_width, 2, dtype=torch.float32) / shape.head_width
    angles = positions.float()[:, None, :, None] * shape.rope_base**-steps
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turns neighbouring pairs of x (batch, heads, time, width)."""
    even, odd = x[..., 0::2].float(), x[..., 1::2].float()
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2).to(x.dtype)


_SHORT = 320


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention. For short sequences plain products beat the fused kernel, whose backward is slow on a CPU."""
    time = q.size(-2)
    if time > _SHORT:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    hidden = torch.ones(time, time, dtype=torch.bool).triu(1)
    scores = (q * q.size(-1) ** -0.5) @ k.mT
    return scores.masked_fill(hidden, float("-inf")).softmax(-1, dtype=torch.float32).to(v.dtype) @ v


class Attention(nn.Module):
    """Causal attention with grouped keys and values."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.q = nn.Linear(shape.width, shape.heads * shape.head_width, bias=False)
        self.k = nn.Linear(shape.width, shape.kv_heads * shape.head_width, bias=False)
        self.v = nn.Linear(shape.width, shape.kv_heads * shape.head_width, bias=False)
        self.o = nn.Linear(shape.heads * shape.head_width, shape.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, time, _ = x.shape
        s = self.shape
        q = self.q(x).view(batch, time, s.heads, s.head_width).transpose(1, 2)
        k = self.k(x).view(batch, time, s.kv_heads, s.head_width).transpose(1, 2)
        v = self.v(x).view(batch, time, s.kv_heads, s.head_width).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        groups = s.heads // s.kv_heads
        k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
        out = attend(q, k, v)
        return self.o(out.transpose(1, 2).reshape(batch, time, -1))


class Block(nn.Module):
    """Attention, then a gated feed-forward layer, each on a normalised residual stream."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attn_norm = nn.RMSNorm(shape.width, eps=shape.epsilon)
        self.attn = Attention(shape)
        self.ffn_norm = nn.RMSNorm(shape.width, eps=shape.epsilon)
        self.gate = nn.Linear(shape.width, shape.feed_forward, bias=False)
        self.up = nn.Linear(shape.width, shape.feed_forward, bias=False)
        self.down = nn.Linear(shape.feed_forward, shape.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attn(self.attn_norm(x), cos, sin)
        h = self.ffn_norm(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Llama(nn.Module):
    """The model; embedding and output share their weights."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=shape.epsilon)
        self._initialise()

    def _initialise(self) -> None:
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                residual = name.endswith(("o.weight", "down.weight"))
                nn.init.normal_(weight, std=0.02 if not residual else 0.02 / (2 * self.shape.layers) ** 0.5)

    def hidden(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """The normalised residual stream at every position."""
        x = self.embedding(tokens)
        cos, sin = rotary(positions, self.shape)
        for block in self.blocks:
            x = block(x, cos, sin)
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores of the next token."""
        return F.linear(hidden, self.embedding.weight)


def grown(model: Llama, layers: int) -> Llama:
    """The same function with more layers: each new one, in the middle, begins by adding nothing."""
    old = model.shape.layers
    larger = Llama(replace(model.shape, layers=layers))
    first_new = old // 2
    weights = larger.state_dict()
    for name, weight in model.state_dict().items():
        if name.startswith("blocks."):
            _, number, rest = name.split(".", 2)
            name = f"blocks.{int(number) + (layers - old if int(number) >= first_new else 0)}.{rest}"
        weights[name] = weight
    for number in range(first_new, first_new + layers - old):
        for part in ("attn.o", "down"):
            weights[f"blocks.{number}.{part}.weight"] = torch.zeros_like(weights[f"blocks.{number}.{part}.weight"])
    larger.load_state_dict(weights)
    return larger
