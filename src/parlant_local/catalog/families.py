"""Which family a model belongs to, told by its header first and its name second."""

from __future__ import annotations

import re

from parlant_local.catalog.records import ModelType
from parlant_local.gguf_info import GGUFHeader

__all__ = ["model_type", "type_by_name"]

# Architectures whose name says the family; llama is the body of many, so there the name decides.
_ARCHITECTURES: tuple[tuple[str, ModelType], ...] = (
    ("deepseek", ModelType.DEEPSEEK),
    ("qwen", ModelType.QWEN),
    ("gemma", ModelType.GEMMA),
    ("phi", ModelType.PHI),
    ("mistral", ModelType.MISTRAL),
    ("llama", ModelType.LLAMA),
)

_NAMES: tuple[tuple[str, ModelType], ...] = (
    (r"embed|\bbge\b|\be5\b|\bgte\b|rerank|minilm|jina-bert", ModelType.EMBEDDING),
    (r"deepseek", ModelType.DEEPSEEK),
    (r"mistral|mixtral|ministral|codestral|devstral|magistral|mathstral|pixtral", ModelType.MISTRAL),
    (r"qwen|\bqwq\b", ModelType.QWEN),
    (r"gemma", ModelType.GEMMA),
    (r"\bphi\b|\bphi[-_]?\d", ModelType.PHI),
    (r"llama", ModelType.LLAMA),
)


def model_type(header: GGUFHeader, name: str = "") -> ModelType:
    """Family of a GGUF; ``name`` is what else it is called (repository, file)."""
    if header.is_embedding:
        return ModelType.EMBEDDING
    by_name = type_by_name(f"{header.name} {name}")
    # Distillations keep the body of another family: a DeepSeek-R1-Distill-Llama behaves as a DeepSeek.
    if by_name in (ModelType.DEEPSEEK, ModelType.MISTRAL) and header.architecture in ("llama", "qwen2", "qwen3"):
        return by_name
    for prefix, family in _ARCHITECTURES:
        if header.architecture.startswith(prefix):
            return family
    return ModelType.OTHER


def type_by_name(name: str) -> ModelType:
    """Family as far as a name tells."""
    for pattern, family in _NAMES:
        if re.search(pattern, name, re.IGNORECASE):
            return family
    return ModelType.OTHER
