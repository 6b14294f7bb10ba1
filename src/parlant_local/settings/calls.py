"""How single kinds of Parlant's calls are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, get_args

from pydantic import AfterValidator, Field, create_model

from parlant_local.call_options import OPTIONS, Option
from parlant_local.call_options.option import NO_LIMIT
from parlant_local.settings.section import Section

__all__ = ["CALL_FAMILIES", "Arguments", "CallFamily", "CallLevers", "CallName", "CallSettings", "Reasons"]

CallFamily: TypeAlias = Literal["matching", "tools", "journeys", "canned", "replies", "setup"]
CALL_FAMILIES: tuple[CallFamily, ...] = get_args(CallFamily)
Reasons: TypeAlias = Literal["as_asked", "before", "after", "none", "quoted", "added"]
Arguments: TypeAlias = Literal["as_asked", "quoted"]


class CallLevers(Section):
    """What is not an option of the call itself."""

    examples: bool | None = None
    """Whether Parlant's prompts keep their few-shot examples; None: they do, where they fit, except with the bundled model, which was trained without."""

    reasons: Reasons | None = None
    """Where an answer gives its reasons: before each decision, after it, nowhere (they stay empty), or as_asked by Parlant, which is the default; quoted: each is what the customer said last, which costs no sampling; added: decisions that Parlant wants no reason for get one, too, which it does not read."""

    arguments: Arguments | None = None
    """What the text arguments of tools may be: anything, as_asked by Parlant, or quoted: words that the customer used, on end, up to six."""

    plain_letters: bool | None = None
    """Whether letters that Parlant writes as \\u00e9 are written as themselves in prompts, and in what answers repeat of them."""


def _field(option: Option) -> tuple[Any, Any]:
    kind: Any = Literal[option.choices] if option.choices else option.kind
    bounds: dict[str, Any] = {"ge": option.lowest, "le": option.high} if option.bounded else {}
    if option.high >= NO_LIMIT:
        bounds.pop("le", None)
    return kind | None, Field(default=None, description=option.help, **bounds)


if TYPE_CHECKING:
    CallSettings: TypeAlias = CallLevers
else:
    CallSettings = create_model(
        "CallSettings",
        __base__=CallLevers,
        **{
            name: _field(option)
            for name, option in OPTIONS.items()
            if option.hint and (option.choices or (option.bounded and not option.several))
        },
    )


def _known(name: str) -> str:
    if name.islower() and name != "all" and name not in CALL_FAMILIES:
        raise ValueError(f"it is none of all, {', '.join(CALL_FAMILIES)}, nor the name of a schema")
    return name


CallName: TypeAlias = Annotated[str, AfterValidator(_known)]
"""``all``, a family, or a schema's name."""
