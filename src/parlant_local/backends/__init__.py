"""One protocol over everything that answers chat and embedding calls: the engine here, a daemon, an endpoint."""

from __future__ import annotations

from parlant_local.backends.base import Backend, ChatOptions, ChatParams, ChatStream, EmbedReply, ModelInfo, RerankReply
from parlant_local.backends.registry import BACKENDS, create_backend
from parlant_local.backends.wrapper import WrapperBackend

__all__ = [
    "BACKENDS",
    "Backend",
    "ChatOptions",
    "ChatParams",
    "ChatStream",
    "EmbedReply",
    "ModelInfo",
    "RerankReply",
    "WrapperBackend",
    "create_backend",
]
