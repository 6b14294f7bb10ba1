"""The definition of a call option, read from the annotations of a typed dictionary."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType, NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

__all__ = ["NO_LIMIT", "Built", "Option", "Place", "Refused", "Sent", "Unsent", "Wire", "options_of", "sampler"]

NO_LIMIT = 1 << 31  # beyond any real limit


@dataclass(frozen=True, slots=True)
class Sent:
    """Sent unchanged."""

    name: str = ""
    """Its name on that wire, if it differs."""
    extension: bool = False
    """Not part of OpenAI's API, but supported by vLLM, llama-server and similar servers."""
    needed: bool = False
    """Whether it is never omitted, even where an endpoint rejects it."""


@dataclass(frozen=True, slots=True)
class Built:
    """Converted to these fields by the wire's own code."""

    fields: tuple[str, ...]
    extension: bool = False
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """A call with it fails; ``hint`` says what to do instead."""

    hint: str = ""


@dataclass(frozen=True, slots=True)
class Unsent:
    """Not sent; ``why`` says why that loses nothing."""

    why: str


Wire = Sent | Built | Refused | Unsent

Place = Literal["derived", "own"]
"""Whether an interface derives its field from the definition, or has its own code for it."""


@dataclass(frozen=True, slots=True)
class Option:
    help: str
    low: float = -math.inf
    high: float = math.inf
    engine: tuple[float, float] | None = None
    """The sampler's own range, where it is wider than a call's."""
    neutral: float | None = None
    """The value without effect."""
    minus_one: Literal["off", "random", "no limit"] | None = None
    """The meaning of -1, as in many clients."""
    openai: Wire = field(kw_only=True)
    ollama: Wire = field(kw_only=True)
    http: Place | None = None
    """Fields of chat and completion requests over HTTP."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Further names over HTTP, and their origin."""
    cli: Place | None = None
    flags: tuple[str, ...] = ()
    """Short forms on the command line."""
    metavar: str | None = None
    hint: bool = False
    """Whether Parlant may pass it as a hint."""
    gguf: str = ""
    """The key under ``general.sampling`` with the GGUF's recommendation."""
    name: str = ""
    kind: type | None = None
    """One of float, int, bool, str; None: anything else, validated by its own code."""
    choices: tuple[str, ...] = ()
    several: bool = False
    """Whether it may be a list."""

    @property
    def bounded(self) -> bool:
        return self.kind in (float, int)

    @property
    def lowest(self) -> float:
        """The lowest number accepted, conventions such as -1 included."""
        return -1 if self.minus_one is not None and self.low > -1 else self.low

    @property
    def is_extension(self) -> bool:
        return isinstance(self.openai, Sent | Built) and self.openai.extension

    @property
    def is_needed(self) -> bool:
        return isinstance(self.openai, Sent | Built) and self.openai.needed

    @property
    def range(self) -> str:
        return _range_text(self.low, self.high)

    @property
    def engine_range(self) -> str:
        return _range_text(*(self.engine or (self.low, self.high)))

    def fields(self, wire: Literal["openai", "ollama"]) -> tuple[str, ...]:
        """The request fields that carry it."""
        wire_form: Wire = getattr(self, wire)
        if isinstance(wire_form, Built):
            return wire_form.fields
        return (wire_form.name or self.name,) if isinstance(wire_form, Sent) else ()

    def resolved(self, value: float) -> float | None:
        """-1 replaced by its meaning; ``None``: as if not given."""
        if value != -1 or self.minus_one is None:
            return value
        return {"off": 0, "random": None, "no limit": NO_LIMIT}[self.minus_one]

    def fits_engine(self, value: float) -> bool:
        low, high = self.engine or (self.low, self.high)
        return math.isfinite(value) and low <= value <= high


def sampler(
    help: str,  # the name it has everywhere
    low: float,
    high: float,
    **more: Any,
) -> Option:
    """A sampler option: accepted by every interface, refused for Ollama, which would silently ignore it."""
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


def _range_text(low: float, high: float) -> str:
    if high >= NO_LIMIT:
        return f"at least {low:g}" if low > -math.inf else "a finite number"
    return f"between {low:g} and {high:g}"
