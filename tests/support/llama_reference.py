"""The llama architecture in numpy, in double precision: what each weight is multiplied with, and the logits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import GGUFReader

__all__ = ["forward"]

Floats = npt.NDArray[np.float64]


def forward(path: Path, tokens: Sequence[int]) -> tuple[dict[str, Floats], Floats]:
    """The inputs of each weight, a row for each token, and the logits of a model in F32."""
    reader = GGUFReader(path)
    weights = {each.name: np.asarray(each.data, dtype=np.float64) for each in reader.tensors}

    def number(key: str) -> float:
        value = reader.fields[f"llama.{key}"].contents()
        assert isinstance(value, int | float)
        return float(value)

    heads, kv_heads = int(number("attention.head_count")), int(number("attention.head_count_kv"))
    size, epsilon = int(number("attention.key_length")), number("attention.layer_norm_rms_epsilon")
    base = number("rope.freq_base")
    inputs: dict[str, Floats] = {}

    def times(name: str, rows: Floats) -> Floats:
        inputs[name] = rows
        return rows @ weights[name].T

    def normed(rows: Floats, name: str) -> Floats:
        return rows / np.sqrt((rows * rows).mean(axis=-1, keepdims=True) + epsilon) * weights[name]

    x = weights["token_embd.weight"][list(tokens)]
    count = len(tokens)
    future = np.triu(np.full((count, count), -np.inf), 1)
    for layer in range(int(number("block_count"))):
        part = f"blk.{layer}."
        h = normed(x, part + "attn_norm.weight")
        q = _turned(times(part + "attn_q.weight", h).reshape(count, heads, size), base)
        k = _turned(times(part + "attn_k.weight", h).reshape(count, kv_heads, size), base)
        v = times(part + "attn_v.weight", h).reshape(count, kv_heads, size)
        k, v = (np.repeat(each, heads // kv_heads, axis=1) for each in (k, v))
        scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(size) + future
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        seen = np.einsum("hqk,khd->qhd", scores / scores.sum(axis=-1, keepdims=True), v).reshape(count, -1)
        x = x + times(part + "attn_output.weight", seen)
        h = normed(x, part + "ffn_norm.weight")
        gate = times(part + "ffn_gate.weight", h)
        x = x + times(part + "ffn_down.weight", gate / (1 + np.exp(-gate)) * times(part + "ffn_up.weight", h))
    last = "output.weight" if "output.weight" in weights else "token_embd.weight"
    return inputs, times(last, normed(x, "output_norm.weight"))


def _turned(rows: Floats, base: float) -> Floats:
    """Rotary positions, neighbouring values together, as llama.cpp has them for this architecture."""
    count, _, size = rows.shape
    angles = np.arange(count)[:, None] * base ** (-np.arange(0, size, 2) / size)
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    even, odd = rows[..., 0::2], rows[..., 1::2]
    turned = np.empty_like(rows)
    turned[..., 0::2], turned[..., 1::2] = even * cos - odd * sin, even * sin + odd * cos
    return turned
