"""GGUF headers without files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from parlant_local.gguf_info import GGUFHeader, TensorInfo

__all__ = ["header_of"]


def header_of(architecture: str, tensors: Sequence[str] = (), **values: object) -> GGUFHeader:
    """A header with these keys of its architecture, and tensors of 400 bytes each."""
    metadata = {"general.architecture": architecture, **{f"{architecture}.{key}": v for key, v in values.items()}}
    infos = tuple(TensorInfo(name, (100,), "F32", 0, 400) for name in tensors or ("t",))
    return GGUFHeader(Path("m.gguf"), 3, metadata, infos, 500, 100, 100)  # type: ignore[arg-type]  # any values, for tests
