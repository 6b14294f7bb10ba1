"""Embedders whose class names identify their model.

The host knows an embedder by its class alone: it resolves the class from its container, and keys its disk cache and its
vector collections by the class's name. So every embedding identity gets a class of its own, made once, and the one
instance is put into the container.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from parlant.core.nlp.embedding import BaseEmbedder, EmbeddingResult
from parlant.core.nlp.tokenization import EstimatingTokenizer
from typing_extensions import override

from parlant_local.backends.base import Backend, ModelInfo
from parlant_local.errors import EmbeddingIdentityError
from parlant_local.gguf_info import read_header, sha256_file
from parlant_local.messages import whole_text
from parlant_local.nlp.host import Host
from parlant_local.nlp.languages import LanguageWatch
from parlant_local.nlp.lexical import LEXICAL_VERSION, embed_lexically, lexical_token_count
from parlant_local.nlp.tokenizer import BackendTokenizer
from parlant_local.profiles.embedding import speaks_english_only

__all__ = ["EmbeddingIdentity", "LexicalEmbedder", "LocalEmbedder", "lexical_embedder", "model_embedder"]

_DEFAULT_TEXT_TOKENS = 512


@dataclass(frozen=True)
class EmbeddingIdentity:
    """What vectors depend on. Embedders with the same identity give the same vectors; vectors of different ones never mix."""

    digest: str
    """sha256 of the model file; of the model's name where the file is not accessible."""
    pooling: str
    dimensions: int

    @property
    def class_name(self) -> str:
        """Letters, digits and underscores, short enough for every vector store's collection names."""
        pooling = re.sub(r"[^a-z0-9]", "", self.pooling.lower()) or "model"
        return f"Embedder_{self.digest[:12]}_{pooling}_{self.dimensions}"


class _IdentifiedEmbedder(BaseEmbedder):
    """What both kinds share: the host's base class, and a cache without key collisions."""

    identity: ClassVar[EmbeddingIdentity]

    def __init__(self, host: Host, model_name: str, tokenizer: EstimatingTokenizer) -> None:
        super().__init__(**host.arguments_for(BaseEmbedder, model_name=model_name))
        self._tokenizer = tokenizer

    @property
    @override
    def id(self) -> str:
        return self.model_name

    @property
    @override
    def tokenizer(self) -> EstimatingTokenizer:
        return self._tokenizer

    @property
    @override
    def dimensions(self) -> int:
        return self.identity.dimensions

    @override
    def _compute_checksum(self, text: str) -> int:
        # The base keys its cache by crc32 alone, and two texts of one length do collide there.
        return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest(), "big")


class LocalEmbedder(_IdentifiedEmbedder):
    """Vectors of an embedding model. Subclasses made by :func:`model_embedder` carry an identity."""

    def __init__(self, host: Host, backend: Backend, *, truncate: bool, english_only: bool = False) -> None:
        super().__init__(host, backend.model_info().id, BackendTokenizer(backend))
        self._backend = backend
        self._truncate = truncate
        self._languages = LanguageWatch() if english_only else None

    @property
    @override
    def max_tokens(self) -> int:
        return self._backend.model_info().n_ctx or _DEFAULT_TEXT_TOKENS

    @override
    async def do_embed(self, texts: list[str], hints: Mapping[str, Any] = {}) -> EmbeddingResult:
        reply = await self._backend.embed([whole_text(text) for text in texts], truncate=self._truncate)
        if reply.dimensions != self.dimensions:
            raise EmbeddingIdentityError(
                f"{self.model_name} returned vectors of {reply.dimensions} dimensions instead of {self.dimensions}.",
                hint="Restart with a new index: the embedding model has changed.",
            )
        if reply.truncated:
            self.logger.warning(
                f"{len(reply.truncated)} of {len(texts)} texts were truncated to fit {self.model_name}."
            )
        if self._languages is not None and self._languages.sees_another_language(texts):
            self.logger.warning(
                f"Many texts are not English, but {self.model_name} knows English only: glossary terms, journeys and canned "
                "responses will often not be found. `parlant-local recommend --embeddings` names models for other languages."
            )
        return EmbeddingResult(vectors=[list(vector) for vector in reply.vectors])


class LexicalEmbedder(_IdentifiedEmbedder):
    """Hashed words and character n-grams; deterministic, no model. Subclasses carry their dimensions."""

    def __init__(self, host: Host) -> None:
        super().__init__(host, f"local/lexical-v{LEXICAL_VERSION}", _WordTokenizer())

    @property
    @override
    def max_tokens(self) -> int:
        return 8192

    @override
    async def do_embed(self, texts: list[str], hints: Mapping[str, Any] = {}) -> EmbeddingResult:
        return EmbeddingResult(vectors=[embed_lexically(text, self.dimensions) for text in texts])


class _WordTokenizer(EstimatingTokenizer):
    @override
    async def estimate_token_count(self, prompt: str) -> int:
        return max(lexical_token_count(prompt), 1) if prompt.strip() else 0


@cache
def _class_of(base: type[Any], name: str, identity: EmbeddingIdentity) -> type[Any]:
    return type(name, (base,), {"identity": identity, "__module__": __name__, "__qualname__": name})


def lexical_embedder(host: Host, dimensions: int) -> LexicalEmbedder:
    identity = EmbeddingIdentity(digest="lexical", pooling="none", dimensions=dimensions)
    cls = _class_of(LexicalEmbedder, f"LexicalEmbedder_v{LEXICAL_VERSION}_{dimensions}", identity)
    embedder: LexicalEmbedder = cls(host)
    return _registered(host, embedder)


async def model_embedder(host: Host, backend: Backend, *, truncate: bool) -> LocalEmbedder:
    """An embedder over ``backend``, which embeds one text where it does not report its dimensions."""
    info = backend.model_info()
    dimensions = info.embedding_length
    if dimensions is None or not info.loaded:
        dimensions = (await backend.embed(["dimensions"])).dimensions
        info = backend.model_info()
    identity = EmbeddingIdentity(
        digest=_hex(info.digest) or await _file_digest(info.path) or sha256(info.id.encode()).hexdigest(),
        pooling=info.pooling or "model",
        dimensions=dimensions,
    )
    cls = _class_of(LocalEmbedder, identity.class_name, identity)
    english_only = await asyncio.to_thread(_is_english_only, info)
    embedder: LocalEmbedder = cls(host, backend, truncate=truncate, english_only=english_only)
    return _registered(host, embedder)


async def _file_digest(path: Path | None) -> str:
    """For a file outside the catalogue: its name alone would not identify it."""
    return "" if path is None else await asyncio.to_thread(sha256_file, path)


def _is_english_only(info: ModelInfo) -> bool:
    """By what the file states, else by the names of well-known ones."""
    stated = read_header(info.path).metadata.get("general.languages") if info.path is not None else None
    return stated == ("en",) if isinstance(stated, tuple) else speaks_english_only(info.id)


def _hex(digest: str | None) -> str:
    return re.sub(r"[^0-9a-f]", "", (digest or "").lower().removeprefix("sha256:"))


E = TypeVar("E", bound=BaseEmbedder)


def _registered(host: Host, embedder: E) -> E:
    """``embedder``, or the one that the container already has for its class: built once, however often it is requested."""
    container, cls = host.container, type(embedder)
    if container is None:
        return embedder
    if cls in container.defined_types:
        existing: E = container[cls]
        return existing
    container[cls] = embedder
    return embedder
