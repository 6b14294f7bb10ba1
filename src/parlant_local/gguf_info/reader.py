"""Reads GGUF headers without loading anything. The file is untrusted: every count and length is checked first."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from parlant_local.errors import InvalidModelError
from parlant_local.gguf_info.bounds import check_bounds
from parlant_local.gguf_info.cursor import Cursor
from parlant_local.gguf_info.header import GGUFHeader, MetadataValue, TensorInfo
from parlant_local.gguf_info.metadata import MetadataReader, check_count, read_string
from parlant_local.gguf_info.shapes import check_shapes
from parlant_local.gguf_info.shards import shard_paths
from parlant_local.gguf_info.types import TENSOR_TYPES

__all__ = ["read_file_header", "read_header"]

_MAX_KEYS = 1 << 12
_MAX_TENSORS = 1 << 15
_MAX_TENSOR_NAME_BYTES = 63  # ggml's own limit
_MIN_KEY_BYTES = 8 + 4 + 1
_MIN_TENSOR_BYTES = 8 + 4 + 8 + 4 + 8


def read_header(path: Path | str) -> GGUFHeader:
    """Header of a model; of all its shards when ``path`` is one of them.

    Raises :class:`InvalidModelError` for anything that is not a complete GGUF: a bad magic, impossible counts, tensors past
    the end of the file, a missing shard, values out of bounds, tensors that contradict the metadata.
    Reads the header only (see ``bytes_read``).
    """
    header = _read_shards(Path(path))
    try:
        check_bounds(header)
        check_shapes(header)
    except InvalidModelError as error:
        raise InvalidModelError(f"{header.path} is not a usable GGUF file. {error.message}", hint=error.hint) from None
    return header


def _read_shards(path: Path) -> GGUFHeader:
    paths = shard_paths(path)
    first = read_file_header(paths[0])
    if len(paths) == 1:
        if first.split:
            raise InvalidModelError(
                f"{paths[0]} is one of {first.split[1]} shards, but its name does not identify the others.",
                hint="Name shards as usual: NAME-00001-of-0000N.gguf.",
            )
        return first
    rest = [read_file_header(item) for item in paths[1:]]
    for number, header in enumerate((first, *rest)):
        if header.split != (number, len(paths)):
            raise InvalidModelError(
                f"{header.path} is not shard {number + 1} of {len(paths)}: "
                + (
                    f"it declares {header.split[0] + 1} of {header.split[1]}."
                    if header.split
                    else "it declares no shards."
                )
            )
    return GGUFHeader(
        path=paths[0],
        version=first.version,
        metadata=first.metadata,
        tensors=(*first.tensors, *(tensor for header in rest for tensor in header.tensors)),
        file_size=first.file_size + sum(header.file_size for header in rest),
        header_bytes=first.header_bytes,
        bytes_read=first.bytes_read + sum(header.bytes_read for header in rest),
        paths=paths,
    )


def read_file_header(path: Path) -> GGUFHeader:
    """Header of a single file, which may be one shard."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InvalidModelError("It is not a regular file.")  # opening a FIFO would block until there is a writer
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            return _parse(path, Cursor(file, size), size)
    except InvalidModelError as error:
        raise InvalidModelError(f"{path} is not a usable GGUF file. {error.message}", hint=error.hint) from None
    except OSError as error:
        raise InvalidModelError(f"{path} can't be read: {error.strerror or error}.") from None


def _parse(path: Path, cursor: Cursor, size: int) -> GGUFHeader:
    version = _version(cursor, size)
    n_tensors, n_keys = cursor.u64(), cursor.u64()
    check_count("tensors", n_tensors, _MAX_TENSORS, _MIN_TENSOR_BYTES, cursor)
    check_count("metadata keys", n_keys, _MAX_KEYS, _MIN_KEY_BYTES, cursor)
    metadata = MetadataReader(cursor).read(n_keys)
    alignment = _alignment(metadata)
    tensors = _tensors(cursor, n_tensors, alignment)
    header_bytes = cursor.offset + -cursor.offset % alignment
    for tensor in tensors:
        if header_bytes + tensor.offset + tensor.nbytes > size:
            raise InvalidModelError(
                f"The tensor {tensor.name!r} ends at byte {header_bytes + tensor.offset + tensor.nbytes:,} "
                f"of a file of {size:,}: it is truncated or corrupt.",
                hint="Download it again, or run `parlant-local verify`.",
            )
    return GGUFHeader(
        path=path,
        version=version,
        metadata=metadata,
        tensors=tensors,
        file_size=size,
        header_bytes=header_bytes,
        bytes_read=cursor.bytes_read,
        paths=(path,),
    )


def _version(cursor: Cursor, size: int) -> int:
    if size < 24:
        raise InvalidModelError(f"It has {size} bytes; a GGUF has at least 24.")
    magic = cursor.take(4)
    if magic != b"GGUF":
        raise InvalidModelError(f"It starts with {magic!r} instead of 'GGUF'.", hint=_guess(magic))
    version = cursor.u32()
    if version & 0xFFFF == 0:
        raise InvalidModelError("It was written for big-endian machines.")
    if version not in (2, 3):
        raise InvalidModelError(f"GGUF version {version} is not supported (2 and 3 are).")
    return version


def _guess(magic: bytes) -> str:
    if magic == b"vers":
        return "It is a Git LFS pointer: fetch the real file with `git lfs pull`."
    if magic[:2] == b"PK":
        return "It looks like a zip archive or a PyTorch checkpoint; it needs converting to GGUF."
    if magic in (b"ggml", b"ggjt", b"lmgg", b"tjgg"):
        return "It is in the format before GGUF; download a newer conversion."
    if magic.lstrip().startswith((b"<", b"{")):
        return "It looks like a web page or JSON: the download got an error page instead of the model."
    return ""


def _alignment(metadata: dict[str, MetadataValue]) -> int:
    alignment = metadata.get("general.alignment", 32)
    if (
        isinstance(alignment, bool)
        or not isinstance(alignment, int)
        or alignment < 1
        or alignment > 1 << 20
        or alignment & (alignment - 1)
    ):
        raise InvalidModelError(f"general.alignment is {alignment!r}, which is not a power of two up to 2^20.")
    return alignment


def _tensors(cursor: Cursor, count: int, alignment: int) -> tuple[TensorInfo, ...]:
    """The tensor table. Each tensor must begin where the previous one ends: no overlaps, no gaps."""
    tensors: dict[str, TensorInfo] = {}
    expected = 0
    for _ in range(count):
        tensor = _tensor(cursor, alignment)
        if tensor.name in tensors:
            raise InvalidModelError(f"The tensor {tensor.name!r} is duplicated.")
        if tensor.offset != expected:
            raise InvalidModelError(f"The tensor {tensor.name!r} starts at {tensor.offset:,} instead of {expected:,}.")
        expected += tensor.nbytes + -tensor.nbytes % alignment
        tensors[tensor.name] = tensor
    return tuple(tensors.values())


def _tensor(cursor: Cursor, alignment: int) -> TensorInfo:
    name = read_string(cursor, _MAX_TENSOR_NAME_BYTES, "a tensor name")
    n_dims = cursor.u32()
    if n_dims > 4:
        raise InvalidModelError(f"The tensor {name!r} has {n_dims:,} dimensions; the maximum is 4.")
    shape = tuple(cursor.u64() for _ in range(n_dims))
    kind, offset = cursor.u32(), cursor.u64()
    elements = 1
    for extent in shape:
        elements *= extent
    if elements >= 1 << 60:
        raise InvalidModelError(f"The tensor {name!r} declares {elements:,} elements.")
    if kind not in TENSOR_TYPES:
        raise InvalidModelError(
            f"The tensor {name!r} is of type {kind}, which this version does not support.",
            hint="The file may be newer than this version, or corrupt.",
        )
    label, block, width = TENSOR_TYPES[kind]
    row = shape[0] if shape else 1
    if row % block:
        raise InvalidModelError(
            f"The tensor {name!r} has rows of {row:,} elements; {label} needs multiples of {block}."
        )
    if offset % alignment:
        raise InvalidModelError(f"The tensor {name!r} starts at {offset:,}, which is not aligned to {alignment}.")
    return TensorInfo(name, shape, label, offset, elements // block * width)
