"""Which family a model belongs to, by its header first and its name second."""

from __future__ import annotations

import re

from parlant_local.catalog.records import ModelType
from parlant_local.gguf_info import GGUFHeader
from parlant_local.profiles import families

__all__ = ["model_type", "type_by_name"]


def model_type(header: GGUFHeader, name: str = "") -> ModelType:
    """Family of a GGUF; ``name`` is another name of it (repository, file)."""
    if header.is_embedding:
        return ModelType.EMBEDDING
    by_name = type_by_name(f"{header.name} {name}")
    # Distillations keep the body of another family: a DeepSeek-R1-Distill-Llama behaves as a DeepSeek.
    if by_name in (ModelType.DEEPSEEK, ModelType.MISTRAL) and header.architecture in ("llama", "qwen2", "qwen3"):
        return by_name
    for family in families():
        if header.architecture.startswith(family.bodies):
            return ModelType(family.type)
    return ModelType.OTHER


def type_by_name(name: str) -> ModelType:
    """Family by name alone."""
    for family in families():
        if family.called and re.search(family.called, name, re.IGNORECASE):
            return ModelType(family.type)
    return ModelType.OTHER
