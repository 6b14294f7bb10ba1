"""The bundled model: a few megabytes, so that the first command works offline."""

from __future__ import annotations

from functools import cache

from parlant_local.catalog.describe import describe
from parlant_local.catalog.records import LocalModel, ModelSource, ModelType
from parlant_local.shipped import SHIPPED_ID, SHIPPED_NAME, shipped_file

__all__ = ["shipped_model"]


@cache
def shipped_model() -> LocalModel | None:
    """Its record, digest and header checked once per process; None in an installation without it."""
    path = shipped_file()
    if not path.is_file():
        return None
    return describe(path, source=ModelSource.SHIPPED, hash_files=True).having(
        id=SHIPPED_ID,
        vouched=True,
        name=SHIPPED_NAME,
        type=ModelType.LLAMA,
        reason="Bundled with parlant-local for demonstration; it serves simple agents in short English conversations, and no customers.",
    )
