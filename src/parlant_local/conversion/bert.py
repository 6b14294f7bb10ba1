"""Sentence encoders of BERT's architecture."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field, TypeAdapter

from parlant_local.conversion.gguf_writing import Tensor, Value, write_gguf
from parlant_local.conversion.quantizing import WRITERS
from parlant_local.conversion.safetensors import read_safetensors
from parlant_local.conversion.wordpiece import wordpiece_metadata
from parlant_local.errors import InvalidModelError, StateFileError
from parlant_local.storage import read_as

__all__ = ["convert_bert"]

_MEAN = 1
_FILE_TYPES = {"F32": 0, "F16": 1, "Q8_0": 7, "BF16": 32}
_EMBEDDINGS = {
    "embeddings.word_embeddings.weight": "token_embd.weight",
    "embeddings.position_embeddings.weight": "position_embd.weight",
    "embeddings.token_type_embeddings.weight": "token_types.weight",
    "embeddings.LayerNorm.weight": "token_embd_norm.weight",
    "embeddings.LayerNorm.bias": "token_embd_norm.bias",
}
_LAYER = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
_LOOKED_UP = ("position_embd.weight", "token_types.weight")
"""Read by row, not multiplied: llama.cpp adds them as they are."""


class _Config(BaseModel):
    hidden_size: int = Field(gt=0)
    intermediate_size: int = Field(gt=0)
    layer_norm_eps: float
    max_position_embeddings: int = Field(gt=0)
    num_attention_heads: int = Field(gt=0)
    num_hidden_layers: int = Field(gt=0, le=1000)
    type_vocab_size: int = Field(default=1, gt=0)


def convert_bert(
    folder: Path,
    target: Path,
    *,
    name: str,
    license: str = "",
    languages: tuple[str, ...] = (),
    matrices: str = "F16",
    vocabulary: str = "Q8_0",
) -> None:
    """Writes ``config.json``, ``tokenizer.json`` and ``model.safetensors`` of ``folder`` as one GGUF that averages tokens.

    ``matrices`` and ``vocabulary``: the type of the layers' weights, and of the tokens' embeddings. Eight bits are enough for a
    vector that is looked up; in the layers they cost ten times as much (docs/evidence/retrieval.md). Raises
    :class:`InvalidModelError`.
    """
    try:
        config = read_as(TypeAdapter(_Config), folder / "config.json", 1 << 20)
        tokens = wordpiece_metadata(folder / "tokenizer.json", config.type_vocab_size)
    except (FileNotFoundError, StateFileError) as error:
        raise InvalidModelError(f"The model in {folder.name} can't be converted: {error}") from None
    metadata: dict[str, Value] = {
        "general.architecture": "bert",
        "general.type": "model",
        "general.name": name,
        **({"general.license": license} if license else {}),
        **({"general.languages": languages} if languages else {}),
        "general.quantization_version": 2,
        "general.file_type": _FILE_TYPES[matrices],
        "bert.context_length": config.max_position_embeddings,
        "bert.embedding_length": config.hidden_size,
        "bert.feed_forward_length": config.intermediate_size,
        "bert.block_count": config.num_hidden_layers,
        "bert.attention.head_count": config.num_attention_heads,
        "bert.attention.layer_norm_epsilon": config.layer_norm_eps,
        "bert.attention.causal": False,
        "bert.pooling_type": _MEAN,
        **tokens,
    }
    source = read_safetensors(folder / "model.safetensors")
    names = _names(config.num_hidden_layers)
    if missing := [theirs for theirs in names if theirs not in source]:
        raise InvalidModelError(f"model.safetensors has no {missing[0]}: it is not a BERT encoder.")
    types = {ours: _type(ours, source[theirs], matrices, vocabulary) for theirs, ours in names.items()}
    write_gguf(
        target,
        metadata,
        {
            ours: Tensor(source[theirs].shape, types[ours], partial(WRITERS[types[ours]], source[theirs]))
            for theirs, ours in names.items()
        },
    )


def _names(layers: int) -> dict[str, str]:
    return _EMBEDDINGS | {
        f"encoder.layer.{layer}.{theirs}.{part}": f"blk.{layer}.{ours}.{part}"
        for layer in range(layers)
        for theirs, ours in _LAYER.items()
        for part in ("weight", "bias")
    }


def _type(name: str, values: npt.NDArray[np.float32], matrices: str, vocabulary: str) -> str:
    if values.ndim < 2 or name in _LOOKED_UP:
        return "F32"
    wanted = vocabulary if name == "token_embd.weight" else matrices
    return wanted if wanted != "Q8_0" or values.shape[-1] % 32 == 0 else "F16"
