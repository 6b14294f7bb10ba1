"""Choosing among approved replies, and filling their fields.

Section ``canned-response-generator-selection-templates`` lists each template after ``Template ID: <id>``; the follow-up's
section ``follow-up-canned-response-generator-inputs`` lists them after ``Template ID: "<n>"``. An id that is not among them
is a reply that is not sent. Qualities are spelled out in both prompts ("low", "partial", "high"); any other word counts as
no match. A null ``field_value`` makes the template that needs it fail.
"""

from __future__ import annotations

import re

from parlant.core.engines.alpha.prompt_builder import PromptBuilder

from parlant_local.nlp.tightening.surgery import (
    NotUnderstood,
    Schema,
    const,
    demand,
    enum,
    filled,
    properties,
    section_prop,
)

__all__ = ["TIGHTENERS"]

_QUALITIES = ("low", "partial", "high")
_TEMPLATE_ID = re.compile(r'^Template ID: "?([^\s"]+)"? """$', re.MULTILINE)
_FOLLOW_UP_INPUTS = "follow-up-canned-response-generator-inputs"


def _ids(text: str) -> list[str]:
    if not (found := _TEMPLATE_ID.findall(text)):
        raise NotUnderstood("no template is listed")
    return found


def _selection(schema: Schema, prompt: PromptBuilder) -> None:
    listed = section_prop(prompt, "canned-response-generator-selection-templates", "formatted_canned_responses")
    if not listed.strip():
        # No template passed the host's similarity filter, so none can match; any id would be logged as an error.
        demand(schema, "match_quality")
        properties(schema)["chosen_template_id"] = {"type": "null"}
        properties(schema)["match_quality"] = {"const": "low"}
        return
    enum(schema, "chosen_template_id", _ids(listed))
    enum(schema, "match_quality", _QUALITIES)


def _follow_up(schema: Schema, prompt: PromptBuilder) -> None:
    listed = section_prop(prompt, _FOLLOW_UP_INPUTS, "formatted_canned_responses")
    enum(schema, "additional_template_id", _ids(listed), optional=True)
    enum(schema, "match_quality", _QUALITIES, optional=True)


def _field(schema: Schema, prompt: PromptBuilder) -> None:
    name = section_prop(prompt, "canned-response-generative-field-extraction-field-name", "field_name")
    const(schema, "field_name", str(name).removeprefix("generative."))
    filled(schema, "field_value")


TIGHTENERS = {
    "CannedResponseSelectionSchema": _selection,
    "FollowUpCannedResponseSelectionSchema": _follow_up,
    "CannedResponseFieldExtractionSchema": _field,
}
