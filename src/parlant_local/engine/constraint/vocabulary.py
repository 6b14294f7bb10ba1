"""llguidance's view of a model's vocabulary: the bytes of every token, and llama.cpp's own tokenizer to split text with."""

from __future__ import annotations

from typing import Any

from parlant_local.engine.model import LoadedModel
from parlant_local.engine.native import library

__all__ = ["grammar_tokenizer", "stands_apart"]

_MARK = b"\xff"  # llguidance: what follows is the name of a special token, never text


def grammar_tokenizer(model: LoadedModel) -> Any:
    """An ``LLTokenizer``; 0.2-0.9 s to make, so keep it."""
    from llguidance import LLTokenizer

    lib = library()
    tokens = [_bytes_of(model, lib, token) for token in range(model.n_vocab)]
    ends = sorted(model.end_tokens) or [model.eos]
    # The first one is the token that a finished grammar forces.
    ends.sort(key=lambda token: (token != model.eot, token != model.eos))
    # llguidance keeps the pointer and calls it for as long as it lives; so must the model.
    tokenize = lib.address("llama_tokenize")
    return LLTokenizer.from_llamacpp(  # type: ignore[attr-defined]  # missing in its type stubs
        tokens=tokens, vocab_ptr=model.vocab, tokenize_fptr=tokenize, eos_token=ends, slices=None
    )


def _bytes_of(model: LoadedModel, lib: Any, token: int) -> bytes:
    data = model.piece(token, special=True)
    return _MARK + data if _is_special(model, lib, token, data) else data


def stands_apart(model: LoadedModel, token: int) -> bool:
    """Whether a grammar has to name this token by id, since no text produces it."""
    return _is_special(model, library(), token, model.piece(token, special=True))


def _is_special(model: LoadedModel, lib: Any, token: int, data: bytes) -> bool:
    attributes = lib.llama_vocab_get_attr(model.vocab, token)
    named = data.startswith(b"<") and data.endswith(b">")
    return bool(attributes & lib.LLAMA_TOKEN_ATTR_CONTROL or (attributes & lib.LLAMA_TOKEN_ATTR_USER_DEFINED and named))
