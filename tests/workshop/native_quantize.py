"""llama.cpp's quantization, called by llama-cpp-python's own bindings: what the workshop's products are compared with.

``python native_quantize.py SOURCE < SPECS``: a process of its own, as the function keeps state.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["natively"]


def natively(source: Path, specs: Mapping[Path, Mapping[str, Any]]) -> None:
    """Each target, made of ``source`` with fields of ``llama_model_quantize_params``."""
    given = {str(target): spec for target, spec in specs.items()}
    subprocess.run(
        [sys.executable, __file__, source], input=json.dumps(given).encode(), capture_output=True, check=True
    )


def main(source: str, target: str, spec: dict[str, Any]) -> int:
    import llama_cpp

    params = llama_cpp.llama_model_quantize_default_params()
    overrides = spec.pop("overrides", [])
    importance = spec.pop("importance", {})
    for name, value in spec.items():
        setattr(params, name, value)
    kinds = (llama_cpp.llama_model_tensor_override * (len(overrides) + 1))()
    for at, (pattern, kind) in enumerate(overrides):
        kinds[at].pattern, kinds[at].type = pattern.encode(), kind
    if overrides:
        params.tt_overrides = kinds
    matrices = (llama_cpp.llama_model_imatrix_data * (len(importance) + 1))()
    kept = []
    for at, (name, values) in enumerate(importance.items()):
        kept.append((ctypes.c_float * len(values))(*values))
        matrices[at].name, matrices[at].data, matrices[at].size = name.encode(), kept[-1], len(values)
    if importance:
        params.imatrix = matrices
    return int(llama_cpp.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params)))


if __name__ == "__main__":
    for each, wanted in json.load(sys.stdin).items():
        main(sys.argv[1], each, wanted)
