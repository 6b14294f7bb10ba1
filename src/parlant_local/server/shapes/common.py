"""Parts that several requests share. ``null`` means absent everywhere; unknown keys are accepted."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler, with_config
from pydantic_core import CoreSchema
from typing_extensions import TypedDict

__all__ = ["TO_WHOLE", "ErrorBody", "Failure", "Listed", "Request"]

T = TypeVar("T")


class Request(BaseModel):
    """Strict: no conversion between numbers and strings."""

    model_config = ConfigDict(strict=True, extra="allow", use_attribute_docstrings=True, protected_namespaces=())


def _whole(value: Any) -> Any:
    """JSON has one number type: 3.0 is 3."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


TO_WHOLE = BeforeValidator(_whole)
"""Must follow the number's range: before it, the range would be missing from the API's description."""


class _FailFast:
    """pydantic's own ``FailFast`` is not hashable, and so can't be used in a union."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return {**handler(source), "fail_fast": True}


Listed = Annotated[list[T], _FailFast()]
"""A list that reports only its first invalid item: errors take more memory than their values."""


@with_config(ConfigDict(use_attribute_docstrings=True))
class Failure(TypedDict):
    message: str
    """What happened, and what to do."""
    type: str
    param: str | None
    code: str | None


@with_config(ConfigDict(use_attribute_docstrings=True))
class ErrorBody(TypedDict):
    """The format of every error."""

    error: Failure
    """What went wrong."""
