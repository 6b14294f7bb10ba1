"""Retrieval that keeps everything: each text is as near to each as can be.

Parlant offers a model the glossary terms and canned responses that are near to the conversation, by the embedder. An agent of
the examination has few enough to offer all of them, so that what is examined is the chat model, not the embedder beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Unpack

from parlant_local.backends.base import Backend, ChatOptions, EmbedReply, ModelInfo, Text
from parlant_local.messages import ChatReply, MessageLike

__all__ = ["EverythingIsNear"]

_VECTOR = (1.0, 0.0)
_INFO = ModelInfo(
    id="local/evaluation/everything-is-near",
    n_ctx=65_536,
    embedding_length=len(_VECTOR),
    pooling="none",
    loaded=True,
    capabilities=frozenset({"embed"}),
)


class EverythingIsNear(Backend):
    async def embed(self, texts: Sequence[Text], *, truncate: bool = False) -> EmbedReply:  # noqa: ARG002  # nothing is cut
        return EmbedReply(tuple(_VECTOR for _ in texts), len(_VECTOR), _INFO.id)

    async def chat(
        self,
        messages: str | MessageLike | Iterable[MessageLike],  # noqa: ARG002  # the protocol's own signature
        **options: Unpack[ChatOptions],  # noqa: ARG002  # as above
    ) -> ChatReply:
        raise self.unsupported("chat")

    def model_info(self) -> ModelInfo:
        return _INFO
