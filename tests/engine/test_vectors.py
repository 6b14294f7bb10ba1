"""Embeddings and relevance: the same in a batch as one by one, normalised, nothing cut in silence."""

from __future__ import annotations

import asyncio
import ctypes
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import PoolingType

from parlant_local.engine.context import Context
from parlant_local.engine.embedding import EmbeddingContext
from parlant_local.engine.native import library
from parlant_local.engine.requests import GenerationRequest
from parlant_local.errors import BadRequestError, ContextOverflowError, TextTooLongError
from tests.support import gguf_models

from .conftest import GENERATING, MakeEngine

_TEXTS = [" ".join("the quick brown fox jumps over lazy dog customer agent".split()[: 1 + i % 9]) for i in range(40)]


@pytest.mark.parametrize(
    ("name", "pooling"),
    [("bert", "mean"), ("bert-cls", "cls"), ("tiny", "mean"), *((name, "mean") for name in GENERATING)],
)
async def test_vectors_of_many_are_those_of_each(name: str, pooling: str, engine_of: MakeEngine) -> None:
    engine = engine_of(name)
    facts = await engine.embedding_facts()
    assert facts[0] == pooling
    many = await engine.embed(_TEXTS)
    assert many.vectors.shape == (40, facts[1])
    assert np.allclose(np.linalg.norm(many.vectors, axis=1), 1, atol=1e-5)
    for index in (0, 7, 39):
        one = await engine.embed([_TEXTS[index]])
        assert float(one.vectors[0] @ many.vectors[index]) > 0.999
        assert one.tokens[0] == many.tokens[index]
    assert float(many.vectors[0] @ many.vectors[8]) < 0.9999
    assert many.truncated == ()
    assert (await engine.embed([])).vectors.shape == (0, facts[1])
    assert np.isfinite((await engine.embed([""])).vectors).all()


async def test_a_text_that_is_too_long_is_an_error_unless_truncation_is_allowed_and_reported(
    engine_of: MakeEngine,
) -> None:
    engine = engine_of("bert")
    _, _, most = await engine.embedding_facts()
    long = "fox " * (most + 50)
    with pytest.raises(TextTooLongError) as refused:
        await engine.embed(["short", long])
    assert refused.value.needed > refused.value.available == most
    cut = await engine.embed(["short", long], truncate=True)
    assert cut.truncated == (1,)
    assert cut.tokens[1] == most
    same = await engine.embed(["fox " * (most - 2)])
    assert float(cut.vectors[1] @ same.vectors[0]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("pooling", [PoolingType.MEAN, PoolingType.LAST])
async def test_pooling_a_few_tokens_at_a_time_is_pooling_the_text(
    pooling: PoolingType, engine_of: MakeEngine, tmp_path: Path
) -> None:
    """Against llama.cpp's own pooling, in which a text has to fit one micro-batch."""
    path = gguf_models.llama(tmp_path / "m.gguf", tied=False, pooling=pooling)
    texts = [[5 + (7 * index + length) % 900 for index in range(length)] for length in (1, 2, 127, 128, 129, 300, 700)]
    engine = engine_of(path, flash_attention="off")
    found = (await engine.embed(texts)).vectors
    assert (await engine.embedding_facts())[0] == pooling.name.lower()
    for text, vector in zip(texts, found, strict=True):
        assert float(vector @ _pooled_by_llama(path, text)) > 0.9999


def _pooled_by_llama(path: Path, tokens: list[int]) -> Any:
    lib = library()
    model = lib.llama_model_load_from_file(bytes(path), lib.llama_model_default_params())
    params = lib.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = 1024
    params.embeddings, params.flash_attn_type = True, 0
    context = lib.llama_init_from_model(model, params)
    array = (ctypes.c_int32 * len(tokens))(*tokens)
    assert lib.llama_decode(context, lib.llama_batch_get_one(array, len(tokens))) == 0
    vector = np.ctypeslib.as_array(lib.llama_get_embeddings_seq(context, 0), shape=(64,)).copy()
    lib.llama_free(context)
    lib.llama_model_free(model)
    return vector / np.linalg.norm(vector)


async def test_a_cut_text_of_a_model_without_a_closing_token_is_its_beginning(engine_of: MakeEngine) -> None:
    engine = engine_of("llama", n_ctx=64)
    text = await engine.detokenize((await engine.tokenize("fox " * 80))[:64])
    cut = await engine.embed([text + " and more of it"], truncate=True)
    whole = await engine.embed([text])
    assert (cut.truncated, cut.tokens, whole.tokens) == ((0,), (64,), (64,))
    assert float(cut.vectors[0] @ whole.vectors[0]) == pytest.approx(1, abs=1e-5)


async def test_relevance_comes_from_a_cross_encoder_or_from_vectors(engine_of: MakeEngine) -> None:
    documents = ["the lazy dog", "customer agent guideline", "fox"]
    cross = engine_of("reranker")
    together = await cross.rerank("quick brown fox", documents)
    alone = [(await cross.rerank("quick brown fox", [document])).scores[0] for document in documents]
    assert together.scores == pytest.approx(alone, abs=1e-4)
    assert len(set(together.scores)) == 3
    assert (await cross.rerank("other agent", documents)).scores != together.scores
    with pytest.raises(ContextOverflowError, match="Document 1"):
        await cross.rerank("fox", ["dog", "dog " * 400])
    by_vectors = await engine_of("bert").rerank("fox", documents)
    assert int(np.argmax(by_vectors.scores)) == 2
    assert (await engine_of("bert").rerank("fox", [])).scores == ()


async def test_a_model_that_only_embeds_says_so(engine_of: MakeEngine) -> None:
    with pytest.raises(BadRequestError, match="does not generate"):
        await engine_of("bert").generate(GenerationRequest("x", 3))


async def test_generating_and_embedding_go_on_side_by_side(engine_of: MakeEngine, made: Callable[[str], Path]) -> None:
    engine = engine_of("llama", n_seq_max=2)
    expected = (await engine.generate(GenerationRequest("the quick", 20))).tokens
    vectors = (await engine.embed(_TEXTS)).vectors
    answers = await asyncio.gather(
        *(engine.generate(GenerationRequest("the quick", 20)) for _ in range(4)),
        *(engine.embed(_TEXTS) for _ in range(3)),
    )
    assert all(answer.tokens == expected for answer in answers[:4])  # type: ignore[union-attr]
    assert all(np.allclose(answer.vectors, vectors, atol=1e-4) for answer in answers[4:])  # type: ignore[union-attr]
    assert engine.stats().embedded_texts == 160


async def test_answers_go_on_between_the_batches_of_several_long_embeddings(
    engine_of: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of("llama", n_seq_max=2)
    await engine.embed(["ready"])
    order: list[str] = []
    decode, compute = Context.decode, EmbeddingContext.compute

    def decoding(self: Context, batch: Any) -> Any:
        order.append("step")
        return decode(self, batch)

    def computing(self: EmbeddingContext, lists: Any) -> Any:
        order.append("batch")
        return compute(self, lists)

    monkeypatch.setattr(Context, "decode", decoding)
    monkeypatch.setattr(EmbeddingContext, "compute", computing)
    texts = ["word " * 150] * 12  # each a batch of its own
    await asyncio.gather(
        engine.generate(GenerationRequest([7] * 40, 30)),
        *(engine.embed(texts) for _ in range(4)),
    )
    steps = [place for place, what in enumerate(order) if what == "step"]
    between = [later - earlier - 1 for earlier, later in itertools.pairwise(steps)]
    assert len(steps) > 20
    assert max(between) <= 1
