"""Embedding and reranking, in batches between which generation steps run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np

from parlant_local.engine.embedding import EmbeddingContext, Embeddings, Reranking, normalise
from parlant_local.engine.loaded import LoadedEngine
from parlant_local.engine.outputs import keep_row, recall_row, text_key
from parlant_local.errors import ContextOverflowError

__all__ = ["embed", "rerank"]


async def embed(engine: LoadedEngine, texts: Sequence[str | Sequence[int]], *, truncate: bool = False) -> Embeddings:
    context = await engine.embedding()
    lists, cut = await asyncio.to_thread(context.tokens_of, texts, truncate=truncate)
    rows = await _rows(engine, context, lists)
    engine.recorder.embedded_texts += len(texts)
    return Embeddings(normalise(rows), tuple(len(tokens) for tokens in lists), tuple(cut))


async def rerank(engine: LoadedEngine, query: str, documents: Sequence[str]) -> Reranking:
    context = await engine.embedding()
    if context.pooling != "rank":
        result = await embed(engine, [query, *documents])
        scores = result.vectors[1:] @ result.vectors[0]
        return Reranking(tuple(float(score) for score in scores), sum(result.tokens))
    lists = await asyncio.to_thread(lambda: [context.pair(query, document) for document in documents])
    for index, tokens in enumerate(lists):
        if len(tokens) > context.max_tokens:
            raise ContextOverflowError(
                f"Document {index} with its query has {len(tokens)} tokens; {engine.model.path.name} allows "
                f"{context.max_tokens}.",
                needed=len(tokens),
                available=context.max_tokens,
                hint="Split the document.",
            )
    rows = await _pooled(engine, context, lists)
    return Reranking(tuple(float(row[0]) for row in rows), sum(len(tokens) for tokens in lists))


async def _rows(engine: LoadedEngine, context: EmbeddingContext, lists: list[list[int]]) -> Any:
    """Pooled rows; those of texts that were embedded before are taken from the engine's outputs."""
    outputs = engine.outputs
    if outputs is None:
        return await _pooled(engine, context, lists)
    keys = [text_key(tokens) for tokens in lists]
    kept = await asyncio.to_thread(lambda: [recall_row(outputs, key, context.dimensions) for key in keys])
    missing = [index for index, row in enumerate(kept) if row is None]
    computed = await _pooled(engine, context, [lists[index] for index in missing])
    for index, row in zip(missing, computed, strict=True):
        kept[index] = row
        keep_row(outputs, keys[index], row)
    return np.array(kept, dtype=np.float32).reshape(len(lists), context.dimensions)


async def _pooled(engine: LoadedEngine, context: EmbeddingContext, lists: list[list[int]]) -> Any:
    rows = np.empty((len(lists), context.dimensions), dtype=np.float32)
    for group in context.batches(lists):
        chosen = [lists[index] for index in group]
        rows[group] = await engine.pooled(context, chosen)
    return rows
