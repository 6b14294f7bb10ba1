"""Strangers' patterns: what JSON Schema means by them, decided without going back."""

from __future__ import annotations

import contextlib
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parlant_local.engine.patterns import matches
from parlant_local.engine.requests import JsonSchema
from parlant_local.errors import SchemaError
from parlant_local.settings import ConstraintSettings
from tests.engine.conftest import TINY
from tests.support.dicing import Dice
from tests.support.hostile_schemas import HOSTILE_PATTERNS
from tests.support.watching import Watch

_BOUNDS = ConstraintSettings()


@pytest.mark.parametrize(
    ("pattern", "fitting", "other"),
    [
        ("b+", "abbc", "acc"),
        ("^a|b$", "xb", "xa"),
        ("^$", "", "a"),
        ("", "anything", None),
        ("a$", "ba", "a\n"),  # a line's end is not the text's
        ("^.$", "😀", "\n"),
        ("^[^a]$", "\n", "a"),
        ("^\\d$", "4", "٣"),
        ("^\\w$", "_", "é"),
        ("^\\s$", "\u00a0", "x"),
        ("^\\p{L}+$", "Äß", "1"),
        ("^\\p{Script=Greek}$", "λ", "l"),
        ("^[\\w.-]+@[\\w-]+\\.[a-z]{2,}$", "a.b@c-d.org", "a@b"),
        ("^(?:\\+49|0)[1-9][0-9]{1,14}$", "+4930123", "4930123"),
        ("^\\u00e9\\x41\\cJ$", "éA\n", "eA\n"),
        ("[[]", "[", "]"),
        ("^[a&&b]$", "&", "c"),
        ("^[]$", None, ""),
        ("^[^]$", "\n", ""),
        ("a{,3}", "a{,3}", "aaa"),
        ("{}", "{}", "x"),
        ("^[\\b]$", "\b", "b"),
        ("^\\/a\\-b$", "/a-b", "a-b"),
        ("\x7f", "a\x7f", "a"),
        ('"\\\\', '"\\', '"'),
        ("(?<year>\\d{4})", "in 2024", "in 202"),
        ("^(?=.*[A-Z])(?=.*\\d).{8,}$", "abcDefg1", "abcdefg1"),
        ("^(?!foo$)[a-z]+$", "food", "foo"),
        ("^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$", "-1.5", "+."),  # Pydantic's decimal number
        ("^(?!.*\\.\\.)[a-z.]+$", "a.b", "a..b"),
        ("x", "\ud800x", "\ud800"),
    ],
)
def test_a_pattern_means_what_json_schema_says(pattern: str, fitting: str | None, other: str | None) -> None:
    assert fitting is None or matches(pattern, fitting, _BOUNDS)
    assert other is None or not matches(pattern, other, _BOUNDS)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("a(?=b)", "lookaround"),
        ("^(?=a)b|c", "several alternatives"),
        ("(?<=a)b", "lookaround"),
        ("^a(?!b)", "lookaround"),
        ("(a)\\1", "backreference"),
        ("(?<n>a)\\k<n>", "backreference"),
        ("\\bword\\b", "boundary"),
        ("(", "group"),
        ("^(?=a", "group"),
        ("[a", "class"),
        ("a\\", "backslash"),
        ("*", "repetition"),
        ("\ud800", "surrogate"),
        ("a{99999}", "max_repeat"),
        ("a" * 3_000, "max_pattern"),
    ],
)
def test_what_cannot_be_decided_is_refused_by_name(pattern: str, reason: str) -> None:
    with pytest.raises(SchemaError, match=reason) as refused:
        matches(pattern, "a", _BOUNDS)
    assert refused.value.keyword == "pattern"


@pytest.mark.parametrize("pattern", HOSTILE_PATTERNS, ids=lambda pattern: ascii(pattern[:30]))
@pytest.mark.parametrize("text", ["a" * 50_000 + "!", "ab1 é" * 5_000, "x" * 20_000])
def test_hostile_patterns_are_decided_in_linear_time_or_refused(pattern: str, text: str) -> None:
    with Watch() as watch, contextlib.suppress(SchemaError):
        matches(pattern, text, _BOUNDS)
    assert not watch.kept_the_lock
    assert watch.grown < 256 * 1024 * 1024


_PIECES = st.sampled_from(
    ["a", "b", ".", "[ab]", "[^a]", "\\d", "(a|b)", "(ab)*", "a?", "b+", "a{1,3}", "(?:a|1)", "c{2}", "\\."]
)


@given(st.lists(_PIECES, max_size=6).map("".join), st.text("ab1c.\n", max_size=8), st.booleans(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_simple_patterns_agree_with_python(inner: str, text: str, begins: bool, ends: bool) -> None:
    pattern = "^" * begins + inner + "$" * ends
    assert matches(pattern, text, _BOUNDS) == bool(re.search(pattern.replace("$", "\\Z"), text))


def test_validation_and_decoding_agree() -> None:
    dice = Dice(TINY)
    for pattern, text in [("^a|b$", "xb"), ("^\\w+$", "é"), ("^[a&&b]+$", "&"), ("^.$", "\n"), ("a{,3}", "xa{,3}")]:
        assert dice.accepts(
            JsonSchema({"type": "string", "pattern": pattern}), json.dumps(text, ensure_ascii=False)
        ) == (matches(pattern, text, _BOUNDS))
    dice.close()
