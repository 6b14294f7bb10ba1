"""Whether a model's context is large enough for the host's prompts.

Measured on Parlant 3.3 with an agent of five guidelines, two tools and one journey, in the third turn, at 4.4 characters a
token (what Qwen's and Llama's vocabularies make of these prompts): the longest prompt, of journey backtracking, has 34,300
characters, 9,900 of them without its examples; of what is left, drafts of messages are the longest, with 14,200.
"""

from __future__ import annotations

from parlant_local.backends.base import ModelInfo

__all__ = ["context_warning"]

_PROMPT_TOKENS = 7_800
_PROMPT_TOKENS_WITHOUT_EXAMPLES = 3_200
_CONVERSATION_TOKENS = 1_000
"""Tokens that history, glossary and variables of a longer conversation add, and that an answer takes, at least."""


def context_warning(info: ModelInfo, *, leaves_out_examples: bool) -> str | None:
    """The warning to log at start, or ``None`` where the context is large enough or unknown."""
    n_ctx = info.n_ctx
    if not n_ctx or n_ctx >= _PROMPT_TOKENS + _CONVERSATION_TOKENS:
        return None
    if n_ctx < _PROMPT_TOKENS_WITHOUT_EXAMPLES + _CONVERSATION_TOKENS:
        return (
            f"{info.id} is too small for agents: its context has {n_ctx:,} tokens, and Parlant's prompts take about "
            f"{_PROMPT_TOKENS_WITHOUT_EXAMPLES:,} without their examples, {_PROMPT_TOKENS:,} with them, and more as a conversation grows. Calls will fail; "
            f"use a model with at least {_PROMPT_TOKENS + _CONVERSATION_TOKENS:,} tokens, or raise its n_ctx."
        )
    what = "their examples are left out where they don't fit" if leaves_out_examples else "those that don't fit fail"
    return (
        f"{info.id} has a context of {n_ctx:,} tokens. Parlant's longest prompts take about {_PROMPT_TOKENS:,}, and more as a "
        f"conversation grows; {what} (generation.leave_out_examples)."
    )
