"""What a newcomer has: a home without anything in it."""

from __future__ import annotations

import tests.support.parlant_home  # noqa: F401
from tests.support.at_home import documented, home, settings, tiny, verb, written

__all__ = ["documented", "home", "settings", "tiny", "verb", "written"]
