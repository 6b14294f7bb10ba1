"""Token counts by the backend: exact for a model loaded here, an estimate for endpoints without a tokenizer."""

from __future__ import annotations

from parlant.core.nlp.tokenization import EstimatingTokenizer
from typing_extensions import override

from parlant_local.backends.base import Backend

__all__ = ["BackendTokenizer"]


class BackendTokenizer(EstimatingTokenizer):
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @override
    async def estimate_token_count(self, prompt: str) -> int:
        """Tokens of ``prompt``; at least 1 for any text that is not blank, since the host divides by it."""
        count = await self._backend.count_tokens(prompt)
        return max(count, 1) if prompt.strip() else count
