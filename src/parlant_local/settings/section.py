"""The base of every section: closed (unknown keys are errors) and immutable; its values can be used anywhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

__all__ = ["Section"]

_LARGEST = 2**53


class Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=(), allow_inf_nan=False
    )

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """What is not the default: a session in a REPL stays readable."""
        for name, value in super().__repr_args__():
            if name is None or value != type(self).model_fields[name].get_default(call_default_factory=True):
                yield name, value

    @field_validator("*", mode="after")
    @classmethod
    def _usable(cls, value: Any) -> Any:
        """What no system call, native library or file takes is refused here, where its origin is known."""
        if isinstance(value, str | os.PathLike) and "\0" in os.fspath(value):
            raise ValueError("it holds a NUL")
        if isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
            raise ValueError(f"it lies beyond {_LARGEST:,}")
        return value
