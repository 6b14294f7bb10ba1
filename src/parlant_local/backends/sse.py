"""Server-sent events as endpoints really send them, one JSON value at a time.

Beyond the standard: events that no blank line ends, one value over several ``data`` lines or one value per line, bare
JSON lines, empty ``data``, a byte order mark, errors that only the event's name tells. Comments, pings and line ends of every kind are the standard's own.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from typing import Any

from parlant_local.errors import TransientError

__all__ = ["EventReader"]

_LINE_END = re.compile(rb"\r\n|\n|\r")
_MAX_BYTES = 64 * 2**20
"""Of one value; no chunk is that long."""
_MAX_PARTS = 1000


class EventReader:
    """Takes bytes, gives values. ``done``: the end marker arrived."""

    def __init__(self, target: str) -> None:
        self.done = False
        self._target = target
        self._rest = bytearray()
        """Of a line whose end has not come."""
        self._begun = False
        self._failed = False
        """Whether the present event calls itself an error."""
        self._value = ""
        self._parts = 0
        """Lines that the present value has so far."""

    def feed(self, data: bytes) -> list[Any]:
        held = self._rest.endswith(b"\r")
        self._rest += data
        if not self._begun and len(self._rest) >= len(BOM_UTF8):
            self._begun = True
            self._rest = self._rest.removeprefix(BOM_UTF8)
        if len(self._rest) + len(self._value) > _MAX_BYTES:
            raise TransientError(f"{self._target} sent an event of more than {_MAX_BYTES} bytes.")
        if not held and _LINE_END.search(data) is None:
            return []
        # A carriage return at the very end may be half of a line end.
        whole = bytes(self._rest[:-1] if self._rest.endswith(b"\r") else self._rest)
        *lines, last = _LINE_END.split(whole)
        self._rest = bytearray(last) + self._rest[len(whole) :]
        return self._values(lines)

    def finish(self) -> list[Any]:
        """What a last line without an end says."""
        line, self._rest = bytes(self._rest.rstrip(b"\r")), bytearray()
        return self._values([line])

    def whole(self, body: bytes) -> list[Any]:
        """Of a body that is JSON instead of events; nothing where it is not whole."""
        value = _parsed(body.decode("utf-8", "replace").strip())
        self.done = value is not None
        return [] if value is None else [value]

    def _values(self, lines: list[bytes]) -> list[Any]:
        found: list[Any] = []
        for line in lines:
            if self.done:
                break
            self._line(line.decode("utf-8", "replace"), found)
        return found

    def _line(self, line: str, found: list[Any]) -> None:
        if not line:
            self._end()
            return
        name, colon, value = line.partition(":")
        if line.lstrip()[:1] in ("{", "["):
            value = line
        elif name == "event":
            self._failed = value.strip().lower() == "error"
            return
        elif name != "data" or not colon:
            return  # a comment, or a field without meaning here
        value = value.strip()
        if value[:6].upper() == "[DONE]":
            self.done = True
        elif self._failed and value and value[:1] not in ("{", "[") and not self._value:
            found.append({"error": value})
        elif value:
            continues = self._value[:1] in ("{", "[")
            self._value, self._parts = (f"{self._value}\n{value}", self._parts + 1) if continues else (value, 1)
            if self._parts > _MAX_PARTS:
                raise TransientError(f"{self._target} sent an event of more than {_MAX_PARTS} lines.")
            if (whole := _parsed(self._value)) is not None:
                self._value = ""
                named = isinstance(whole, dict) and not whole.keys() & {"error", "errors", "choices"}
                found.append({"error": whole} if self._failed and named else whole)

    def _end(self) -> None:
        """An event that ends without being JSON: pings and greetings are words, what is cut is an error."""
        self._failed = False
        if self._value[:1] in ("{", "["):
            raise TransientError(f"{self._target} sent a response that does not match OpenAI's API.")
        self._value = ""


def _parsed(text: str) -> Any:
    if text[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
