"""Parts that several requests share. ``null`` means absent everywhere; keys that nobody knows are let pass."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["ErrorBody", "Request", "Whole"]


class Request(BaseModel):
    """Strict: numbers are numbers and texts are texts, as the schema says."""

    model_config = ConfigDict(strict=True, extra="allow", use_attribute_docstrings=True, protected_namespaces=())


def _whole(value: Any) -> Any:
    """JSON knows one kind of number: 3.0 is 3."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]


class Failure(BaseModel):
    message: str
    """What happened, and what to do."""
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(BaseModel):
    """Every failure looks like this."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    error: Failure = Field(description="What went wrong.")
