"""Parlant in the tests, and a home without anything in it."""

from __future__ import annotations

import pytest

import tests.support.parlant_home  # noqa: F401
from tests.support.at_home import home, settings, verb
from tests.support.host_pauses import leave_out

__all__ = ["home", "settings", "verb"]


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_out(monkeypatch)
