"""BERT's vocabulary of word pieces, as llama.cpp has it: beginnings of words are marked, where BERT marks the other pieces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from parlant_local.conversion.gguf_writing import Value
from parlant_local.errors import InvalidModelError
from parlant_local.storage import read_json

__all__ = ["wordpiece_metadata"]

_MAX_BYTES = 64 << 20
_NORMAL, _CONTROL = 1, 3
_WORD = "\u2581"
_SPECIALS = {
    "bos": "[CLS]",
    "eos": "[SEP]",
    "unknown": "[UNK]",
    "seperator": "[SEP]",
    "padding": "[PAD]",
    "mask": "[MASK]",
}
"""By the keys of GGUF, one of which is spelled so."""


def wordpiece_metadata(path: Path, token_types: int) -> dict[str, Value]:
    """The keys of ``tokenizer.json``'s vocabulary. Raises :class:`InvalidModelError` for another kind of tokenizer."""
    tokenizer = read_json(path, _MAX_BYTES)
    try:
        ids: Mapping[str, int] = tokenizer["model"]["vocab"]
        lower = tokenizer["normalizer"]["lowercase"]
        pieces = sorted(ids, key=lambda piece: ids[piece])
        specials = {item["content"] for item in tokenizer.get("added_tokens", ()) if item["special"]}
        whole = [ids[piece] for piece in pieces] == list(range(len(pieces)))
        numbers = {key: ids[text] for key, text in _SPECIALS.items()}
    except (KeyError, TypeError) as error:
        raise InvalidModelError(f"{path.name} is not a WordPiece tokenizer's file: {error!r} is missing.") from None
    if not whole or lower is not True:
        raise InvalidModelError(f"{path.name} has gaps, or distinguishes cases, which llama.cpp's WordPiece does not.")
    metadata: dict[str, Value] = {
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.pre": "jina-v2-en",  # what llama.cpp's own conversion writes for it
        "tokenizer.ggml.token_type_count": token_types,
        "tokenizer.ggml.tokens": [_phantom(piece) for piece in pieces],
        "tokenizer.ggml.token_type": [_CONTROL if piece in specials else _NORMAL for piece in pieces],
    }
    return metadata | {f"tokenizer.ggml.{key}_token_id": number for key, number in numbers.items()}


def _phantom(piece: str) -> str:
    if piece.startswith("[") and piece.endswith("]"):
        return piece
    return piece[2:] if piece.startswith("##") else _WORD + piece
