"""Embedding and reranking models, identified by name where their headers don't."""

from __future__ import annotations

from parlant_local.profiles.base import Family, KnownModel

KNOWN = (
    KnownModel("nomic-embed-text:latest", "nomic-ai/nomic-embed-text-v1.5-GGUF", 0.137, 0.084, 12, 0, 2048),
    KnownModel("bge-m3:latest", "gpustack/bge-m3-GGUF", 0.567, 0.438, 24, 0, 8192),
)

FAMILY = Family(
    "embedding", rank=-2, type="embedding", called=r"embed|\bbge\b|\be5\b|\bgte\b|rerank|minilm|jina-bert", known=KNOWN
)
