"""The few-shot examples in the host's prompts: the only part that may be left out of a prompt that fits no model.

They are separate sections, which say nothing about the conversation; with a constrained schema, a model needs them for
judgement only. Sections are known by their names, in Parlant 3.2 and 3.3; whatever is not listed stays.
"""

from __future__ import annotations

from parlant.core.engines.alpha.prompt_builder import PromptBuilder

from parlant_local.nlp.calls import as_text

__all__ = ["SHOT_SECTIONS", "stripped", "without_shots"]

SHOT_SECTIONS = frozenset(
    {
        # guideline matching
        "actionable-guideline-matcher-examples-of-evaluations",
        "guideline-ambiguity-evaluations-examples",
        "guideline-matcher-examples-of-previously-applied-evaluations",
        "guideline-previously-applied-examples",
        "low-criticality-guideline-matcher-examples-of-evaluations",
        "observational-guideline-matcher-examples-of-condition-evaluations",
        # journeys
        "journey-backtrack-check-examples",
        "journey-next-step-selection-examples",
        "journey-step-selection-examples",
        # tool calls
        "tool-caller-examples",
        "tool-caller-examples_consequential",
        "tool-caller-examples_non_consequential",
        # messages
        "canned-response-generator-draft-examples",
        "follow-up-canned-response-generator-selection-examples",
        "message-generator-examples",
        # evaluation of guidelines and journeys at start
        "agent-intention-shots",
        "customer-dependent-action-shots",
        "guideline-action-proposer-example",
        "journey-reachable-nodes-evaluation-examples",
        "relative-action-proposer-shots",
        "tool-running-action-shots",
    }
)


def without_shots(prompt: str | PromptBuilder) -> str | None:
    """The text of ``prompt`` without its examples, ``None`` where it has no known ones."""
    rest = stripped(prompt)
    return None if rest is None else as_text(rest)


def stripped(prompt: str | PromptBuilder) -> PromptBuilder | None:
    """``prompt`` without its examples, ``None`` where it has no known ones. The host's object is not changed."""
    if isinstance(prompt, str) or not SHOT_SECTIONS & set(prompt.sections):
        return None
    rest = PromptBuilder()
    rest.sections = {name: section for name, section in prompt.sections.items() if name not in SHOT_SECTIONS}
    return rest
