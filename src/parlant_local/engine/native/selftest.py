"""The self-test of a library: the shipped model's logits, compared with those stored when this package was made.

Sizes and names can be right while a library computes nonsense: a structure with two fields exchanged, a compiler's bug, a
processor feature that an emulator only claims. ``python -m parlant_local.engine.native.selftest`` stores the values anew after
the shipped model was changed; it runs on the reference build.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from parlant_local.errors import EngineError
from parlant_local.shipped import shipped_file

__all__ = ["expected_file", "self_test"]

_TEXT = "The customer asks: where is my order 4812? It was sent on Monday."
_TOP = 8
_TOLERANCE = 0.25  # logits; builds for other processors differ by less than 0.05, since they add in another order
_CELLS = 128


def expected_file() -> Path:
    return Path(__file__).with_name("selftest.json")


def self_test(lib: Any) -> str | None:
    """How the logits of ``lib`` differ from the stored ones; None where they don't. Loads the shipped model: some 50 ms."""
    expected = json.loads(expected_file().read_text(encoding="utf-8"))
    for name, row in _logits(lib).items():
        for token, value in expected[name]:
            if not abs(row[token] - value) <= _TOLERANCE:  # also where it is not a number
                return f"the logit of token {token} after {name} is {row[token]:.3f}, not {value:.3f}"
        top, value = expected[name][0]
        if max(row) > value + _TOLERANCE:
            return f"token {row.index(max(row))} comes first after {name}, not {top}"
    return None


def _logits(lib: Any) -> dict[str, list[float]]:
    """After a prompt; after one more token in two sequences that share the prompt; and in a sequence that was saved and restored."""
    params = lib.llama_model_default_params()
    params.n_gpu_layers = 0
    model = lib.llama_model_load_from_file(str(shipped_file()).encode(), params)
    if not model:
        raise EngineError("the shipped model does not load.")
    vocab = lib.llama_model_get_vocab(model)
    tokens = _tokens(lib, vocab)
    options = lib.llama_context_default_params()
    options.n_ctx = options.n_batch = _CELLS
    options.n_ubatch = _CELLS // 4
    options.n_seq_max = 3
    options.n_threads = options.n_threads_batch = 1
    options.kv_unified = options.no_perf = True
    context = lib.llama_init_from_model(model, options)
    if not context:
        raise EngineError("a context can't be created.")
    memory, n_vocab = lib.llama_get_memory(context), lib.llama_vocab_n_tokens(vocab)
    batch = lib.llama_batch_init(_CELLS, 0, 1)

    def row(index: int) -> list[float]:
        return list(lib.llama_get_logits_ith(context, index)[:n_vocab])

    def decode(entries: Sequence[tuple[int, int, int]]) -> None:
        for at, (sequence, position, token) in enumerate(entries):
            batch.token[at], batch.pos[at] = token, position
            batch.n_seq_id[at], batch.seq_id[at][0] = 1, sequence
            batch.logits[at] = at == len(entries) - 1 or len(entries) == 2
        batch.n_tokens = len(entries)
        if (status := lib.llama_decode(context, batch)) != 0:
            raise EngineError(f"llama_decode returned {status}.")

    end = len(tokens)
    decode([(0, at, token) for at, token in enumerate(tokens)])
    found = {"the prompt": row(-1)}
    lib.llama_memory_seq_cp(memory, 0, 1, 0, end)
    decode([(0, end, tokens[1]), (1, end, tokens[2])])
    found["a second token"], found["a second token of the other sequence"] = row(0), row(1)
    state = (ctypes.c_uint8 * lib.llama_state_seq_get_size(context, 1))()
    lib.llama_state_seq_get_data(context, state, len(state), 1)
    lib.llama_memory_seq_rm(memory, 1, -1, -1)
    lib.llama_state_seq_set_data(context, state, len(state), 2)
    decode([(2, end + 1, tokens[3])])
    found["a restored state"] = row(-1)
    lib.llama_batch_free(batch)
    lib.llama_free(context)
    lib.llama_model_free(model)
    return found


def _tokens(lib: Any, vocab: int) -> list[int]:
    text, buffer = _TEXT.encode(), (ctypes.c_int32 * _CELLS)()
    return buffer[: lib.llama_tokenize(vocab, text, len(text), buffer, _CELLS, False, False)]


def _store() -> None:
    from parlant_local.engine.native.llama import library

    rows = {
        name: [
            (token, round(row[token], 4)) for token in sorted(range(len(row)), key=row.__getitem__, reverse=True)[:_TOP]
        ]
        for name, row in _logits(library()).items()
    }
    expected_file().write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    _store()
