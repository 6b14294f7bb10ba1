"""Where a journey goes next.

- ``JourneyNextStepSelectionSchema``: section ``journey-next-step-selection-journey-steps`` lists the transitions as
  "Condition (<n>): …"; the prompt adds "0" (stay) and "None" (leave). Any other id matches nothing, and the journey stops.
- ``JourneyBacktrackNodeSelectionSchema``: section ``journey-step-selection-journey-steps`` lists the steps as "STEP <id>: …",
  and the steps one may go to as "Go to step <id>". Unknown steps leave the journey; the first step of an advancement that
  is missing is a lost attempt.
- ``JourneyBacktrackCheckSchema``: with ``requires_backtracking``, a null ``backtrack_to_same_journey_process`` is a validation
  error in the host's own result, so the two go together.
"""

from __future__ import annotations

import re

from parlant.core.engines.alpha.prompt_builder import PromptBuilder

from parlant_local.nlp.tightening.surgery import (
    NotUnderstood,
    Schema,
    by_answer,
    enum,
    not_null,
    properties,
    section,
    section_prop,
)

__all__ = ["TIGHTENERS"]

_CONDITION = re.compile(r"^Condition \((\d+)\): ", re.MULTILINE)
_STEP = re.compile(r"^STEP ([^\s:]+): ", re.MULTILINE)
_GO_TO = re.compile(r"→ Go to step ([^\s,]+)\s*$", re.MULTILINE)
_LAST = re.compile(r"First one should be either (\S+) or")
_EXIT = "None"


def _next_step(schema: Schema, prompt: PromptBuilder) -> None:
    text = section(prompt, "journey-next-step-selection-journey-steps").template
    listed = text.partition("POSSIBLE TRANSITIONS")[2]
    enum(schema, "applied_condition_id", ["0", *_CONDITION.findall(listed), _EXIT])


def _node_selection(schema: Schema, prompt: PromptBuilder) -> None:
    text = section(prompt, "journey-step-selection-journey-steps").template
    wanted = section_prop(prompt, "journey-step-selection-output-format", "output_format")
    last = [step for step in _LAST.findall(wanted) if step != _EXIT]
    steps = list(dict.fromkeys([*_STEP.findall(text), *_GO_TO.findall(text), *last]))
    if not steps:
        raise NotUnderstood("no step is listed")
    enum(schema, "backtracking_target_step", steps, optional=True)
    enum(schema, "next_step", [*steps, _EXIT], optional=True)
    advancement = not_null(properties(schema)["step_advancement"])["items"]
    enum(advancement, "id", [*steps, _EXIT])
    follow_ups = not_null(properties(advancement)["follow_ups"])
    follow_ups["items"] = {"type": "string", "enum": [*steps, _EXIT]}
    follow_ups["maxItems"] = len(steps) + 1


def _backtrack_check(schema: Schema, _prompt: PromptBuilder) -> None:
    told_apart = by_answer(schema, "requires_backtracking", when_true=["backtrack_to_same_journey_process"])
    schema.clear()
    schema.update(told_apart)


TIGHTENERS = {
    "JourneyBacktrackCheckSchema": _backtrack_check,
    "JourneyNextStepSelectionSchema": _next_step,
    "JourneyBacktrackNodeSelectionSchema": _node_selection,
}
