"""Which models exist, and how they get here. Importing it opens nothing; network libraries load with the first download."""

from __future__ import annotations

from parlant_local.catalog.manager import LocalModelManager
from parlant_local.catalog.records import LocalModel, ModelFile, ModelSource, ModelState, ModelType

__all__ = ["LocalModel", "LocalModelManager", "ModelFile", "ModelSource", "ModelState", "ModelType"]
