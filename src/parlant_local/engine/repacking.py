"""Weights that this processor computes from a rearranged copy: the mapped file would stay in memory beside it."""

from __future__ import annotations

from parlant_local.engine.native import system_info
from parlant_local.gguf_info import GGUFHeader

__all__ = ["is_mostly_repacked"]

# As ggml-cpu decides (ggml_repack_get_optimal_repack_type).
_BY_FEATURE = {
    "AVX2": frozenset({"Q4_0", "Q4_K", "IQ4_NL", "MXFP4"}),
    "AVX512": frozenset({"Q2_K"}),
    "DOTPROD": frozenset({"Q4_0", "Q4_K", "Q5_K", "Q6_K", "Q8_0", "IQ4_NL", "MXFP4"}),
}


def is_mostly_repacked(header: GGUFHeader) -> bool:
    """Whether half of the weights' bytes or more are copied."""
    features = system_info()
    if "REPACK = 1" not in features:
        return False
    types = frozenset[str]().union(*(found for name, found in _BY_FEATURE.items() if f"{name} = 1" in features))
    # An embedding table is read by row, as it is in the file.
    copied = sum(t.nbytes for t in header.tensors if t.type in types and t.name != "token_embd.weight")
    return copied * 2 >= header.weights_bytes
