"""Validated call options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from parlant_local.brief import Brief
from parlant_local.call_options.choosing import chosen_tools
from parlant_local.call_options.definitions import (
    OPTIONS,
    SAMPLING,
    ChatOptions,
    Priority,
    ReasoningChoice,
    SamplingOptions,
)
from parlant_local.call_options.option import NO_LIMIT, Option, Refused
from parlant_local.errors import BadRequestError
from parlant_local.messages import ResponseFormat, Tool, ToolChoice, as_tools, shown, whole_text

__all__ = ["ChatParams", "token_biases"]


@dataclass(frozen=True, slots=True, repr=False)
class ChatParams(Brief):
    """:class:`ChatOptions` validated and with ``None`` resolved to "not given"."""

    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    """Those that were given."""
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    logprobs: int | None = None
    n: int = 1
    response_format: ResponseFormat = ResponseFormat()
    grammar: str | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool = True
    reasoning: ReasoningChoice = "auto"
    reasoning_tokens: int | None = None
    continue_final: bool | None = None
    prefix_group: str | None = None
    session: str | None = None
    priority: Priority = "normal"
    deadline: float | None = None
    unlimited: bool = field(default=False, kw_only=True)
    """``max_tokens`` was -1: the context is the only limit."""

    @classmethod
    def of(cls, options: ChatOptions | Mapping[str, Any]) -> ChatParams:
        """Raises :class:`BadRequestError` naming an option that is unknown or out of its range."""
        if unknown := set(options) - set(OPTIONS):
            raise BadRequestError(
                f"Unknown option{'s' if len(unknown) > 1 else ''} {', '.join(sorted(unknown))}.",
                hint=f"Known: {', '.join(sorted(OPTIONS))}.",
            )
        given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
        unlimited = _is_minus_one(given.get("max_tokens"))
        checked = {
            name: found for name, value in given.items() if (found := _checked(OPTIONS[name], value)) is not None
        }
        if unlimited:
            del checked["max_tokens"]
        if "stop" in given:
            checked["stop"] = _stops(given["stop"])
        if "response_format" in given:
            form = checked["response_format"] = ResponseFormat.coerce(given["response_format"])
            if form.type != "text" and given.get("grammar"):
                raise BadRequestError("Give response_format or grammar, not both.")
        if not isinstance(tools := given.get("tools", ()), Iterable):
            raise BadRequestError(f"tools must be a list, not {shown(tools)}.")
        checked["tools"] = as_tools(tools)
        checked |= chosen_tools(given.get("tool_choice", "auto"), checked["tools"])
        sampling = {name: checked.pop(name) for name in SAMPLING if name in checked}
        return cls(**checked, sampling=sampling, unlimited=unlimited)  # type: ignore[arg-type]  # checked above

    def value_of(self, name: str) -> Any:
        """Of any option; ``None`` where it is not given."""
        return self.sampling.get(name) if name in SAMPLING else getattr(self, name)

    def check_fits(self, wire: Literal["openai", "ollama"], target: str) -> None:
        """Raises :class:`BadRequestError` where an option is given that ``target`` can't receive on this wire."""
        for name, option in OPTIONS.items():
            wire_form = getattr(option, wire)
            if isinstance(wire_form, Refused) and (value := self.value_of(name)) and value != option.neutral:
                raise BadRequestError(f"{target} takes no {name}.", hint=wire_form.hint)


def token_biases(given: Any) -> dict[int, float]:
    """A bias for each token; JSON has ids as texts. Raises :class:`BadRequestError`."""
    option = OPTIONS["logit_bias"]
    if not isinstance(given, Mapping):
        raise BadRequestError(f"logit_bias must map token ids to numbers, not be {shown(given)}.")
    return {_token(token): _number(option, bias) for token, bias in given.items()}


def _token(given: Any) -> int:
    try:
        token = int(given) if isinstance(given, int | str) else -1
    except ValueError:
        token = -1
    if not 0 <= token < NO_LIMIT:
        raise BadRequestError(f"logit_bias must name tokens by their ids, not {shown(given)}.")
    return token


def _checked(option: Option, value: Any) -> Any:
    """The normalised value; ``None`` where it counts as not given."""
    if option.name == "logit_bias":
        return token_biases(value)
    if option.bounded:
        if option.minus_one is not None and _is_minus_one(value):
            return option.resolved(value)
        number = _number(option, value)
        return number + (1 << 64) if option.name == "seed" and number < 0 else number  # reinterpreted as unsigned
    if option.choices and value not in option.choices:
        raise BadRequestError(f"{option.name} must be one of {', '.join(option.choices)}, not {shown(value)}.")
    if option.kind is bool and not isinstance(value, bool):
        raise BadRequestError(f"{option.name} must be true or false, not {shown(value)}.")
    if option.kind is str:
        if not isinstance(value, str):
            raise BadRequestError(f"{option.name} must be a string, not {shown(value)}.")
        return whole_text(value)
    return value


def _number(option: Option, value: Any) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise BadRequestError(f"{option.name} must be a number, not {shown(value)}.")
    if not option.low <= value <= option.high:
        raise BadRequestError(f"{option.name} must be {option.range}, not {shown(value)}.")
    if option.kind is not int:
        return float(value)
    if value != int(value):
        raise BadRequestError(f"{option.name} must be a whole number, not {value!r}.")
    return int(value)


def _is_minus_one(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and value == -1


def _stops(given: Any) -> tuple[str, ...]:
    stops = (given,) if isinstance(given, str) or not isinstance(given, Iterable) else tuple(given)
    if not all(isinstance(item, str) for item in stops) or len(stops) > 16:
        raise BadRequestError("stop must be a string or up to 16 strings.")
    return tuple(whole_text(item) for item in stops if item)
