"""The model that comes with this package: its name, and where its files are."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

__all__ = ["SHIPPED_ID", "SHIPPED_NAME", "is_shipped", "shipped_file", "shipped_text"]

SHIPPED_NAME = "parlant-local-tiny"
SHIPPED_ID = f"local/llama/{SHIPPED_NAME}"


def is_shipped(model_id: str) -> bool:
    """With adapters on it or without."""
    return model_id.rpartition("/")[2].partition(":")[0] == SHIPPED_NAME


def shipped_file(suffix: str = ".gguf") -> Path:
    return Path(str(files("parlant_local"))) / "models" / f"{SHIPPED_NAME}{suffix}"


def shipped_text() -> str:
    """The text that models are measured on where no other is named: the examination's agents and conversations."""
    folder = Path(str(files("parlant_local"))) / "evaluation" / "cases"
    return "\n".join(path.read_text("utf-8") for path in sorted(folder.glob("*.yml")))
