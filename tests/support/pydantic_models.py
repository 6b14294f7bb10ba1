"""Pydantic models drawn from the whole of its type system, so that whatever it prints as a schema is met."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import ipaddress
import itertools
import pathlib
import re
import uuid
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, Optional, TypeVar, Union

import annotated_types
import pydantic
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, RootModel, create_model
from typing_extensions import TypedDict

__all__ = ["pydantic_models"]

_numbers = itertools.count()


def _name(stem: str) -> str:
    return f"{stem}{next(_numbers)}"


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mixed(enum.Enum):
    ONE = 1
    TWO = "two"
    NONE = None


class Flagged(enum.StrEnum):
    ON = "on"


class Point(NamedTuple):
    x: int
    y: float = 0.0


@dataclasses.dataclass
class Plain:
    name: str
    tags: list[str] = dataclasses.field(default_factory=list)


@pydantic.dataclasses.dataclass
class Strict:
    size: Annotated[int, Field(ge=0, le=9)]


class Described(TypedDict):
    title: str
    note: NotRequired[int | None]


class Partial(TypedDict, total=False):
    a: int
    b: bool


class Tree(BaseModel):
    value: int = 0
    children: list[Tree] = []


class Chain(BaseModel):
    tail: Chain | None = None


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog", "wolf"] = "dog"
    good: bool = True


class Bird(BaseModel):
    kind: Literal["bird"]


class Names(RootModel[list[str]]):
    pass


class Scores(RootModel[dict[str, int]]):
    pass


T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    items: list[T]
    next: str | None = None


Pet = Annotated[Cat | Dog | Bird, Field(discriminator="kind")]
Nested = Annotated[Annotated[Cat | Dog, Field(discriminator="kind")] | Bird, Field(discriminator="kind")]
Json_ = Union[dict[str, "Json_"], list["Json_"], str, int, float, bool, None]  # noqa: UP007  # recursive by name

_KEYS: tuple[Any, ...] = (
    str,
    int,
    Colour,
    Level,
    Literal["a", "b"],
    uuid.UUID,
    dt.date,
    Annotated[str, Field(pattern="^[a-z]+$")],
)

_SIMPLE: tuple[Any, ...] = (
    int,
    float,
    bool,
    str,
    bytes,
    type(None),
    Any,
    object,
    dict,
    list,
    set,
    tuple,
    Colour,
    Level,
    Mixed,
    Flagged,
    Literal["x", "y"],
    Literal[1, "one", None, True],
    Literal[Colour.RED],
    complex,
    re.Pattern,
    pydantic.StrictInt,
    pydantic.StrictStr,
    pydantic.PositiveInt,
    pydantic.NegativeFloat,
    pydantic.NonNegativeInt,
    pydantic.FiniteFloat,
    Annotated[int, Field(gt=-5, lt=5)],
    Annotated[int, Field(ge=-(2**63), le=2**63 - 1)],
    Annotated[int, Field(multiple_of=7)],
    Annotated[float, Field(ge=0, le=1)],
    Annotated[float, Field(gt=0, lt=0.5)],
    Annotated[float, Field(multiple_of=0.5, ge=0, le=10)],
    Annotated[str, Field(min_length=2, max_length=9)],
    Annotated[str, Field(pattern=r"^[A-Z]{2}-\d{3}$")],
    Annotated[str, Field(pattern=r"^\+?[0-9 ()-]{3,20}$", max_length=12)],
    Annotated[str, pydantic.StringConstraints(strip_whitespace=True, to_lower=True)],
    Annotated[list[int], annotated_types.Len(1, 3)],
    Annotated[dict[str, int], Field(min_length=1, max_length=2)],
    Annotated[set[int], Field(min_length=1, max_length=4)],
    Tree,
    Chain,
    Pet,
    Nested,
    Cat | Dog,
    Names,
    Scores,
    Page[int],
    Page[Cat],
    Plain,
    Strict,
    Described,
    Partial,
    Point,
    tuple[()],
    pydantic.Json,
    pydantic.Json[list[int]],
    pydantic.JsonValue,
    pydantic.Base64Bytes,
    pydantic.Base64Str,
    pydantic.SecretStr,
    pydantic.SecretBytes,
    pydantic.ByteSize,
    pydantic.UUID4,
    pydantic.AnyUrl,
    pydantic.HttpUrl,
    pydantic.PostgresDsn,
    pydantic.IPvAnyAddress,
    pydantic.IPvAnyNetwork,
    pydantic.PastDate,
    pydantic.AwareDatetime,
    pydantic.NaiveDatetime,
    uuid.UUID,
    pathlib.Path,
    pydantic.FilePath,
    dt.date,
    dt.datetime,
    dt.time,
    dt.timedelta,
    Decimal,
    Annotated[Decimal, Field(max_digits=6, decimal_places=2, ge=0)],
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Interface,
    ipaddress.IPv6Network,
)


def _compound(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        inner.map(lambda kind: Optional[kind]),  # noqa: UP045  # made at run time
        inner.map(lambda kind: list[kind]),
        inner.map(lambda kind: Sequence[kind]),
        inner.map(lambda kind: Iterable[kind]),
        inner.map(lambda kind: deque[kind]),
        inner.map(lambda kind: tuple[kind, ...]),
        st.tuples(inner, inner).map(lambda kinds: tuple[kinds]),
        st.tuples(inner, inner).map(lambda kinds: Union[kinds]),  # noqa: UP007  # made at run time
        st.tuples(st.sampled_from(_KEYS), inner).map(lambda pair: dict[pair[0], pair[1]]),
        inner.map(lambda kind: Mapping[str, kind]),
        inner.map(lambda kind: Annotated[list[kind], Field(min_length=1, max_length=2)]),
        st.sampled_from([int, str, Colour, Literal["a", "b", "c"], float]).map(lambda kind: set[kind]),
        st.sampled_from([int, str, Level]).map(lambda kind: frozenset[kind]),
        st.lists(inner, min_size=1, max_size=3).map(
            lambda kinds: _model({f"f{n}": (kind, ...) for n, kind in enumerate(kinds)}, {})
        ),
    )


def _model(fields: dict[str, Any], config: dict[str, Any]) -> type[BaseModel]:
    made: type[BaseModel] = create_model(  # type: ignore[call-overload]  # fields made at run time
        _name("Drawn"), __config__=ConfigDict(arbitrary_types_allowed=False, **config), **fields
    )
    return made


_TYPES = st.recursive(st.sampled_from(_SIMPLE), _compound, max_leaves=5)
_DEFAULTS = st.sampled_from(["required", "none", "described"])
_CONFIGS = st.sampled_from(
    [{}, {"extra": "forbid"}, {"extra": "allow"}, {"title": "T", "json_schema_extra": {"x-more": 1, "examples": [{}]}}]
)


@st.composite
def pydantic_models(draw: st.DrawFn) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for place in range(draw(st.integers(1, 4))):
        kind, default = draw(_TYPES), draw(_DEFAULTS)
        match default:
            case "required":
                fields[f"field_{place}"] = (kind, ...)
            case "none":
                fields[f"field_{place}"] = (Optional[kind], None)  # noqa: UP045  # made at run time
            case _:
                fields[f"field_{place}"] = (
                    kind,
                    Field(alias=f"field {place}", description="why", examples=[1], deprecated=True, title="Field"),
                )
    return _model(fields, draw(_CONFIGS))
