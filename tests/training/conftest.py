"""The shipped model, asked straight through llama.cpp: what it promises must not depend on the engine of this package."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "src" / "parlant_local" / "models"


def _asking() -> ModuleType:
    """`training/ask.py`, by its path: `training` is no part of the package."""
    spec = importlib.util.spec_from_file_location("training_ask", ROOT / "training" / "ask.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def model_path() -> Path:
    return MODELS / "parlant-local-tiny.gguf"


@pytest.fixture(scope="session")
def promised() -> dict[str, Any]:
    return json.loads((MODELS / "parlant-local-tiny.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def asker(model_path: Path) -> Iterator[Any]:
    with _asking().Asker(model_path, n_ctx=8192) as opened:
        yield opened


@pytest.fixture(scope="session")
def wide_asker(model_path: Path) -> Iterator[Any]:
    """With the longest context the model declares."""
    with _asking().Asker(model_path, n_ctx=32_768) as opened:
        yield opened
