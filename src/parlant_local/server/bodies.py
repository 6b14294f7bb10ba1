"""JSON bodies: measured before they are parsed, so that a small body never becomes gigabytes of objects."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Callable, Coroutine, Iterator
from itertools import accumulate
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response

from parlant_local.errors import RequestRefusedError
from parlant_local.messages import whole_value
from parlant_local.server.counting import check_counts
from parlant_local.server.ignored import HEADER
from parlant_local.server.problems import Problem, problem_of
from parlant_local.settings import LimitSettings

__all__ = ["BodyRoute", "UnreadableBody", "read_json"]

_THREAD_BYTES = 32 * 1024  # bytes; larger bodies are parsed in a thread
_CONTAINER = 4  # values that a list or an object counts as
_SURROGATE = re.compile(r"\\u[dD][89abAB-fF]")
_STEPS = bytes.maketrans(b"[{]}", bytes([2, 2, 0, 0]))
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))


class UnreadableBody(HTTPException):
    """An HTTPException, since FastAPI replaces other errors of reading a body."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.status, problem.message)
        self.problem = problem


class BodyRoute(APIRoute):
    """A route whose JSON is parsed by :func:`read_json`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            bounded = _BoundedRequest(request.scope, request.receive)
            response = await handle(bounded)
            if ignored := getattr(bounded.state, "ignored", None):
                response.headers[HEADER] = ", ".join(ignored)
            return response

        return handler


class _BoundedRequest(Request):
    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            limits: LimitSettings = self.app.state.context.settings.limits
            try:
                self._json = await self._read(limits)
            except RequestRefusedError as refused:
                raise UnreadableBody(problem_of(refused)) from None
        return self._json

    async def _read(self, limits: LimitSettings) -> Any:
        if self.headers.get("content-encoding", "identity").lower() != "identity":
            raise RequestRefusedError(
                415, "Compressed bodies are not supported: send the JSON uncompressed.", code="unsupported_encoding"
            )
        data = await self.body()
        if len(data) < _THREAD_BYTES:
            return read_json(data, limits)
        return await asyncio.to_thread(read_json, data, limits)


def read_json(data: bytes, limits: LimitSettings) -> Any:
    """The value of a JSON text: finite numbers, unpaired surrogates replaced, lists counted.

    Raises :class:`RequestRefusedError` naming the exceeded limit or the syntax error.
    """
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise RequestRefusedError(400, "The body is not UTF-8.", code="invalid_json") from None
    _measure(data, limits)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise RequestRefusedError(
            400, f"The body is not JSON: {error.msg} at character {error.pos}.", code="invalid_json"
        ) from None
    except ValueError:  # Python's own limit on digits
        raise RequestRefusedError(400, "A number in the body has too many digits.", code="invalid_json") from None
    if _SURROGATE.search(text):
        value = whole_value(value)
    check_counts(value, limits)
    _measure_arguments(value, limits)
    return value


def _measure_arguments(body: Any, limits: LimitSettings) -> None:
    """Bounds JSON in strings: templates get the arguments of earlier calls as parsed values."""
    if not isinstance(body, dict):
        return
    items = body.get("input")  # of a response; elsewhere texts or token ids
    items = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else None
    data = [text.encode() for text in _argument_texts([body.get("messages"), items])]
    if data:
        _check_values(b",".join(data), limits)


def _argument_texts(messages: Any) -> Iterator[str]:
    """The arguments of calls in every client's format, at any depth."""
    left = [messages]
    while left:
        value = left.pop()
        for key, item in value.items() if isinstance(value, dict) else ():
            if isinstance(item, str):
                if key in _ARGUMENTS:
                    yield item
            else:
                left.append(item)
        if isinstance(value, list):
            left += value


_ARGUMENTS = frozenset({"arguments", "args", "input"})


def _measure(data: bytes, limits: LimitSettings) -> None:
    """Bounds the values and the depth of a JSON text before it is parsed: brackets and commas outside its strings."""
    brackets = _check_values(data, limits)
    if len(brackets) > limits.body_depth:
        depth = max(accumulate(step - 1 for step in brackets.translate(_STEPS)))
        if depth > limits.body_depth:
            raise RequestRefusedError(
                400,
                f"The body is nested {depth} levels deep; {limits.body_depth} are allowed (limits.body_depth).",
                code="body_too_deep",
            )


def _check_values(data: bytes, limits: LimitSettings) -> bytes:
    """The brackets outside strings."""
    bare = data.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in data else data
    # Each value has at most one key, and each of both at most two quotes.
    if bare.count(b'"') > 4 * limits.body_values:
        raise _too_many(limits)
    outside = b"".join(bare.split(b'"')[::2])
    brackets = outside.translate(None, _NO_BRACKETS)
    if outside.count(b",") + 1 + _CONTAINER * len(brackets) // 2 > limits.body_values:
        raise _too_many(limits)
    return brackets


def _too_many(limits: LimitSettings) -> RequestRefusedError:
    return RequestRefusedError(
        400,
        f"The body has more than {limits.body_values} values, lists and objects counted as {_CONTAINER} (limits.body_values).",
        code="too_many_values",
    )


def _finite(digits: str) -> float:
    if not math.isfinite(value := float(digits)):
        raise RequestRefusedError(400, "A number in the body is too large.", code="invalid_json")
    return value


def _no_number(word: str) -> float:
    raise RequestRefusedError(400, f"{word} is not JSON.", code="invalid_json")


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_no_number)
