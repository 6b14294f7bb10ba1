"""How long the other side asks to be left alone."""

from __future__ import annotations

from email.utils import formatdate
from types import SimpleNamespace

import pytest

from parlant_local.retry_after import retry_after


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2", 2.0),
        (" 1.5 ", 1.5),
        ("-3", 0.0),
        ("1m30s", 90.0),
        ("120ms", 0.12),
        ("7 s", 7.0),
        ("2000-01-01T00:00:00Z", 0.0),
        ("2026-99-01T00:00:00Z", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("soon", None),
        ("", None),
        ("Thu, 99 Foo 2026 10:00:00 GMT", None),
    ],
)
def test_what_is_no_time_is_none(value: str, expected: float | None) -> None:
    assert retry_after({"Retry-After": value}) == expected


def test_a_date_counts_from_the_answers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr("parlant_local.retry_after.time", SimpleNamespace(time=lambda: now))
    a_day_ago = now - 86_400
    headers = {"date": formatdate(a_day_ago, usegmt=True), "retry-after": formatdate(a_day_ago + 30, usegmt=True)}
    assert retry_after(headers) == 30
    assert retry_after({"retry-after": formatdate(now + 100, usegmt=True)}) == 100


def test_milliseconds_win() -> None:
    assert retry_after({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    assert retry_after({"retry-after-ms": "inf"}) is None
