"""The base of every section: closed (unknown keys are errors) and immutable; its values can be used anywhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

__all__ = ["Section"]

_MAX_INTEGER = 2**53


class Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=(), allow_inf_nan=False
    )

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Only what is not the default, to keep a REPL readable."""
        for name, value in super().__repr_args__():
            if name is None or value != type(self).model_fields[name].get_default(call_default_factory=True):
                yield name, value

    @field_validator("*", mode="after")
    @classmethod
    def _usable(cls, value: Any) -> Any:
        """Rejects values that no system call or native library accepts here, where their origin is known."""
        if isinstance(value, str | os.PathLike) and "\0" in os.fspath(value):
            raise ValueError("it contains a NUL character")
        if isinstance(value, int) and not -_MAX_INTEGER <= value <= _MAX_INTEGER:
            raise ValueError(f"its magnitude exceeds {_MAX_INTEGER:,}")
        return value
