"""Parts that several requests share. ``null`` means absent everywhere; keys that nobody knows are let pass."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler, with_config
from pydantic_core import CoreSchema
from typing_extensions import TypedDict

__all__ = ["TO_WHOLE", "ErrorBody", "Failure", "Listed", "Request"]

T = TypeVar("T")


class Request(BaseModel):
    """Strict: numbers are numbers and texts are texts, as the schema says."""

    model_config = ConfigDict(strict=True, extra="allow", use_attribute_docstrings=True, protected_namespaces=())


def _whole(value: Any) -> Any:
    """JSON knows one kind of number: 3.0 is 3."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


TO_WHOLE = BeforeValidator(_whole)
"""Stands behind the range of its number: in front of it, the range would be missing in the API's description."""


class _FirstFailure:
    """pydantic's own ``FailFast`` can't be hashed, and so stands in no union."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return {**handler(source), "fail_fast": True}


Listed = Annotated[list[T], _FirstFailure()]
"""A list whose first wrong item is told: errors take more room than what they are about."""


@with_config(ConfigDict(use_attribute_docstrings=True))
class Failure(TypedDict):
    message: str
    """What happened, and what to do."""
    type: str
    param: str | None
    code: str | None


@with_config(ConfigDict(use_attribute_docstrings=True))
class ErrorBody(TypedDict):
    """Every failure looks like this."""

    error: Failure
    """What went wrong."""
