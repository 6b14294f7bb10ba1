"""One check per guideline: observational, actionable, low-criticality, previously applied, response analysis.

The last section of each prompt prints the answer it wants, one entry per guideline, as JSON in ``result_structure_text``
(the observational one prints only the list): ids in order, conditions and actions in full, and ``<…>`` where the model is
to think. The host looks each id up in its own table ("1" … "n"): an unknown one is a KeyError and a lost attempt, a
missing one is a guideline that silently does not take part. Conditions and actions in the answer are never read back, and
in the host's own examples they are the guideline's, word for word; except in response analysis, where two examples
shorten the action and none repeats the condition, so there only the ids are bound.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from parlant.core.engines.alpha.prompt_builder import PromptBuilder

from parlant_local.nlp.tightening.surgery import (
    NotUnderstood,
    Schema,
    const,
    exactly,
    not_null,
    properties,
    section_json,
)

__all__ = ["TIGHTENERS", "checked_items", "is_placeholder"]


def is_placeholder(text: str) -> bool:
    """Whether the host wrote ``<what goes here>``."""
    return text.lstrip().startswith("<")


def checked_items(item: Schema, entries: Any, id_key: str, *, repeat: bool = True) -> list[Schema]:
    """One schema per printed entry: its id is constant, and with ``repeat`` every other text that it gives in full too.

    What it marks with ``<…>`` stays open.
    """
    if not isinstance(entries, list) or not entries:
        raise NotUnderstood("the output format lists no entries")
    items = []
    for entry in entries:
        one = deepcopy(item)
        known = properties(one)
        if not isinstance(entry[id_key], str) or is_placeholder(entry[id_key]):
            raise NotUnderstood(f"an entry has no {id_key}")
        for key, value in entry.items():
            if not isinstance(value, str) or key not in known or is_placeholder(value):
                continue
            if key != id_key and not repeat:
                continue
            if not_null(known[key]).get("type") == "string":
                const(one, key, value)
        items.append(one)
    if len({entry[id_key] for entry in entries}) != len(entries):
        raise NotUnderstood("the output format repeats an id")
    return items


def _checks(section_name: str, *, repeat: bool = True) -> Any:
    def tighten(schema: Schema, prompt: PromptBuilder) -> None:
        structure = section_json(prompt, section_name, "result_structure_text")
        entries = structure["checks"] if isinstance(structure, dict) else structure
        props = properties(schema)
        props["checks"] = exactly(checked_items(props["checks"]["items"], entries, "guideline_id", repeat=repeat))

    return tighten


def _low_criticality(schema: Schema, prompt: PromptBuilder) -> None:
    """``applies`` maps each id to a boolean; the host takes any key, and fails on one it does not know."""
    structure = section_json(prompt, "low-criticality-guideline-output-format", "result_structure_text")
    ids = list(structure["applies"])
    if not ids:
        raise NotUnderstood("the output format lists no entries")
    properties(schema)["applies"] = {
        "type": "object",
        "properties": {key: {"type": "boolean"} for key in ids},
        "required": ids,
        "additionalProperties": False,
    }


TIGHTENERS = {
    "GenericObservationalGuidelineMatchesSchema": _checks("observational-guideline-matcher-expected-output"),
    "GenericActionableGuidelineMatchesSchema": _checks("actionable-guideline-output-format"),
    "GenericPreviouslyAppliedActionableGuidelineMatchesSchema": _checks("guideline-previously-applied-output-format"),
    "GenericPreviouslyAppliedActionableCustomerDependentGuidelineMatchesSchema": _checks(
        "guideline-previously-applied-output-format"
    ),
    "GenericResponseAnalysisSchema": _checks("guideline-previously-applied-output-format", repeat=False),
    "GenericLowCriticalityGuidelineMatchesSchema": _low_criticality,
}
