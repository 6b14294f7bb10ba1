"""The model catalogue and downloads. Importing it opens nothing; network libraries load with the first download."""

from __future__ import annotations

from parlant_local.catalog.manager import LocalModelManager
from parlant_local.catalog.records import LocalModel, Making, ModelFile, ModelSource, ModelState, ModelType
from parlant_local.catalog.transfer import DownloadProgress

__all__ = [
    "DownloadProgress",
    "LocalModel",
    "LocalModelManager",
    "Making",
    "ModelFile",
    "ModelSource",
    "ModelState",
    "ModelType",
]
