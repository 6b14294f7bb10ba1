"""A prefix in a file: a line of JSON (format, key, sizes, digest of the rest), then the token ids, then the state.

The key holds everything that a state depends on: the model's fingerprint, the cache's element types, rope and adapters,
llama.cpp's version.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from parlant_local.engine.prefixes import State, Tokens
from parlant_local.errors import StateFileError
from parlant_local.storage import open_regular, parse_json, whole_file

__all__ = ["MAX_HEADER_BYTES", "read_prefix", "read_prefix_header", "write_prefix"]

MAX_HEADER_BYTES = 64 * 1024
_FORMAT = 1
_MAX_TOKENS = 1 << 24


def write_prefix(path: Path, key: str, group: str, tokens: Tokens, state: State) -> int:
    """Its size in bytes. Raises :class:`StateFileError`, and :class:`MemoryError`."""
    data = tokens.tobytes()
    body = hashlib.sha256(data)
    body.update(state.data)
    header = {
        "format": _FORMAT,
        "key": key,
        "group": group,
        "tokens": int(tokens.size),
        "state": int(state.nbytes),
        "sha256": body.hexdigest(),
    }
    line = json.dumps(header).encode() + b"\n"
    with whole_file(path, private=True) as file:
        file.write(line)
        file.write(data)
        file.write(state.data)
    return len(line) + len(data) + state.nbytes


def read_prefix(path: Path, key: str, largest: int) -> tuple[Tokens, State]:
    """Tokens and state. Raises :class:`FileNotFoundError`, :class:`StateFileError` for what isn't valid for ``key``, and
    :class:`MemoryError`."""
    with open_regular(path) as file:
        header, tokens = read_prefix_header(file, key, largest)
        state = np.fromfile(file, dtype=np.uint8, count=header["state"])
    body = hashlib.sha256(tokens.tobytes())
    body.update(state.data)
    if body.hexdigest() != header["sha256"]:
        raise StateFileError(path, "its checksum is wrong")
    return tokens, state


def read_prefix_header(file: BinaryIO, key: str, largest: int) -> tuple[dict[str, Any], Tokens]:
    """Header and tokens; all sizes are checked against the file's before anything is allocated. The state follows.

    Raises ValueError for inconsistent contents.
    """
    line, newline, _ = file.read(MAX_HEADER_BYTES).partition(b"\n")
    header = _parsed_header(line)
    if header["format"] != _FORMAT or header["key"] != key:
        raise ValueError("it was made by another version or for other settings")
    count, state = header["tokens"], header["state"]
    if not 1 <= count <= _MAX_TOKENS or not 1 <= state <= largest:
        raise ValueError("its sizes are out of range")
    if os.fstat(file.fileno()).st_size != len(line) + len(newline) + 4 * count + state:
        raise ValueError("its size is wrong")
    file.seek(len(line) + len(newline))
    tokens = np.fromfile(file, dtype=np.int32, count=count)
    if tokens.size != count:
        raise ValueError("it is truncated")
    return header, tokens


_FIELDS = {"format": int, "key": str, "group": str, "tokens": int, "state": int, "sha256": str}


def _parsed_header(line: bytes) -> dict[str, Any]:
    header = parse_json(line)
    if not isinstance(header, dict) or any(type(header.get(name)) is not kind for name, kind in _FIELDS.items()):
        raise ValueError("its header is invalid")
    return header
