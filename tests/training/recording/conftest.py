"""Parlant in the tests, before anything of the trainer imports it."""

from __future__ import annotations

import tests.support.parlant_home  # noqa: F401
