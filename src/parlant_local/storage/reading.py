"""Reading a file whose content nobody vouches for: of bounded size, regular, UTF-8, plain JSON. Never hangs on a FIFO."""

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
_NO_WAITING = getattr(os, "O_NONBLOCK", 0)  # without it, opening a FIFO waits for a writer
_STREAMS = ("/dev/fd/", "/proc/self/fd/", "/dev/stdin")  # what a shell makes of <(command) and of a pipe


@contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """The open file; folders, pipes and devices are refused without waiting for them.

    Raises :class:`FileNotFoundError`, and :class:`StateFileError` for every other trouble, also while it is read.
    """
    try:
        flags = os.O_RDONLY | _BINARY
        named_pipe_is_meant = str(path).startswith(_STREAMS)
        descriptor = os.open(path, flags if named_pipe_is_meant else flags | _NO_WAITING)
        with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123  # it has been opened
            if not stat.S_ISREG(mode := os.fstat(descriptor).st_mode) and not named_pipe_is_meant:
                raise StateFileError(path, f"it is {_kind(mode)}, not a file")
            yield file
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StateFileError(path, error.strerror or str(error)) from None
    except ValueError as error:  # a name that no file system has: a NUL, an unpaired surrogate
        raise StateFileError(path, str(error)) from None


def _kind(mode: int) -> str:
    for is_one, name in (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
    ):
        if is_one(mode):
            return name
    return "a device"


def read_bytes(path: Path, limit: int) -> bytes:
    """The content, if it is no longer than ``limit`` bytes. Raises as :func:`open_regular` does."""
    with open_regular(path) as file:
        parts, size = [], 0
        while size <= limit and (part := file.read(min(limit + 1 - size, 1 << 20))):
            parts.append(part)
            size += len(part)
    if size > limit:
        raise StateFileError(path, f"it is larger than {limit:,} bytes")
    return b"".join(parts)


def read_text(path: Path, limit: int) -> str:
    """The same as UTF-8 text (a byte order mark is left out)."""
    try:
        return read_bytes(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StateFileError(path, f"it is not UTF-8 text (byte {error.start})") from None


def read_json(path: Path, limit: int) -> Any:
    """The JSON value in it. Raises :class:`FileNotFoundError` and :class:`StateFileError`."""
    try:
        return parse_json(read_text(path, limit))
    except ValueError as error:
        raise StateFileError(path, str(error)) from None


def read_as(kind: TypeAdapter[T], path: Path, limit: int) -> T:
    """What stands in it, if it is a value of this kind. Raises as :func:`read_json` does."""
    value = read_json(path, limit)
    try:
        return validated(kind, value)
    except ValueError as error:
        raise StateFileError(path, str(error)) from None


def validated(kind: TypeAdapter[T], value: Any) -> T:
    """``value`` as one of ``kind``; :class:`ValueError` says in one line what is wrong first."""
    try:
        return kind.validate_python(value)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"])[:80]
        shown = where if where.isprintable() else ascii(where)
        raise ValueError(f"{shown or 'it'}: {problem['msg']}") from None


def parse_json(text: str | bytes, *, mend: Callable[[Any], Any] | None = None) -> Any:
    """Plain JSON: finite numbers, whole characters, no absurd nesting. :class:`ValueError` says what is wrong.

    ``mend``: is given the value first, to make it so.
    """
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_float=_finite, parse_int=_short)
        value = value if mend is None else mend(value)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 text (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    _check_plain(value)
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is no JSON")


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"it holds {text[:40]}, which no number is large enough for")
    return value


def _short(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"it holds a number of {len(text)} digits")
    return int(text)


def _check_plain(value: Any) -> None:
    """What json lets through, and what would fail later, in whoever copies, prints or stores it."""
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
    raise ValueError("it is nested too deep")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half a character (an unpaired surrogate)") from None
