"""Common prefixes and suffixes of renderings, without splitting a mark."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["after_shared", "find_json", "shared_end", "shared_start", "tidy_end", "tidy_start"]

_OPENERS = {"<": ">", "[": "]"}
_OPEN_MARK = re.compile(r"<[^<>\s]*$|\[/?[A-Za-z_]+$")
_CLOSE_MARK = re.compile(r"[^<>\s\[]*>|[A-Za-z_]+\]")


def shared_start(one: str, other: str) -> int:
    """Length of the common prefix."""
    length = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        length += 1
    return length


def shared_end(one: str, other: str) -> int:
    """Length of the common suffix."""
    return shared_start(one[::-1], other[::-1])


def tidy_end(text: str, following: str = "") -> str:
    """``text`` without a trailing mark or word that continues in ``following``."""
    cut = _OPEN_MARK.search(text)
    if cut is not None and not (cut[0].startswith("[") and not following[:1].isalpha() and following[:1] not in "_]"):
        return text[: cut.start()]
    if text and following and _word(text[-1]) and _word(following[0]):
        text = re.sub(r"\w+$", "", text)
    return text


def tidy_start(text: str, before: str = "") -> str:
    """``text`` without the leading rest of a mark or word that began in ``before``."""
    if (re.search(r"<[^<>\s]*$", before) and (rest := re.match(r"[^<>\s]*>", text))) or (
        re.search(r"\[/?[A-Za-z_]*$", before) and (rest := re.match(r"[A-Za-z_]+\]", text))
    ):
        text = text[rest.end() :]
    elif before and text and _word(before[-1]) and _word(text[0]):
        text = re.sub(r"^\w+", "", text)
    return text


def _word(character: str) -> bool:
    return character.isalnum() or character == "_"


def after_shared(text: str, other: str) -> str:
    """``text`` after its common prefix with ``other``; a mark in which they diverge is included."""
    length = shared_start(text, other)
    return text[len(tidy_end(text[:length], text[length : length + 1])) :]


def find_json(text: str, wanted: Any, start: int = 0) -> tuple[int, int] | None:
    """The position of ``wanted`` as JSON: an object, or a string that encodes it."""
    decoder = json.JSONDecoder()
    for found in re.finditer(r'[{"]', text[start:]):
        at = start + found.start()
        try:
            value, end = decoder.raw_decode(text, at)
            if isinstance(value, str):
                value = json.loads(value)
        except (ValueError, RecursionError):
            continue
        if value == wanted:
            return at, end
    return None
