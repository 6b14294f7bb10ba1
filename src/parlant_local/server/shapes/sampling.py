"""Fields of chats and completions that are derived from the call options."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, create_model

from parlant_local.call_options import OPTIONS, Option
from parlant_local.server.shapes.common import TO_WHOLE, Request

__all__ = ["asked_options", "with_option_fields"]

M = TypeVar("M", bound=Request)

_DERIVED = {name: option for name, option in OPTIONS.items() if option.http == "derived"}


def with_option_fields(model: type[M]) -> type[M]:
    """The model with a field for each option and each of its aliases."""
    fields: Any = {
        name: (_kind(option), Field(default=None, description=description))
        for option in _DERIVED.values()
        for name, description in {option.name: option.help, **option.aliases}.items()
    }
    return create_model(model.__name__, __base__=model, __module__=model.__module__, __doc__=model.__doc__, **fields)


def asked_options(request: Request) -> dict[str, Any]:
    """The values of these options in a request, under their own names."""
    found: dict[str, Any] = {}
    for option in _DERIVED.values():
        given = (getattr(request, name) for name in (option.name, *option.aliases))
        if (value := next((value for value in given if value is not None), None)) is not None:
            found[option.name] = value
    return found


def _kind(option: Option) -> Any:
    if option.choices:
        return Literal[option.choices] | None
    if option.kind is float:
        return Annotated[float, Field(ge=option.lowest, le=option.high)] | None
    assert option.kind is int
    return Annotated[int, Field(ge=int(option.lowest), le=int(option.high)), TO_WHOLE] | None
