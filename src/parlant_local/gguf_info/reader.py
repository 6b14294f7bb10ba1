"""Reads GGUF headers without loading anything. The file is a stranger's: every count and length is checked first."""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path

from parlant_local.errors import InvalidModelError
from parlant_local.gguf_info.bounds import check_bounds
from parlant_local.gguf_info.cursor import Cursor
from parlant_local.gguf_info.header import Elided, GGUFHeader, MetadataValue, TensorInfo
from parlant_local.gguf_info.shapes import check_shapes
from parlant_local.gguf_info.shards import shard_paths
from parlant_local.gguf_info.types import SCALAR_FORMATS, TENSOR_TYPES, VALUE_ARRAY, VALUE_STRING

__all__ = ["read_file_header", "read_header"]

_MAX_KEYS = 1 << 12
_MAX_KEY_BYTES = 1 << 10
_MAX_TENSORS = 1 << 15
_MAX_TENSOR_NAME_BYTES = 63  # ggml's own limit
_MAX_STRINGS = 1 << 21  # of the whole file; the largest vocabularies have 2^18 tokens and twice as many merges
_MAX_TOKENS = 1 << 20
_MAX_HEADER = 1 << 28
_KEEP_STRING_BYTES = 1 << 20
_KEEP_NUMBERS = 4096
_KEEP_STRINGS = 256
_KEEP_BYTES = 1 << 23  # of the whole file
_TOKENS = "tokenizer.ggml.tokens"
_MIN_KEY_BYTES = 8 + 4 + 1
_MIN_TENSOR_BYTES = 8 + 4 + 8 + 4 + 8


def read_header(path: Path | str) -> GGUFHeader:
    """Header of a model; of all its shards when ``path`` is one of them.

    Raises :class:`InvalidModelError` for anything that is not a whole GGUF: a bad magic, absurd counts, tensors past
    the end of the file, a missing shard, values that no model has, tensors that are not the ones its metadata speaks of.
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
                f"{paths[0]} is one of {first.split[1]} shards, but its name does not tell the others.",
                hint="Give shards their usual names: NAME-00001-of-0000N.gguf.",
            )
        return first
    rest = [read_file_header(item) for item in paths[1:]]
    for number, header in enumerate((first, *rest)):
        if header.split != (number, len(paths)):
            raise InvalidModelError(
                f"{header.path} is not shard {number + 1} of {len(paths)}: "
                + (f"it says {header.split[0] + 1} of {header.split[1]}." if header.split else "it says it is whole.")
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
    """Header of one file, a shard by itself included."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InvalidModelError("It is no file.")  # opening a pipe would wait for whoever writes into it
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
    _check_count("tensors", n_tensors, _MAX_TENSORS, _MIN_TENSOR_BYTES, cursor)
    _check_count("metadata keys", n_keys, _MAX_KEYS, _MIN_KEY_BYTES, cursor)
    metadata = _Metadata(cursor).read(n_keys)
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
        raise InvalidModelError(f"It has {size} bytes; the smallest has 24.")
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


def _check_count(what: str, count: int, limit: int, smallest: int, cursor: Cursor) -> None:
    if count > limit or count * smallest > cursor.remaining:
        raise InvalidModelError(f"It announces {count:,} {what}: more than a file of its size can hold, or any should.")


def _string(cursor: Cursor, limit: int, what: str) -> str:
    length = cursor.u64()
    if length > limit:
        raise InvalidModelError(f"It announces {what} of {length:,} bytes; {limit:,} are allowed.")
    return cursor.take(length).decode("utf-8", "replace")


class _Metadata:
    """Reads keys and values within one budget for the whole file: no count of small things adds up to much."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._strings_left = _MAX_STRINGS
        self._bytes_left = _KEEP_BYTES

    def read(self, count: int) -> dict[str, MetadataValue]:
        cursor = self._cursor
        metadata: dict[str, MetadataValue] = {}
        for _ in range(count):
            key = _string(cursor, _MAX_KEY_BYTES, "a metadata key")
            if not key:
                raise InvalidModelError("It has a metadata key without a name.")
            if key in metadata:
                raise InvalidModelError(f"The metadata key {key!r} stands there twice.")
            metadata[key] = self._value(cursor.u32(), key)
            if cursor.offset > _MAX_HEADER:
                raise InvalidModelError(f"Its metadata is larger than {_MAX_HEADER:,} bytes.")
        return metadata

    def _value(self, kind: int, key: str) -> MetadataValue:
        cursor = self._cursor
        if (layout := SCALAR_FORMATS.get(kind)) is not None:
            return cursor.unpack(layout)
        if kind == VALUE_STRING:
            length = cursor.u64()
            if length > _KEEP_STRING_BYTES or not self._keeps(length):
                cursor.skip(length)
                return Elided("string", length)
            return cursor.take(length).decode("utf-8", "replace")
        if kind == VALUE_ARRAY:
            return self._array(key)
        raise InvalidModelError(f"The metadata key {key!r} has a value of the unknown type {kind}.")

    def _array(self, key: str) -> MetadataValue:
        cursor = self._cursor
        kind, count = cursor.u32(), cursor.u64()
        if (layout := SCALAR_FORMATS.get(kind)) is not None:
            width = struct.calcsize(layout)
            if count > _KEEP_NUMBERS or not self._keeps(8 * count):
                cursor.skip(count * width)
                return Elided("array", count)
            return struct.unpack(f"<{count}{layout[1]}", cursor.take(count * width))
        if kind != VALUE_STRING:
            raise InvalidModelError(f"The metadata key {key!r} has an array of the unsupported type {kind}.")
        _check_count(f"strings under {key!r}", count, self._strings_left, 8, cursor)
        self._strings_left -= count
        if key == _TOKENS:
            return self._tokens(count)
        if count > _KEEP_STRINGS:
            cursor.skip_strings(count)
            return Elided("array", count)
        return tuple(self._short(key) for _ in range(count))

    def _tokens(self, count: int) -> Elided:
        """A token that stands there twice ends the process in llama.cpp."""
        _check_count("tokens", count, _MAX_TOKENS, 8, self._cursor)
        if (different := self._cursor.count_distinct(count)) != count:
            raise InvalidModelError(f"{_TOKENS} has {count - different:,} tokens that stand there twice.")
        return Elided("array", count)

    def _short(self, key: str) -> str:
        text = _string(self._cursor, _KEEP_STRING_BYTES, f"a string under {key!r}")
        if not self._keeps(len(text)):
            raise InvalidModelError(f"The strings under {key!r} are longer than {_KEEP_BYTES:,} bytes together.")
        return text

    def _keeps(self, size: int) -> bool:
        """Whether ``size`` bytes more may be kept, which are then counted."""
        if size > self._bytes_left:
            return False
        self._bytes_left -= size
        return True


def _alignment(metadata: dict[str, MetadataValue]) -> int:
    alignment = metadata.get("general.alignment", 32)
    if (
        isinstance(alignment, bool)
        or not isinstance(alignment, int)
        or alignment < 1
        or alignment > 1 << 20
        or alignment & (alignment - 1)
    ):
        raise InvalidModelError(f"general.alignment is {alignment!r}, which is not a power of two.")
    return alignment


def _tensors(cursor: Cursor, count: int, alignment: int) -> tuple[TensorInfo, ...]:
    """The table of tensors, each of which must begin where the one before it ends: none overlap, nothing hides between."""
    tensors: dict[str, TensorInfo] = {}
    expected = 0
    for _ in range(count):
        tensor = _tensor(cursor, alignment)
        if tensor.name in tensors:
            raise InvalidModelError(f"The tensor {tensor.name!r} stands there twice.")
        if tensor.offset != expected:
            raise InvalidModelError(f"The tensor {tensor.name!r} starts at {tensor.offset:,} instead of {expected:,}.")
        expected += tensor.nbytes + -tensor.nbytes % alignment
        tensors[tensor.name] = tensor
    return tuple(tensors.values())


def _tensor(cursor: Cursor, alignment: int) -> TensorInfo:
    name = _string(cursor, _MAX_TENSOR_NAME_BYTES, "a tensor name")
    n_dims = cursor.u32()
    if n_dims > 4:
        raise InvalidModelError(f"The tensor {name!r} has {n_dims:,} dimensions; 4 is the most.")
    shape = tuple(cursor.u64() for _ in range(n_dims))
    kind, offset = cursor.u32(), cursor.u64()
    elements = 1
    for extent in shape:
        elements *= extent
    if elements >= 1 << 60:
        raise InvalidModelError(f"The tensor {name!r} announces {elements:,} elements.")
    if kind not in TENSOR_TYPES:
        raise InvalidModelError(
            f"The tensor {name!r} is of type {kind}, which this version does not know.",
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
