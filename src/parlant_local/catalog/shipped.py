"""The model that comes with the package: a few megabytes that make the first command work with no network."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

from parlant_local.catalog.describe import describe
from parlant_local.catalog.records import LocalModel, ModelSource, ModelType

__all__ = ["SHIPPED_ID", "shipped_model"]

SHIPPED_ID = "local/llama/parlant-local-tiny"


@cache
def shipped_model() -> LocalModel | None:
    """Its record, digest and header checked once per process; None in an installation without it."""
    path = Path(str(files("parlant_local"))) / "models" / "parlant-local-tiny.gguf"
    if not path.is_file():
        return None
    return describe(path, source=ModelSource.SHIPPED, hash_files=True).having(
        id=SHIPPED_ID,
        vouched=True,
        name="parlant-local-tiny",
        type=ModelType.LLAMA,
        reason="Comes with parlant-local as a proof of life; its answers to long prompts make no sense.",
    )
