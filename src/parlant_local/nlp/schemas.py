"""The type of a structured answer: its JSON schema, and the validation of an answer."""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

import typing_extensions
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from parlant_local.errors import InvalidOutputError, SchemaError

__all__ = ["AnswerType", "answer_type"]

T = TypeVar("T")


@dataclass(frozen=True)
class AnswerType(Generic[T]):
    """The schema and parser of one answer type."""

    name: str
    schema: Mapping[str, Any]
    """JSON schema, without the bounds that the constraint adds."""
    adapter: TypeAdapter[T]

    def parse(self, text: str) -> T:
        """``text`` as a value of the type; :class:`InvalidOutputError` names what does not fit."""
        try:
            return self.adapter.validate_json(text)
        except ValidationError as error:
            raise InvalidOutputError(f"The answer does not match {self.name}: {_explain(error)}.") from None


@lru_cache(maxsize=256)
def answer_type(wanted: Any) -> AnswerType[Any]:
    """For a Pydantic model, a TypedDict, ``dict``, ``typing.Dict[...]``, or anything else Pydantic can adapt.

    Raises :class:`SchemaError` for a type that has no JSON schema, or whose JSON is not an object.
    """
    name = getattr(wanted, "__name__", None) or str(wanted)
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(_adaptable(wanted))
        schema = adapter.json_schema()
    except (PydanticUserError, NameError, TypeError) as error:
        detail = " ".join(str(error).split())
        raise SchemaError(
            f"{name} can't be turned into a JSON schema: {detail[:300]}",
            hint="Use a Pydantic model, a TypedDict, or dict with str keys.",
        ) from None
    if _is_array(schema):
        raise SchemaError(f"{name} is not a JSON object.", hint="Wrap it in a model with one field.")
    return AnswerType(name=name, schema=schema, adapter=adapter)


def _is_array(schema: Mapping[str, Any]) -> bool:
    kind = schema.get("type")
    return isinstance(kind, str) and kind != "object"


def _adaptable(wanted: Any) -> Any:
    """``wanted``, with standard-library TypedDicts replaced where Pydantic refuses them (Python 3.11)."""
    if sys.version_info >= (3, 12):
        return wanted
    if isinstance(wanted, type) and issubclass(wanted, BaseModel):
        return wanted
    if is_typeddict(wanted):
        hints = get_type_hints(wanted, include_extras=True)
        fields: dict[str, Any] = {}
        for key, hint in hints.items():
            if get_origin(hint) in (typing_extensions.Required, typing_extensions.NotRequired):
                hint = get_args(hint)[0]
            inner = _adaptable(hint)
            fields[key] = inner if key in wanted.__required_keys__ else typing_extensions.NotRequired[inner]
        return typing_extensions.TypedDict(wanted.__name__, fields)  # type: ignore[operator]  # made at run time
    origin, arguments = get_origin(wanted), get_args(wanted)
    if not arguments or origin is typing_extensions.Literal:
        return wanted
    inner_types = tuple(_adaptable(argument) for argument in arguments)
    if inner_types == arguments:
        return wanted
    if origin in (Union, types.UnionType):
        return Union[inner_types]  # noqa: UP007  # made at run time
    return wanted.copy_with(inner_types) if hasattr(wanted, "copy_with") else origin[inner_types]


def _explain(error: ValidationError) -> str:
    # Places and rules only: the input is a customer's conversation.
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    shown = "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'the answer'}: {problem['msg']}"
        for problem in problems[:3]
    )
    return shown + (f"; and {len(problems) - 3} more" if len(problems) > 3 else "")
