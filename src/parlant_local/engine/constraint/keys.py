"""Keys of one JSON answer: an object must not repeat one, which no grammar can express."""

from __future__ import annotations

import json

__all__ = ["KeyGuard"]

_QUOTE, _BACKSLASH = 0x22, 0x5C


class KeyGuard:
    """Parses the answer byte by byte and records the keys of every open object."""

    def __init__(self) -> None:
        self._objects: list[set[str] | None] = []  # None: an array
        self._in_string = False
        self._escaped = False
        self._is_key = False
        self._expects_key = False
        self._key = bytearray()

    def feed(self, data: bytes) -> bool:
        """Advances by ``data``; True where it repeated a key."""
        repeated = False
        for byte in data:
            if self._in_string:
                repeated |= self._string_byte(byte)
            elif byte == _QUOTE:
                self._in_string, self._is_key = True, self._expects_key
                self._key.clear()
            elif byte == 0x7B:  # {
                self._objects.append(set())
                self._expects_key = True
            elif byte == 0x5B:  # [
                self._objects.append(None)
                self._expects_key = False
            elif byte in b"}]":
                if self._objects:
                    self._objects.pop()
                self._expects_key = False
            elif byte in b",:":
                self._expects_key = byte == 0x2C and bool(self._objects) and self._objects[-1] is not None
        return repeated

    def repeats(self, data: bytes) -> bool:
        """Whether ``data`` would complete a key that its object already has."""
        if _QUOTE not in data or not self._objects:
            return False
        probe = KeyGuard()
        probe._objects = [None if keys is None else set(keys) for keys in self._objects]
        probe._in_string, probe._escaped = self._in_string, self._escaped
        probe._is_key, probe._expects_key = self._is_key, self._expects_key
        probe._key = bytearray(self._key)
        return probe.feed(data)

    def _string_byte(self, byte: int) -> bool:
        if self._escaped:
            self._escaped = False
        elif byte == _BACKSLASH:
            self._escaped = True
        elif byte == _QUOTE:
            self._in_string = False
            return self._is_key and self._record(bytes(self._key))
        if self._is_key:
            self._key.append(byte)
        return False

    def _record(self, written: bytes) -> bool:
        keys = self._objects[-1] if self._objects else None
        if keys is None:
            return False
        try:
            key = str(json.loads(b'"' + written + b'"', strict=False))  # one key can be escaped in several ways
        except ValueError:
            key = written.decode("utf-8", "replace")
        if key in keys:
            return True
        keys.add(key)
        return False
