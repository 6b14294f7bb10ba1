"""GGUF models in this process, behind the backend protocol."""

from __future__ import annotations

from parlant_local.backends.llama_cpp.backend import LlamaCppBackend
from parlant_local.backends.llama_cpp.parsing import ParsedText
from parlant_local.backends.llama_cpp.prompts import RenderedPrompt
from parlant_local.backends.llama_cpp.sync import SyncBackend

__all__ = ["LlamaCppBackend", "ParsedText", "RenderedPrompt", "SyncBackend"]
