"""Profiles know nobody's settings."""

from __future__ import annotations

from tests.support.at_home import documented, home, settings, tiny, verb, written

__all__ = ["documented", "home", "settings", "tiny", "verb", "written"]
