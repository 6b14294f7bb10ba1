"""Checks a model's tensors against its metadata, as far as all architectures have it in common."""

from __future__ import annotations

import re

from parlant_local.errors import InvalidModelError
from parlant_local.gguf_info.header import GGUFHeader, TensorInfo

__all__ = ["check_shapes"]

_BLOCK = re.compile(r"blk\.(\d{1,6})\.")
_BLOCKS_WITHOUT_TENSORS = ("deci",)
_FOREIGN_EMBEDDINGS = (
    "wavtokenizer-dec",
    "eagle3",
    "dflash",
)  # their embeddings belong to another model, or not to tokens
_NOT_WEIGHT_TYPES = frozenset({"I8", "I16", "I32", "I64", "F64", "Q8_1", "Q8_K"})  # index types, and activation formats
_FLOAT_TYPES = frozenset({"F32", "F16", "BF16"})


def check_shapes(header: GGUFHeader) -> None:
    """Raises :class:`InvalidModelError` naming the tensor or the key at fault."""
    _check_vocabulary(header)
    for tensor in header.tensors:
        _check_type(tensor)
    _check_blocks(header)
    if header.architecture not in _FOREIGN_EMBEDDINGS:
        _check_tables(header)


def _refuse(problem: str) -> None:
    raise InvalidModelError(problem, hint="The file is corrupt, or its conversion failed: use another one.")


def _check_vocabulary(header: GGUFHeader) -> None:
    tokens = header.count("tokenizer.ggml.tokens")
    if tokens == 0:
        _refuse("tokenizer.ggml.tokens is empty.")
    for key in ("tokenizer.ggml.scores", "tokenizer.ggml.token_type"):
        entries = header.count(key)
        if tokens is not None and entries is not None and entries < tokens:
            _refuse(f"{key} has {entries:,} entries for {tokens:,} tokens.")


def _check_type(tensor: TensorInfo) -> None:
    if not tensor.elements:
        _refuse(f"The tensor {tensor.name!r} is empty.")
    if not tensor.name.endswith((".weight", ".bias")):
        return
    if tensor.type in _NOT_WEIGHT_TYPES:
        _refuse(f"The tensor {tensor.name!r} is of type {tensor.type}, which is not a weight type.")
    if len(tensor.shape) <= 1 and tensor.type not in _FLOAT_TYPES:
        _refuse(
            f"The tensor {tensor.name!r} has one dimension and is of type {tensor.type}; it must be F32, F16 or BF16."
        )


def _check_blocks(header: GGUFHeader) -> None:
    layers = header.block_count
    if layers is None:
        return
    present = {int(match[1]) for tensor in header.tensors if (match := _BLOCK.match(tensor.name))}
    if not present:
        return
    if max(present) >= layers:
        _refuse(f"It has tensors of block {max(present)}, but {header.architecture}.block_count is {layers}.")
    needed = layers - (header.of_architecture("nextn_predict_layers") or 0)
    missing = [block for block in range(needed) if block not in present]
    if missing and header.architecture not in _BLOCKS_WITHOUT_TENSORS:
        _refuse(f"{header.architecture}.block_count is {layers}, but block {missing[0]} has no tensors.")


def _check_tables(header: GGUFHeader) -> None:
    """The embedding and output tables: a row per token, as wide as the model."""
    width, tokens = header.embedding_length, header.vocabulary_size
    for tensor in header.tensors:
        if tensor.name not in ("token_embd.weight", "output.weight"):
            continue
        shape = (*tensor.shape, 1, 1)
        if width is not None and shape[0] != width:
            _refuse(
                f"The tensor {tensor.name!r} is {shape[0]:,} wide, but {header.architecture}.embedding_length is {width:,}."
            )
        if tokens is not None and tensor.name == "token_embd.weight" and shape[1] != tokens:
            _refuse(f"The tensor {tensor.name!r} has {shape[1]:,} rows for {tokens:,} tokens.")
