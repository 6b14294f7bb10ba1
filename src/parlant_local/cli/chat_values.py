"""Sampling options set within a chat: read as on the command line, checked as in every call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from parlant_local.call_options import OPTIONS, ChatParams, Option
from parlant_local.errors import BadRequestError

__all__ = ["KNOWN", "described", "option_named", "option_value", "possible_values"]

KNOWN: Mapping[str, Option] = {name: option for name, option in OPTIONS.items() if option.cli == "derived"}
_WORDS: Mapping[str, bool] = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}


def option_named(name: str) -> Option:
    """``top_p`` or ``top-p``. Raises :class:`BadRequestError`."""
    if (option := KNOWN.get(name.replace("-", "_"))) is not None:
        return option
    near = [known for known in KNOWN if known.startswith(name)] or get_close_matches(name.replace("-", "_"), KNOWN, 1)
    raise BadRequestError(
        f"There is no option {name!r}.", hint=f"Did you mean {near[0]}?" if near else "/set lists the options."
    )


def option_value(option: Option, text: str) -> Any:
    """``text`` as a value of ``option``. Raises :class:`BadRequestError` for what a call would reject."""
    value: Any = [text] if option.several else text
    if option.kind is bool:
        if (value := _WORDS.get(text.lower())) is None:
            raise BadRequestError(f"{option.name} is on or off, not {text!r}.")
    elif option.kind in (int, float):
        try:
            value = option.kind(text)
        except ValueError:
            what = "a whole number" if option.kind is int else "a number"
            raise BadRequestError(f"{option.name} must be {what} ({option.range}), not {text!r}.") from None
    given: dict[str, Any] = {option.name: value}
    ChatParams.of(given)
    return value


def possible_values(option: Option) -> Iterable[str]:
    """For completion."""
    return option.choices or (("on", "off") if option.kind is bool else ())


def described(option: Option, value: Any) -> str:
    """One line: the option, its value, what it does."""
    shown = "default" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else value
    return f"{option.name:<20} {shown!s:<10} {option.help}"
