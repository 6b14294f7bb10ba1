"""The context that an Ollama daemon really used: it silently truncates prompts that don't fit."""

from __future__ import annotations

from parlant_local.errors import ContextOverflowError

__all__ = ["ContextWatch"]

_MAX_BYTES_PER_TOKEN = 8.0
"""No text of a sane prompt packs more into one token on average; until there is experience, the bound to refuse by."""
_MIN_BYTES_PER_TOKEN = 5.0
_TOLERANCE = 1.3
_SAMPLE_BYTES = 2000
"""Shorter prompts teach nothing: the chat template's own tokens outweigh them."""


class ContextWatch:
    """Compares what was sent with the daemon's ``prompt_eval_count``.

    The daemon has no tokeniser to ask, so bytes per token are learned from answers that can't have been cut: those of
    prompts with fewer bytes than ``num_ctx`` has tokens. ``num_ctx`` is in tokens.
    """

    def __init__(self, target: str, num_ctx: int) -> None:
        self.target = target
        self.num_ctx = num_ctx
        self._bytes_per_token: float | None = None

    @property
    def density(self) -> float:
        """Bytes that one token of this model's prompts holds at most."""
        if self._bytes_per_token is None:
            return _MAX_BYTES_PER_TOKEN
        return min(_MAX_BYTES_PER_TOKEN, max(_MIN_BYTES_PER_TOKEN, self._bytes_per_token * _TOLERANCE))

    def before(self, sent_bytes: int) -> None:
        """Raises :class:`ContextOverflowError` where even the most favourable count is too much."""
        least = int(sent_bytes / self.density)
        if least >= self.num_ctx:
            raise self._overflow(least, f"A prompt of {sent_bytes} bytes is at least {least} tokens")

    def after(self, sent_bytes: int, counted: int) -> None:
        """Raises :class:`ContextOverflowError` where the daemon's count shows that part of the prompt was dropped."""
        if counted <= 0:  # daemons before 0.6 report nothing about a prompt that was fully cached
            return
        if counted >= self.num_ctx:
            raise self._overflow(
                counted + 1, f"The daemon filled its whole context of {self.num_ctx} tokens and truncated the prompt"
            )
        if sent_bytes > self.num_ctx and sent_bytes / counted > self.density:
            least = int(sent_bytes / self.density)
            raise self._overflow(least, f"The daemon read {counted} tokens of a prompt that has at least {least}")
        if _SAMPLE_BYTES <= sent_bytes <= self.num_ctx:
            self._bytes_per_token = max(self._bytes_per_token or 0.0, sent_bytes / counted)

    def _overflow(self, needed: int, what: str) -> ContextOverflowError:
        return ContextOverflowError(
            f"{what}; {self.target} runs with num_ctx={self.num_ctx}.",
            needed=max(needed, self.num_ctx + 1),
            available=self.num_ctx,
            hint="Raise PARLANT_LOCAL_OLLAMA__NUM_CTX, shorten the prompt, or use a model with a larger context.",
        )
