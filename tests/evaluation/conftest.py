"""Parlant in the tests, and a home without anything in it."""

from __future__ import annotations

import tests.support.parlant_home  # noqa: F401
from tests.support.at_home import home, settings, verb

__all__ = ["home", "settings", "verb"]
