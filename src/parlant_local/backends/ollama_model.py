"""What an Ollama daemon tells of a model, in our words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from parlant_local.backends.base import ModelInfo

if TYPE_CHECKING:
    import ollama

__all__ = ["LEAST_CONTEXT", "described"]

LEAST_CONTEXT = 4096
_MOST_CONTEXT = 32768
_CAPABILITIES = {
    "completion": frozenset({"chat", "schema", "streaming", "complete"}),
    "tools": frozenset({"tools"}),
    "thinking": frozenset({"reasoning"}),
    "embedding": frozenset({"embed"}),
}


def described(shown: ollama.ShowResponse, known: ModelInfo, num_ctx: int | None) -> ModelInfo:
    """``known`` with what the daemon shows; ``num_ctx``: the context that the owner wants, where he says so."""
    facts = dict(shown.modelinfo or {})
    architecture = facts.get("general.architecture")
    trained = facts.get(f"{architecture}.context_length")
    trained = trained if isinstance(trained, int) and trained > 0 else None
    told = shown.capabilities or ["completion"]
    capabilities = frozenset().union(*(_CAPABILITIES.get(item, frozenset()) for item in told))
    n_ctx = num_ctx or min(trained or LEAST_CONTEXT, _MOST_CONTEXT)
    details = shown.details
    return replace(
        known,
        architecture=architecture,
        family=details.family if details else None,
        parameters=facts.get("general.parameter_count"),
        quantization=details.quantization_level if details else None,
        n_ctx=n_ctx,
        n_ctx_train=trained,
        embedding_length=facts.get(f"{architecture}.embedding_length"),
        chat_template=shown.template,
        capabilities=capabilities,
    )
