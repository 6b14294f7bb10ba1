"""One protocol over everything that answers chat and embedding calls: the engine here, a daemon, an endpoint."""

from __future__ import annotations

from parlant_local.backends.base import Backend, ChatOptions, ChatParams, ChatStream, EmbedReply, ModelInfo, RerankReply
from parlant_local.backends.context import BackendContext
from parlant_local.backends.registry import BACKENDS, create_backend
from parlant_local.backends.structured import checked_apart
from parlant_local.backends.wrapper import WrapperBackend

__all__ = [
    "BACKENDS",
    "Backend",
    "BackendContext",
    "ChatOptions",
    "ChatParams",
    "ChatStream",
    "EmbedReply",
    "ModelInfo",
    "RerankReply",
    "WrapperBackend",
    "checked_apart",
    "create_backend",
]
