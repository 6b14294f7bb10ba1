"""What every backend does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Unpack, runtime_checkable

from parlant_local.brief import Brief
from parlant_local.call_options import ChatOptions, ChatParams
from parlant_local.messages import ChatChunk, ChatReply, MessageLike, Usage

__all__ = ["Backend", "ChatOptions", "ChatParams", "EmbedReply", "ModelInfo", "RerankReply"]


@dataclass(frozen=True, slots=True, repr=False)
class EmbedReply(Brief):
    """``vectors``: one per text, L2-normalised, each of ``dimensions`` floats."""

    vectors: tuple[tuple[float, ...], ...]
    dimensions: int
    model: str
    usage: Usage = Usage()
    truncated: tuple[int, ...] = ()
    """Indices of the texts that were cut, where cutting was asked for."""


@dataclass(frozen=True, slots=True, repr=False)
class RerankReply(Brief):
    """``scores``: one per document, higher is more relevant, in the order of the documents."""

    scores: tuple[float, ...]
    model: str
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True, repr=False)
class ModelInfo(Brief):
    """What a backend knows of its model; ``None`` where it can't know."""

    id: str
    name: str = ""
    architecture: str | None = None
    family: str | None = None
    parameters: int | None = None
    quantization: str | None = None
    n_ctx: int | None = None
    """Longest request, in tokens."""
    n_ctx_train: int | None = None
    n_gpu_layers: int | None = None
    embedding_length: int | None = None
    pooling: str | None = None
    chat_template: str | None = field(default=None, repr=False)
    memory_bytes: int | None = None
    """Weights, KV cache and compute buffers while loaded."""
    digest: str | None = None
    """sha256 of the model file, where it is known."""
    loaded: bool = False
    remote: bool = False
    """Whether prompts leave this machine."""
    capabilities: frozenset[str] = frozenset()
    """Of: chat, schema, tools, reasoning, streaming, embed, rerank, complete."""
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)


@runtime_checkable
class Backend(Protocol):
    """Something that answers calls. Every method may raise any :class:`ParlantLocalError`; cancelling the task cancels the work."""

    async def chat(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> ChatReply:
        """One whole answer. With a ``response_format`` of JSON its content validates, or an error is raised."""
        ...

    def chat_stream(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> AsyncIterator[ChatChunk]:
        """The answer in pieces; the last one has ``finish_reason`` and ``usage``. Closing the iterator cancels."""
        ...

    async def complete(self, prompt: str, **options: Unpack[ChatOptions]) -> ChatReply:
        """Text that continues ``prompt``, no chat template applied."""
        ...

    async def embed(self, texts: Sequence[str], *, truncate: bool = False) -> EmbedReply: ...

    async def rerank(self, query: str, documents: Sequence[str]) -> RerankReply: ...

    async def tokenize(self, text: str) -> list[int]:
        """Token ids of ``text`` as typed: no BOS added, special tokens as text."""
        ...

    async def count_tokens(self, text: str) -> int: ...

    def model_info(self) -> ModelInfo:
        """Never blocks and never loads anything."""
        ...

    async def close(self) -> None:
        """Idempotent; gives memory and connections back."""
        ...
