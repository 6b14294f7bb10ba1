"""Embedders as the host sees them: by class name."""

import random
import zlib
from itertools import product
from string import ascii_lowercase

import pytest
from parlant.core.nlp.embedding import EmbedderFactory

from parlant_local.backends.base import ModelInfo
from parlant_local.errors import EmbeddingIdentityError
from parlant_local.nlp import LocalNLPService
from parlant_local.settings import Settings
from tests.fakes.scripted import ScriptedBackend
from tests.support.host_container import container


def embedding_backend(digest: str = "cd" * 32, pooling: str = "mean", dimensions: int = 32) -> ScriptedBackend:
    info = ModelInfo(id="local/embedding/test", digest=digest, pooling=pooling, loaded=True, n_ctx=256)
    return ScriptedBackend(info=info, embed_dimensions=dimensions)


async def test_without_a_model_the_embedder_is_lexical_and_named_so() -> None:
    embedder = await LocalNLPService(ScriptedBackend()).get_embedder()
    assert type(embedder).__name__ == "LexicalEmbedder_v1_512"
    assert embedder.id == "local/lexical-v1"
    assert len((await embedder.embed(["hello"])).vectors[0]) == embedder.dimensions == 512


async def test_its_dimensions_are_a_setting_and_part_of_its_name() -> None:
    service = LocalNLPService(ScriptedBackend(), settings=Settings.load(None, **{"embedding.dimensions": 128}))
    embedder = await service.get_embedder()
    assert type(embedder).__name__ == "LexicalEmbedder_v1_128"
    assert len((await embedder.embed(["hello"])).vectors[0]) == 128


async def test_the_host_resolves_the_class_to_the_one_instance() -> None:
    host = container()
    service = LocalNLPService(ScriptedBackend(), embedding_backend=embedding_backend(), container=host)
    embedder = await service.get_embedder()
    assert EmbedderFactory(host).create_embedder(type(embedder)) is embedder
    assert await service.get_embedder() is embedder


async def test_two_services_in_one_container_share_the_class_of_one_identity() -> None:
    host = container()
    first = await LocalNLPService(ScriptedBackend(), container=host).get_embedder()
    second = await LocalNLPService(ScriptedBackend(), container=host).get_embedder()
    assert first is second


async def test_every_part_of_the_identity_changes_the_class_name() -> None:
    names = set()
    for digest, pooling, dimensions in product(("aa" * 32, "bb" * 32), ("mean", "cls"), (32, 64)):
        backend = embedding_backend(digest, pooling, dimensions)
        embedder = await LocalNLPService(ScriptedBackend(), embedding_backend=backend).get_embedder()
        names.add(type(embedder).__name__)
    assert len(names) == 8
    assert all(name.isidentifier() and len(name) <= 40 for name in names)


async def test_the_same_identity_has_the_same_class_in_another_service() -> None:
    first = await LocalNLPService(ScriptedBackend(), embedding_backend=embedding_backend()).get_embedder()
    second = await LocalNLPService(ScriptedBackend(), embedding_backend=embedding_backend()).get_embedder()
    assert type(first) is type(second)


async def test_a_model_that_changes_its_dimensions_is_refused_not_mixed_in() -> None:
    backend = embedding_backend()
    embedder = await LocalNLPService(ScriptedBackend(), embedding_backend=backend).get_embedder()
    backend.embed_dimensions = 64
    with pytest.raises(EmbeddingIdentityError, match="64"):
        await embedder.embed(["new text"])


def crc32_collision() -> tuple[str, str]:
    """Two texts of one length with one crc32: among 300,000 random ones there are about ten pairs."""
    source = random.Random(1)
    seen: dict[int, str] = {}
    for _ in range(300_000):
        text = "".join(source.choices(ascii_lowercase, k=12))
        other = seen.setdefault(zlib.crc32(text.encode()), text)
        if other != text:
            return text, other
    raise AssertionError("no collision found")


async def test_two_texts_that_collide_in_the_hosts_cache_keep_their_own_vectors() -> None:
    first, second = crc32_collision()
    assert zlib.crc32(first.encode()) == zlib.crc32(second.encode())
    assert len(first) == len(second)
    embedder = await LocalNLPService(ScriptedBackend()).get_embedder()
    one = (await embedder.embed([first])).vectors[0]
    two = (await embedder.embed([second])).vectors[0]
    assert list(one) != list(two)
    assert list((await embedder.embed([first])).vectors[0]) == list(one)


async def test_token_counts_are_never_zero_for_text_since_the_host_divides_by_them() -> None:
    service = LocalNLPService(ScriptedBackend(), embedding_backend=embedding_backend())
    for embedder in (await service.get_embedder(), await LocalNLPService(ScriptedBackend()).get_embedder()):
        assert await embedder.tokenizer.estimate_token_count("!?") >= 1
