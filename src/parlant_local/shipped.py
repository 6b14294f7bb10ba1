"""The model that comes with this package: its name, and where its files are."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

__all__ = ["SHIPPED_ID", "SHIPPED_NAME", "is_shipped", "shipped_file"]

SHIPPED_NAME = "parlant-local-tiny"
SHIPPED_ID = f"local/llama/{SHIPPED_NAME}"


def is_shipped(model_id: str) -> bool:
    return model_id.rpartition("/")[2] == SHIPPED_NAME


def shipped_file(suffix: str = ".gguf") -> Path:
    return Path(str(files("parlant_local"))) / "models" / f"{SHIPPED_NAME}{suffix}"
