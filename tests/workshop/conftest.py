"""A catalogue of its own for every test."""

from __future__ import annotations

from pathlib import Path

import pytest

from parlant_local.catalog import LocalModelManager
from tests.support.at_home import home, verb

__all__ = ["home", "verb"]


@pytest.fixture
def manager(home: Path) -> LocalModelManager:
    return LocalModelManager()
