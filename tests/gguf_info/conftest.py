"""Small GGUF files and the shared vocabularies."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

VOCABULARIES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "vocab"


@pytest.fixture
def vocabularies() -> Path:
    if not VOCABULARIES.is_dir():
        pytest.skip("the shared vocabularies are not on this machine")
    return VOCABULARIES


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def key(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def tensor(name: str, shape: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def gguf_bytes(
    keys: list[bytes] | None = None,
    tensors: list[bytes] | None = None,
    data: bytes = b"",
    *,
    n_keys: int | None = None,
    n_tensors: int | None = None,
    version: int = 3,
    magic: bytes = b"GGUF",
) -> bytes:
    """A file from its parts, right or wrong."""
    keys = [key("general.architecture", 8, text("llama")), *(keys or [])]
    tensors = tensors or []
    counts = struct.pack(
        "<QQ", len(tensors) if n_tensors is None else n_tensors, len(keys) if n_keys is None else n_keys
    )
    head = magic + struct.pack("<I", version) + counts + b"".join(keys) + b"".join(tensors)
    return head + b"\0" * (-len(head) % 32) + data


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    def write_bytes(content: bytes) -> Path:
        path = tmp_path / "model.gguf"
        path.write_bytes(content)
        return path

    return write_bytes
