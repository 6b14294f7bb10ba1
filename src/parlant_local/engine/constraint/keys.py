"""Keys of one JSON answer: a dictionary must not say the same one twice, which no grammar can express."""

from __future__ import annotations

import json

__all__ = ["KeyGuard"]

_QUOTE, _BACKSLASH = 0x22, 0x5C


class KeyGuard:
    """Reads the answer byte by byte and remembers the keys of every object that is open."""

    def __init__(self) -> None:
        self._open: list[set[str] | None] = []  # None: an array
        self._in_string = False
        self._escaped = False
        self._is_key = False
        self._expects_key = False
        self._key = bytearray()

    def feed(self, data: bytes) -> bool:
        """Takes what the answer says next; whether it repeated a key."""
        repeated = False
        for byte in data:
            if self._in_string:
                repeated |= self._within_string(byte)
            elif byte == _QUOTE:
                self._in_string, self._is_key = True, self._expects_key
                self._key.clear()
            elif byte == 0x7B:  # {
                self._open.append(set())
                self._expects_key = True
            elif byte == 0x5B:  # [
                self._open.append(None)
                self._expects_key = False
            elif byte in b"}]":
                if self._open:
                    self._open.pop()
                self._expects_key = False
            elif byte in b",:":
                self._expects_key = byte == 0x2C and bool(self._open) and self._open[-1] is not None
        return repeated

    def repeats(self, data: bytes) -> bool:
        """Whether ``data`` would finish a key that its object already has."""
        if _QUOTE not in data or not self._open:
            return False
        trial = KeyGuard()
        trial._open = [None if keys is None else set(keys) for keys in self._open]
        trial._in_string, trial._escaped = self._in_string, self._escaped
        trial._is_key, trial._expects_key = self._is_key, self._expects_key
        trial._key = bytearray(self._key)
        return trial.feed(data)

    def _within_string(self, byte: int) -> bool:
        if self._escaped:
            self._escaped = False
        elif byte == _BACKSLASH:
            self._escaped = True
        elif byte == _QUOTE:
            self._in_string = False
            return self._is_key and self._note(bytes(self._key))
        if self._is_key:
            self._key.append(byte)
        return False

    def _note(self, written: bytes) -> bool:
        keys = self._open[-1] if self._open else None
        if keys is None:
            return False
        try:
            key = str(json.loads(b'"' + written + b'"', strict=False))  # the same key may be written in several ways
        except ValueError:
            key = written.decode("utf-8", "replace")
        if key in keys:
            return True
        keys.add(key)
        return False
