"""Which of several guidelines a customer meant.

Section ``guideline-disambiguation-evaluation-output-format`` prints one entry per candidate, with its id, under a key
that starts with "guidelines". The host looks up the ids of entries that need clarification; an unknown one is a lost
attempt. The list is wanted only where the answer is ambiguous, so it may stay absent, null or short: only its ids are
bound.
"""

from __future__ import annotations

from parlant.core.engines.alpha.prompt_builder import PromptBuilder

from parlant_local.nlp.tightening.surgery import NotUnderstood, Schema, enum, not_null, properties, section_json

__all__ = ["TIGHTENERS"]


def _disambiguation(schema: Schema, prompt: PromptBuilder) -> None:
    structure = section_json(prompt, "guideline-disambiguation-evaluation-output-format", "result_structure_text")
    listed = next((value for key, value in structure.items() if key.startswith("guidelines")), None)
    if not listed:
        raise NotUnderstood("the output format lists no guidelines")
    ids = [entry["guideline_id"] for entry in listed]
    array = not_null(properties(schema)["guidelines"])
    enum(array["items"], "guideline_id", ids)
    array["maxItems"] = len(ids)


TIGHTENERS = {"DisambiguationGuidelineMatchesSchema": _disambiguation}
