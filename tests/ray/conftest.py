"""Parlant in the tests."""

from __future__ import annotations

import tests.support.parlant_home  # noqa: F401
