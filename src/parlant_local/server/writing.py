"""Large responses, serialised in a thread and in slices, since one large json.dumps call holds the GIL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from types import GeneratorType
from typing import Any

from starlette.responses import JSONResponse, Response

__all__ = ["LARGE", "json_answer", "slices_of"]

LARGE = 2000
"""Responses with more values are written in a thread."""

_SLICE = 1000
_NESTED = frozenset({dict, list, tuple, GeneratorType, map})
_dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


async def json_answer(build: Callable[[], Mapping[str, Any]], size: int, status: int = 200) -> Response:
    """The response that ``build`` returns, with about ``size`` values. Generators (and ``map``) are written as lists."""
    if size < LARGE:
        return Response(b"".join(slices_of(build())), status, media_type=JSONResponse.media_type)
    written = await asyncio.to_thread(lambda: b"".join(slices_of(build())))
    return Response(written, status, media_type=JSONResponse.media_type)


def slices_of(value: Any) -> Iterator[bytes]:
    """The JSON of a value in slices."""
    if isinstance(value, dict) and not _is_flat(value):
        yield from _object(value)
    elif isinstance(value, list | tuple | GeneratorType | map):
        yield from _array(value)
    else:
        yield _dumps(value).encode()


def _is_flat(value: dict[str, Any]) -> bool:
    return _NESTED.isdisjoint(map(type, value.values()))


def _object(value: dict[str, Any]) -> Iterator[bytes]:
    mark = b"{"
    for key, item in value.items():
        yield mark + _dumps(key).encode() + b":"
        yield from slices_of(item)
        mark = b","
    yield b"}"


def _array(items: Iterable[Any]) -> Iterator[bytes]:
    mark = b"["
    left = iter(items)
    while batch := list(islice(left, _SLICE)):
        if all(type(item) not in _NESTED or (isinstance(item, dict) and _is_flat(item)) for item in batch):
            yield mark + _dumps(batch)[1:-1].encode()
        else:
            for item in batch:
                yield mark
                yield from slices_of(item)
                mark = b","
        mark = b","
    yield b"]" if mark == b"," else b"[]"
