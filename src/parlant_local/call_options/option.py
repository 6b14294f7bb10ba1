"""What there is to say about one call option, and reading it from the annotations of a typed dictionary."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType, NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

__all__ = ["NO_LIMIT", "Built", "Option", "Place", "Refused", "Sent", "Unsent", "Wire", "options_of", "sampler"]

NO_LIMIT = 1 << 31  # more than anything has


@dataclass(frozen=True, slots=True)
class Sent:
    """Goes out as it is."""

    name: str = ""
    """Where it has another one there."""
    extension: bool = False
    """Not OpenAI's, but understood by vLLM, llama-server and their kin."""
    needed: bool = False
    """Whether it is never left out, even where an endpoint refuses it."""


@dataclass(frozen=True, slots=True)
class Built:
    """The wire's own code makes these fields of it."""

    fields: tuple[str, ...]
    extension: bool = False
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The call fails where it is given; ``hint`` says what to do instead."""

    hint: str = ""


@dataclass(frozen=True, slots=True)
class Unsent:
    """It stays here; ``why`` that loses nothing."""

    why: str


Wire = Sent | Built | Refused | Unsent

Place = Literal["derived", "own"]
"""Whether a place makes its field from the definition, or has code of its own for it."""


@dataclass(frozen=True, slots=True)
class Option:
    help: str
    low: float = -math.inf
    high: float = math.inf
    engine: tuple[float, float] | None = None
    """What the sampler itself takes, where that is more than what a call may ask."""
    neutral: float | None = None
    """The value that changes nothing."""
    minus_one: Literal["off", "random", "no limit"] | None = None
    """What -1 says, as many clients have it."""
    openai: Wire = field(kw_only=True)
    ollama: Wire = field(kw_only=True)
    http: Place | None = None
    """Fields of chats and completions over HTTP."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Further names over HTTP, and whose they are."""
    cli: Place | None = None
    flags: tuple[str, ...] = ()
    """Short forms on the command line."""
    metavar: str | None = None
    hint: bool = False
    """Whether Parlant may give it as a hint."""
    gguf: str = ""
    """The key below ``general.sampling`` with which a model's file recommends it."""
    name: str = ""
    kind: type | None = None
    """Of: float, int, bool, str; None: anything else, which code of its own looks at."""
    choices: tuple[str, ...] = ()
    several: bool = False
    """Whether it may be a list."""

    @property
    def bounded(self) -> bool:
        return self.kind in (float, int)

    @property
    def lowest(self) -> float:
        """The least number that may be written, conventions included."""
        return -1 if self.minus_one is not None and self.low > -1 else self.low

    @property
    def is_extension(self) -> bool:
        return isinstance(self.openai, Sent | Built) and self.openai.extension

    @property
    def is_needed(self) -> bool:
        return isinstance(self.openai, Sent | Built) and self.openai.needed

    @property
    def range(self) -> str:
        return _worded(self.low, self.high)

    @property
    def engine_range(self) -> str:
        return _worded(*(self.engine or (self.low, self.high)))

    def fields(self, wire: Literal["openai", "ollama"]) -> tuple[str, ...]:
        """What a request has of it."""
        way: Wire = getattr(self, wire)
        if isinstance(way, Built):
            return way.fields
        return (way.name or self.name,) if isinstance(way, Sent) else ()

    def settled(self, value: float) -> float | None:
        """-1 as what it says; ``None``: as if nothing were given."""
        if value != -1 or self.minus_one is None:
            return value
        return {"off": 0, "random": None, "no limit": NO_LIMIT}[self.minus_one]

    def fits_engine(self, value: float) -> bool:
        low, high = self.engine or (self.low, self.high)
        return math.isfinite(value) and low <= value <= high


def sampler(
    help: str,  # what it is everywhere else
    low: float,
    high: float,
    **more: Any,
) -> Option:
    """One more way to choose tokens: taken from everywhere, refused by Ollama, which would drop it in silence."""
    return Option(
        help,
        low,
        high,
        **{
            "openai": Sent(extension=True),
            "ollama": Refused("Ollama has no such option."),
            "http": "derived",
            "cli": "derived",
            "hint": True,
            **more,
        },
    )


def options_of(declared: type) -> Mapping[str, Option]:
    """The definitions in the annotations of a typed dictionary, with names and kinds."""
    hints = get_type_hints(declared, include_extras=True)
    return MappingProxyType({name: _defined(name, hint) for name, hint in hints.items()})


def _defined(name: str, hint: Any) -> Option:
    kind, option = get_args(hint)
    choices: tuple[str, ...] = ()
    kinds = [item for item in get_args(kind) or (kind,) if item is not NoneType]
    if len(kinds) == 1 and get_origin(kinds[0]) is Literal:
        choices = get_args(kinds[0])
    plain = kinds[0] if len(kinds) == 1 and kinds[0] in (float, int, bool, str) else None
    several = any(get_origin(item) is Sequence for item in kinds)
    found: Option = replace(option, name=name, kind=plain, choices=choices, several=several)
    return found


def _worded(low: float, high: float) -> str:
    if high >= NO_LIMIT:
        return f"at least {low:g}" if low > -math.inf else "a finite number"
    return f"between {low:g} and {high:g}"
