"""Blocking calls to a GGUF: those of every backend, and what only a model in this process can do."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from parlant_local.backends.base import Backend
from parlant_local.backends.llama_cpp.parsing import ParsedText
from parlant_local.backends.sync import SyncBackend
from parlant_local.messages import Tool

__all__ = ["SyncBackend", "SyncLlamaCppBackend"]


class SyncLlamaCppBackend(SyncBackend):
    def __init__(self, backend: Backend, parse: Callable[..., Coroutine[Any, Any, ParsedText]]) -> None:
        super().__init__(backend)
        self._parse = parse

    def parse(
        self, text: str, tools: Iterable[Tool | Mapping[str, Any]] | None = None, *, step: int | None = None
    ) -> ParsedText:
        return self._run(self._parse(text, tools, step=step))
