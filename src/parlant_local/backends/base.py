"""The protocol that every backend implements."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias, Unpack

from parlant_local.backends.buffered import accept_truncated, reply_chunks
from parlant_local.backends.closing import close_blocking
from parlant_local.backends.handle import ModelHandle
from parlant_local.brief import Brief
from parlant_local.call_options import ChatOptions, ChatParams
from parlant_local.errors import UnsupportedCallError
from parlant_local.messages import ChatChunk, ChatReply, Message, MessageLike, Usage, as_messages, whole_text

__all__ = ["Backend", "ChatOptions", "ChatParams", "ChatStream", "EmbedReply", "ModelInfo", "RerankReply", "Text"]

ChatStream: TypeAlias = AsyncGenerator[ChatChunk, None]
Text: TypeAlias = str | Sequence[int]
"""Text, or the token ids of one for backends whose model is in this process."""


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
    """What a backend knows about its model; ``None`` where unknown."""

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
    path: Path | None = None
    """The model file, where it is on this machine."""
    loaded: bool = False
    remote: bool = False
    """Whether prompts leave this machine."""
    capabilities: frozenset[str] = frozenset()
    """Of: chat, schema, tools, reasoning, streaming, embed, rerank, complete."""
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)


class Backend(ModelHandle[ModelInfo]):
    """Something that answers calls. Every method may raise any :class:`ParlantLocalError`; cancelling the task cancels the work.

    A backend of one's own has :meth:`chat` and :meth:`model_info`; what it leaves out is done by these, or refused with
    :class:`UnsupportedCallError`.
    """

    @abstractmethod
    async def chat(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> ChatReply:
        """One whole answer. With a ``response_format`` of JSON its content validates, or an error is raised."""

    async def chat_stream(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> ChatStream:
        """The answer in pieces; the last one of each ``index`` has ``finish_reason`` and ``usage``. Closing it cancels."""
        for chunk in reply_chunks(await accept_truncated(self.chat(messages, **options))):
            yield chunk

    async def complete(self, prompt: Text, **options: Unpack[ChatOptions]) -> ChatReply:  # noqa: ARG002  # for subclasses
        """Text that continues ``prompt``, no chat template applied."""
        raise self.unsupported("complete raw text")

    async def complete_stream(self, prompt: Text, **options: Unpack[ChatOptions]) -> ChatStream:
        """:meth:`complete` in pieces, as :meth:`chat_stream` gives them."""
        for chunk in reply_chunks(await accept_truncated(self.complete(prompt, **options))):
            yield chunk

    async def embed(self, texts: Sequence[Text], *, truncate: bool = False) -> EmbedReply:  # noqa: ARG002  # for subclasses
        """A vector of each text. One that is too long is an error, unless cutting was asked for."""
        raise self.unsupported("embed")

    async def rerank(self, query: str, documents: Sequence[str]) -> RerankReply:  # noqa: ARG002  # for subclasses
        raise self.unsupported("rerank", hint="Use a reranker loaded here.")

    async def tokenize(self, text: str) -> list[int]:  # noqa: ARG002  # for subclasses
        """Token ids of ``text`` as typed: no BOS added, special tokens as text."""
        raise self.unsupported("return token ids", hint="Load the model here to tokenise with it.")

    async def count_tokens(self, text: str) -> int:
        """An estimate on the high side (three bytes a token), where the model's own tokeniser can't be asked."""
        return -(-len(text.encode()) // 3)

    @property
    def load_progress(self) -> float | None:
        """Share of the model that is loaded, None where that is not known or no load is in progress."""
        return None

    def close_now(self) -> None:
        """:meth:`close`, from synchronous code and at the end of the interpreter; blocks until it is done."""
        close_blocking(self.close)

    def unsupported(self, what: str, *, hint: str = "") -> UnsupportedCallError:
        """The error for a call that this backend does not support."""
        return UnsupportedCallError(f"{self.model_info().id} can't {what}.", hint=hint or "Use another model.")

    def as_messages(self, given: str | MessageLike | Iterable[MessageLike]) -> tuple[Message, ...]:
        """``given``, in the shape of any client. :class:`BadRequestError` for what this model has no way to read."""
        return as_messages(given)

    def as_text(self, given: Text) -> str:
        """``given``, where it is text; token ids mean nothing without the model's vocabulary."""
        if isinstance(given, str):
            return whole_text(given)
        raise self.unsupported("take token ids", hint="Give text, or load the model here.")
