"""A model that takes its time to load, for tests of what is told meanwhile."""

from __future__ import annotations

import time

import pytest

from parlant_local.engine.loading import LoadControl

__all__ = ["SLOW_LOADING", "slow_loading"]

SLOW_LOADING = """
import time
from parlant_local.engine.loading import LoadControl
_on_progress = LoadControl.on_progress
def _slowly(control, progress):
    time.sleep(0.03)
    return _on_progress(control, progress)
LoadControl.on_progress = _slowly
"""
"""For a server's ``fault``."""


@pytest.fixture
def slow_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process."""
    on_progress = LoadControl.on_progress

    def slowly(control: LoadControl, progress: float) -> bool:
        time.sleep(0.03)
        return on_progress(control, progress)

    monkeypatch.setattr(LoadControl, "on_progress", slowly)
