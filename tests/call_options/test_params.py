"""One typed error names the option, the value and the range, whatever the option is."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import pytest

from parlant_local.call_options import OPTIONS, SAMPLING, ChatParams, Option
from parlant_local.call_options.option import NO_LIMIT
from parlant_local.errors import BadRequestError

from .samples import options_for, sample

BOUNDED = [option for option in OPTIONS.values() if option.bounded]


def _named(option: Option) -> str:
    return option.name


def _params(options: dict[str, Any]) -> ChatParams:
    return ChatParams.of(options)


def test_params_have_every_option() -> None:
    assert {item.name for item in fields(ChatParams)} == (OPTIONS.keys() - SAMPLING) | {"sampling", "unlimited"}


@pytest.mark.parametrize("option", OPTIONS.values(), ids=_named)
def test_a_value_is_taken_and_none_is_absent(option: Option) -> None:
    assert _params(options_for(option)).value_of(option.name) not in (None, (), option.neutral)
    assert _params({option.name: None}) == ChatParams()


@pytest.mark.parametrize("option", BOUNDED, ids=_named)
def test_numbers_end_where_their_range_does(option: Option) -> None:
    for value in (option.low, min(option.high, 1e300)):
        _params({option.name: int(value) if option.kind is int else value})
    beyond = [option.low - (3 if option.minus_one else 1), math.nan]
    if option.high < math.inf:
        beyond += [option.high * 1.001 + 1, math.inf, 10**5000]
    for value in beyond:
        with pytest.raises(BadRequestError, match=rf"^{option.name} must be (between|at least|a number)"):
            _params({option.name: value})
    for other in ("1", True, [1], {"a": 1}):
        with pytest.raises(BadRequestError, match=f"^{option.name} must be a number"):
            _params({option.name: other})
    if option.kind is int:
        with pytest.raises(BadRequestError, match=rf"^{option.name} must be a whole number, not 2.5"):
            _params({option.name: 2.5})


@pytest.mark.parametrize("option", [option for option in BOUNDED if option.minus_one], ids=_named)
def test_minus_one_means_what_the_definition_says(option: Option) -> None:
    for value in (-1, -1.0):
        params = _params({option.name: value})
        assert params.unlimited is (option.name == "max_tokens")
        wanted: dict[str | None, Any] = {"off": 0, "random": None, "no limit": NO_LIMIT}
        assert params.value_of(option.name) == (None if params.unlimited else wanted[option.minus_one])


@pytest.mark.parametrize(
    ("name", "value"),
    [(option.name, "sideways") for option in OPTIONS.values() if option.choices or option.kind is bool]
    + [(option.name, 7) for option in OPTIONS.values() if option.choices or option.kind in (bool, str)]
    + [("stop", 5), ("stop", [5]), ("stop", ["x"] * 17), ("logit_bias", 5), ("logit_bias", [1]), ("tools", 5)]
    + [("logit_bias", {token: 1}) for token in ("x", -1, 1.5, None, 1 << 40)]
    + [("logit_bias", {1: bias}) for bias in ("x", 101, -math.inf, math.nan, True)]
    + [("unlimited", True), ("sampling", {})],
)
def test_other_values_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(BadRequestError, match=name):
        _params({name: value})


def test_token_ids_may_be_strings_as_in_json() -> None:
    assert _params({"logit_bias": {"5": 1}}).sampling == {"logit_bias": {5: 1.0}}


def test_samples_change_something() -> None:
    assert all(sample(option) != option.neutral for option in OPTIONS.values())
