"""Verbs in this process and in one of their own."""

from __future__ import annotations

from tests.support.at_home import documented, home, settings, tiny, verb, written

__all__ = ["documented", "home", "settings", "tiny", "verb", "written"]
