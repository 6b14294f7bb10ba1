"""Reading untrusted files: regular files of bounded size, UTF-8, strict JSON. Never blocks on a FIFO."""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TypeVar

from pydantic import TypeAdapter, ValidationError

from parlant_local.errors import StateFileError

__all__ = ["open_regular", "parse_json", "read_as", "read_bytes", "read_json", "read_text", "validated"]

T = TypeVar("T")

_MAX_DEPTH = 64
_MAX_DIGITS = 400
_BINARY = getattr(os, "O_BINARY", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)  # without it, opening a FIFO waits for a writer
_PIPE_PATHS = ("/dev/fd/", "/proc/self/fd/", "/dev/stdin")  # paths of a shell's <(command) and of pipes


@contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """The open file; folders, pipes and devices are rejected without blocking.

    Raises :class:`FileNotFoundError`, and :class:`StateFileError` for every other failure, also during reads.
    """
    try:
        flags = os.O_RDONLY | _BINARY
        is_pipe_path = str(path).startswith(_PIPE_PATHS)
        descriptor = os.open(path, flags if is_pipe_path else flags | _NONBLOCK)
        with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123  # it has been opened
            if not stat.S_ISREG(mode := os.fstat(descriptor).st_mode) and not is_pipe_path:
                raise StateFileError(path, f"it is {_kind(mode)}, not a file")
            yield file
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StateFileError(path, error.strerror or str(error)) from None
    except ValueError as error:  # an invalid name: a NUL, an unpaired surrogate
        raise StateFileError(path, str(error)) from None


def _kind(mode: int) -> str:
    for predicate, name in (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
    ):
        if predicate(mode):
            return name
    return "a device"


def read_bytes(path: Path, limit: int) -> bytes:
    """The content, if it has at most ``limit`` bytes. Raises like :func:`open_regular`."""
    with open_regular(path) as file:
        parts, size = [], 0
        while size <= limit and (part := file.read(min(limit + 1 - size, 1 << 20))):
            parts.append(part)
            size += len(part)
    if size > limit:
        raise StateFileError(path, f"it is larger than {limit:,} bytes")
    return b"".join(parts)


def read_text(path: Path, limit: int) -> str:
    """The content as UTF-8 text, without a byte order mark."""
    try:
        return read_bytes(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StateFileError(path, f"it is not UTF-8 text (byte {error.start})") from None


def read_json(path: Path, limit: int) -> Any:
    """The file's JSON value. Raises :class:`FileNotFoundError` and :class:`StateFileError`."""
    try:
        return parse_json(read_text(path, limit))
    except ValueError as error:
        raise StateFileError(path, str(error)) from None


def read_as(kind: TypeAdapter[T], path: Path, limit: int) -> T:
    """The file's JSON value, validated as ``kind``. Raises like :func:`read_json`."""
    value = read_json(path, limit)
    try:
        return validated(kind, value)
    except ValueError as error:
        raise StateFileError(path, str(error)) from None


def validated(kind: TypeAdapter[T], value: Any) -> T:
    """``value`` validated as ``kind``; :class:`ValueError` reports the first problem in one line."""
    try:
        return kind.validate_python(value)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"])[:80]
        shown = where if where.isprintable() else ascii(where)
        raise ValueError(f"{shown or 'it'}: {problem['msg']}") from None


def parse_json(text: str | bytes, *, mend: Callable[[Any], Any] | None = None) -> Any:
    """Strict JSON: finite numbers, valid Unicode, bounded nesting. :class:`ValueError` says what is wrong.

    ``mend``: applied to the value before the checks, to repair it.
    """
    try:
        value = json.loads(text, parse_constant=_reject_constant, parse_float=_finite, parse_int=_bounded_int)
        value = value if mend is None else mend(value)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 text (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    _check_values(value)
    return value


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is not JSON")


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"it holds {text[:40]}, which is out of range")
    return value


def _bounded_int(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"it holds a number of {len(text)} digits")
    return int(text)


def _check_values(value: Any) -> None:
    """Rejects values that the json module accepts but that fail later, when copied, printed or stored."""
    level = [value]
    for _ in range(_MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            if isinstance(item, str):
                _check_text(item)
            elif isinstance(item, dict):
                below += item.keys()
                below += item.values()
            elif isinstance(item, list):
                below += item
        if not below:
            return
        level = below
    raise ValueError("it is nested too deeply")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half a character (an unpaired surrogate)") from None
