"""How long a prompt takes in a model of random weights. A program of its own: ``python -m …prefill MODEL TOKENS ROUNDS``.

Prints the seconds of the best round.
"""

from __future__ import annotations

import ctypes
import sys
import time

from parlant_local.cores import usable_threads
from parlant_local.engine.native import library
from parlant_local.errors import EngineError

__all__ = ["time_prefill"]


def time_prefill(model_path: str, n_tokens: int, rounds: int) -> float:
    """Seconds that a prompt of ``n_tokens`` takes, the best of ``rounds``. Raises :class:`EngineError`."""
    lib = library()
    model_options = lib.llama_model_default_params()
    model_options.n_gpu_layers = 999
    model = lib.llama_model_load_from_file(model_path.encode(), model_options)
    if not model:
        raise EngineError("The model of random weights did not load.")
    options = lib.llama_context_default_params()
    options.n_ctx = options.n_batch = options.n_ubatch = n_tokens
    options.n_threads = options.n_threads_batch = usable_threads()
    context = lib.llama_init_from_model(model, options)
    if not context:
        raise EngineError("The context of the measurement could not be created.")
    # The measured model has no vocabulary: any small number is a token.
    tokens = (ctypes.c_int32 * n_tokens)(*(at % 256 for at in range(n_tokens)))
    best = float("inf")
    for _ in range(rounds):
        lib.llama_memory_clear(lib.llama_get_memory(context), True)
        begun = time.perf_counter()
        if lib.llama_decode(context, lib.llama_batch_get_one(tokens, n_tokens)) != 0:
            raise EngineError("llama_decode failed.")
        lib.llama_synchronize(context)
        best = min(best, time.perf_counter() - begun)
    lib.llama_free(context)
    lib.llama_model_free(model)
    return best


if __name__ == "__main__":
    print(time_prefill(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
