"""parlant-local: Parlant agents on models their owner controls.

Names are loaded on first use, so that ``import parlant_local`` stays light and opens nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from parlant_local._version import __version__
from parlant_local.errors import ParlantLocalError

if TYPE_CHECKING:
    from parlant_local.backends import Backend as Backend
    from parlant_local.backends import EmbedReply as EmbedReply
    from parlant_local.backends import ModelInfo as ModelInfo
    from parlant_local.backends import RerankReply as RerankReply
    from parlant_local.backends import create_backend as create_backend
    from parlant_local.backends.llama_cpp import LlamaCppBackend as LlamaCppBackend
    from parlant_local.backends.ollama import OllamaBackend as OllamaBackend
    from parlant_local.backends.openai import OpenAIBackend as OpenAIBackend
    from parlant_local.catalog import LocalModel as LocalModel
    from parlant_local.catalog import LocalModelManager as LocalModelManager
    from parlant_local.catalog import ModelSource as ModelSource
    from parlant_local.catalog import ModelType as ModelType
    from parlant_local.engine import LlamaEngine as LlamaEngine
    from parlant_local.factory import NLPServiceFactory as NLPServiceFactory
    from parlant_local.factory import nlp_service as nlp_service
    from parlant_local.messages import ChatChunk as ChatChunk
    from parlant_local.messages import ChatReply as ChatReply
    from parlant_local.messages import Message as Message
    from parlant_local.messages import ResponseFormat as ResponseFormat
    from parlant_local.messages import Tool as Tool
    from parlant_local.messages import ToolCall as ToolCall
    from parlant_local.messages import Usage as Usage
    from parlant_local.nlp import DeepSeekService as DeepSeekService
    from parlant_local.nlp import LlamaService as LlamaService
    from parlant_local.nlp import LocalNLPService as LocalNLPService
    from parlant_local.nlp import ModelSwitcher as ModelSwitcher
    from parlant_local.nlp import OllamaService as OllamaService
    from parlant_local.nlp import OpenAIService as OpenAIService
    from parlant_local.observability import ConsoleLogger as ConsoleLogger
    from parlant_local.settings import Settings as Settings

_HOMES = {
    "Backend": "parlant_local.backends",
    "ChatChunk": "parlant_local.messages",
    "ChatReply": "parlant_local.messages",
    "ConsoleLogger": "parlant_local.observability",
    "DeepSeekService": "parlant_local.nlp",
    "EmbedReply": "parlant_local.backends",
    "LlamaCppBackend": "parlant_local.backends.llama_cpp",
    "LlamaEngine": "parlant_local.engine",
    "LlamaService": "parlant_local.nlp",
    "LocalModel": "parlant_local.catalog",
    "LocalModelManager": "parlant_local.catalog",
    "LocalNLPService": "parlant_local.nlp",
    "Message": "parlant_local.messages",
    "ModelInfo": "parlant_local.backends",
    "ModelSource": "parlant_local.catalog",
    "ModelSwitcher": "parlant_local.nlp",
    "ModelType": "parlant_local.catalog",
    "NLPServiceFactory": "parlant_local.factory",
    "OllamaBackend": "parlant_local.backends.ollama",
    "OllamaService": "parlant_local.nlp",
    "OpenAIBackend": "parlant_local.backends.openai",
    "OpenAIService": "parlant_local.nlp",
    "RerankReply": "parlant_local.backends",
    "ResponseFormat": "parlant_local.messages",
    "Settings": "parlant_local.settings",
    "Tool": "parlant_local.messages",
    "ToolCall": "parlant_local.messages",
    "Usage": "parlant_local.messages",
    "create_backend": "parlant_local.backends",
    "nlp_service": "parlant_local.factory",
}

__all__ = [
    "Backend",
    "ChatChunk",
    "ChatReply",
    "ConsoleLogger",
    "DeepSeekService",
    "EmbedReply",
    "LlamaCppBackend",
    "LlamaEngine",
    "LlamaService",
    "LocalModel",
    "LocalModelManager",
    "LocalNLPService",
    "Message",
    "ModelInfo",
    "ModelSource",
    "ModelSwitcher",
    "ModelType",
    "NLPServiceFactory",
    "OllamaBackend",
    "OllamaService",
    "OpenAIBackend",
    "OpenAIService",
    "ParlantLocalError",
    "RerankReply",
    "ResponseFormat",
    "Settings",
    "Tool",
    "ToolCall",
    "Usage",
    "__version__",
    "create_backend",
    "nlp_service",
]


if not TYPE_CHECKING:  # a checker shall know a mistyped name

    def __getattr__(name: str) -> Any:
        if (home := _HOMES.get(name)) is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(home), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
