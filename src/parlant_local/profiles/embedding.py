"""Embedding and reranking models, identified by name where their headers don't."""

from __future__ import annotations

import re
from dataclasses import dataclass

from parlant_local.profiles.base import Family, KnownModel

__all__ = ["EMBEDDERS", "FAMILY", "Embedder", "speaks_english_only"]

_ENGLISH_ONLY = re.compile(
    r"all-minilm|bge-(small|base|large)-en|(?<!multilingual-)e5-(small|base|large)(-v2)?\b|gte-(small|base|large)\b|"
    r"nomic-embed-text(?!-v2)|mxbai-embed-large-v1|snowflake-arctic-embed-[a-z]+\b"
)


def speaks_english_only(name: str) -> bool:
    return bool(_ENGLISH_ONLY.search(name.lower()))


@dataclass(frozen=True, slots=True)
class Embedder:
    """An embedding model to recommend."""

    name: str
    """For ``parlant-local pull``."""
    languages: str
    gb: float
    """Of the file, in GB (10^9 bytes), rounded."""
    dimensions: int
    context: int
    license: str
    prefixed: bool = False
    """Whether it was trained on texts with a prefix for what they are, which this package does not add."""

    @property
    def size(self) -> int:
        return int(self.gb * 1_000_000_000)


EMBEDDERS = (
    Embedder("all-minilm-l6-v2", "English", 0.035, 384, 512, "Apache-2.0"),
    Embedder("ggml-org/embeddinggemma-300M-GGUF:Q8_0", "over 100", 0.33, 768, 2048, "Gemma terms", prefixed=True),
    Embedder("nomic-ai/nomic-embed-text-v2-moe-GGUF:Q8_0", "about 100", 0.51, 768, 512, "Apache-2.0", prefixed=True),
    Embedder("Ralriki/multilingual-e5-large-instruct-GGUF:Q8_0", "about 100", 0.60, 1024, 512, "MIT", prefixed=True),
    Embedder("gpustack/bge-m3-GGUF:Q8_0", "over 100", 0.63, 1024, 8192, "MIT"),
    Embedder("Qwen/Qwen3-Embedding-0.6B-GGUF:Q8_0", "over 100", 0.64, 1024, 32768, "Apache-2.0", prefixed=True),
)

KNOWN = (
    KnownModel("nomic-embed-text:latest", "nomic-ai/nomic-embed-text-v1.5-GGUF", 0.137, 0.084, 12, 0, 2048),
    KnownModel("bge-m3:latest", "gpustack/bge-m3-GGUF", 0.567, 0.438, 24, 0, 8192),
)

FAMILY = Family(
    "embedding", rank=-2, type="embedding", called=r"embed|\bbge\b|\be5\b|\bgte\b|rerank|minilm|jina-bert", known=KNOWN
)
