"""A model that takes its time to load, for tests of what is told meanwhile: code for a server's ``fault``."""

from __future__ import annotations

__all__ = ["SLOW_LOADING"]

SLOW_LOADING = """
import time
from parlant_local.engine.loading import LoadControl
_on_progress = LoadControl.on_progress
def _slowly(control, progress):
    time.sleep(0.03)
    return _on_progress(control, progress)
LoadControl.on_progress = _slowly
"""
