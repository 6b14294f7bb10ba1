"""One protocol over everything that answers chat and embedding calls: the engine here, a daemon, an endpoint."""

from __future__ import annotations

from parlant_local.backends.base import Backend, ChatOptions, ChatParams, EmbedReply, ModelInfo, RerankReply
from parlant_local.backends.registry import BACKENDS, create_backend

__all__ = [
    "BACKENDS",
    "Backend",
    "ChatOptions",
    "ChatParams",
    "EmbedReply",
    "ModelInfo",
    "RerankReply",
    "create_backend",
]
