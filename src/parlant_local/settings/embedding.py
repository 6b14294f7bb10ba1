"""The embedding model for Parlant's vector stores."""

from __future__ import annotations

from pydantic import Field

from parlant_local.settings.section import Section

__all__ = ["LEXICAL", "EmbeddingSettings"]

LEXICAL = "lexical"
"""Instead of a model: shared words."""


class EmbeddingSettings(Section):
    model: str | None = None
    """A catalogue id, reference or GGUF path of an embedding model, or `lexical` for shared words without a model. None: `all-minilm-l6-v2` in a new Parlant home, if it is here, else `lexical`; a home keeps what it began with."""

    dimensions: int = Field(default=512, ge=64, le=8192)
    """Dimensions of the lexical embedder; models have their own."""

    truncate: bool = False
    """Truncate texts that are too long (with a warning in the log) instead of rejecting them."""
