"""A template's tool-call syntax, as literals with placeholders: the basis of parsing, writing and constraining calls."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = [
    "ARGUMENTS",
    "CALLED",
    "HOLES",
    "ID",
    "INDEX",
    "KEY",
    "NAME",
    "Body",
    "CallSyntax",
    "JsonBody",
    "JsonCalls",
    "Kind",
    "TaggedBody",
    "kind_of",
]

# Private-use characters: placeholders in a literal for what differs from call to call.
NAME, KEY, ID, INDEX, ARGUMENTS = "\ue0a0", "\ue0a1", "\ue0a2", "\ue0a3", "\ue0a4"
CALLED = "\ue0a5"
"""The name of the call that ends there: some write it around its arguments."""
HOLES = NAME + KEY + ID + INDEX + ARGUMENTS + CALLED

_UNUSUAL = re.compile(r"[^\w\s.,;:!?'\"()/\-]|[^\w\s]{2,}|[A-Z]_|_[A-Z]")
_SIGN = re.compile(r"[>(\[{=|]+")
# One whole mark at the beginning of a literal.
_MARK = re.compile(r"<[^<>\s]+>|\[[^\[\]\s]+\]")

Kind = Literal["string", "number", "boolean", "null", "array", "object"]


def kind_of(value: Any) -> Kind:
    """The JSON type of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list | tuple) else "object"


@dataclass(frozen=True, slots=True)
class JsonCalls:
    """The call itself is a JSON object."""

    shape: str = f'{{"name": "{NAME}", "arguments": "{ARGUMENTS}"}}'
    """The object as JSON, with placeholders for what differs."""
    listed: bool = False
    """Whether the objects are in a list."""

    @property
    def by_name(self) -> bool:
        """Whether the name is a key, and the arguments its value."""
        return NAME in json.loads(self.shape)


@dataclass(frozen=True, slots=True)
class JsonBody:
    """Arguments as a JSON object after a name that is not JSON."""


@dataclass(frozen=True, slots=True)
class TaggedBody:
    """Each argument between marks of its own."""

    open: str
    """Before a key."""
    assign: Mapping[Kind, str]
    """Between a key and its value, by the value's type."""
    close: str
    """After a value; it may hold ``KEY``."""
    between: str = ""
    """Between two arguments."""
    quote: str = ""
    """Around strings; empty: strings are unquoted, up to ``close``."""
    wrap: tuple[str, str] = ("", "")
    """What the template puts around strings that contain marks (``<![CDATA[``)."""
    words: Mapping[str, str] = field(default_factory=lambda: {"true": "true", "false": "false", "null": "null"})
    """The spelling of JSON's literals."""
    nested: Literal["json", "python", "braces", "elements"] = "json"
    """How arrays and objects are written."""
    element: tuple[str, str, str] = ("<", ">", "</")
    """For elements: the text before a key, after it, and before it in the closing tag."""
    item: str = "item"
    """The key of an array's elements."""

    @property
    def typed(self) -> bool:
        """Whether the marks distinguish strings from other values."""
        return not self.quote and self.assign["string"] not in (self.assign["number"], self.assign["object"])


Body = JsonCalls | JsonBody | TaggedBody


@dataclass(frozen=True, slots=True)
class CallSyntax:
    """``first call again call … last``; each literal reaches to the arguments (or to the call, where it is JSON)."""

    first: str
    again: str | None
    """Between one call and the next, the next one's name included; None: the template supports a single call only."""
    last: str
    body: Body
    empty: str | None = None
    """From the name to the end of all calls where there are no arguments; None: as with arguments."""
    tail: str = ""
    """The text between the name and the arguments: the end of ``first`` and of ``again``."""
    index_base: int = 0
    """The first ``INDEX``."""
    ending: str = ""
    """What the template writes after calls at the end of a turn."""
    begun: str = ""
    """The part of ``first`` that the prompt already contains."""

    @property
    def opener(self) -> str:
        """The text that announces calls; empty where the name comes first."""
        literal = self.first
        for hole in (NAME, ID, INDEX):
            literal = literal.partition(hole)[0]
        literal = literal.strip()
        if isinstance(self.body, JsonCalls) and distinctive(bare := literal.removesuffix("[").rstrip()):
            literal = bare
        closed = _MARK.match(literal)
        if closed is not None and distinctive(closed[0]):
            return closed[0]
        head = ""
        for chunk in literal.split():
            head = literal[: literal.index(chunk, len(head)) + len(chunk)]
            if distinctive(head):
                return head
        return literal

    def opener_of(self, name: str) -> str:
        """The text by which a call of one tool is found, where its name belongs to a mark; else empty."""
        before, hole, behind = self.first.partition(NAME)
        sign = _SIGN.match(behind)
        if not hole or sign is None or any(other in before for other in HOLES):
            return ""
        opener = f"{before.lstrip()}{name}{sign[0]}"
        return opener if distinctive(opener) else ""

    @property
    def weak(self) -> bool:
        """Whether ordinary text could contain its opener, so that it only counts at the beginning of an answer."""
        return not distinctive(self.opener)


def distinctive(text: str) -> bool:
    """Whether a text is a mark that prose does not contain by chance: unusual symbols, several in a row, or a constant's name."""
    return len(text) >= 3 and _UNUSUAL.search(text) is not None
