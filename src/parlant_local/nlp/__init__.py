"""Parlant's NLP interfaces over any backend.

Names are loaded lazily: everything below imports Parlant, which the base install does not include.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parlant_local.nlp.deepseek import DeepSeekService as DeepSeekService
    from parlant_local.nlp.llama import LlamaService as LlamaService
    from parlant_local.nlp.ollama import OllamaService as OllamaService
    from parlant_local.nlp.openai import OpenAIService as OpenAIService
    from parlant_local.nlp.service import LocalNLPService as LocalNLPService
    from parlant_local.nlp.switcher import ModelSwitcher as ModelSwitcher

_MODULES = {
    "DeepSeekService": "parlant_local.nlp.deepseek",
    "LlamaService": "parlant_local.nlp.llama",
    "LocalNLPService": "parlant_local.nlp.service",
    "ModelSwitcher": "parlant_local.nlp.switcher",
    "OllamaService": "parlant_local.nlp.ollama",
    "OpenAIService": "parlant_local.nlp.openai",
}

__all__ = [
    "DeepSeekService",
    "LlamaService",
    "LocalNLPService",
    "ModelSwitcher",
    "OllamaService",
    "OpenAIService",
]


def __getattr__(name: str) -> Any:
    if (module := _MODULES.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("parlant", "lagom"):
            raise ImportError(f"{name} needs Parlant. Install it with: pip install 'parlant-local[parlant]'") from error
        raise
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
