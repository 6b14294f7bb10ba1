"""What holds for all tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No test asks a clock: a busy machine is not a failure.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

if sys.dont_write_bytecode:
    # An environment that wants none beside its sources. Without any, each process that a test starts compiles all that it imports:
    # a server takes twice as long to start, and so does Parlant.
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(Path(__file__).parents[1] / ".pytest_cache" / "bytecode")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # absent after `python -B`
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix


_LONG = {"agent", "catalog", "cli", "evaluation", "examples", "journeys", "nlp", "plugins", "portability", "server", "switching", "training"}  # fmt: skip
"""Folders whose tests start servers or wait for others."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: of several processes, none has one of them left when the others are done."""
    here = Path(__file__).parent
    items.sort(key=lambda item: item.path.relative_to(here).parts[0] not in _LONG)


def pytest_unconfigure() -> None:
    """llama_cpp opens two files when it is imported and closes neither: the interpreter's end would complain of them."""
    if (utils := sys.modules.get("llama_cpp._utils")) is not None:
        utils.outnull_file.close()
        utils.errnull_file.close()
