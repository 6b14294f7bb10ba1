"""Where a journey goes next.

- ``JourneyNextStepSelectionSchema``: section ``journey-next-step-selection-journey-steps`` lists the transitions as
  "Condition (<n>): …"; the prompt adds "0" (stay) and "None" (leave). Any other id matches nothing, and the journey stops.
- ``JourneyBacktrackNodeSelectionSchema``: section ``journey-step-selection-journey-steps`` lists the steps as "STEP <id>: …",
  with flags that say which were executed, and the steps that each may be followed by as "Go to step <id>". An advancement
  starts at the last executed step, or at the executed one that it goes back to, and follows transitions; the host
  complains of any other and repairs it by guessing. A step that is not printed may be followed by any. Where there are too
  many ways to go, only ids are bound. A null ``next_step`` leaves the journey, for which the prompt's word is "None".
- ``JourneyBacktrackCheckSchema``: with ``requires_backtracking``, a null ``backtrack_to_same_journey_process`` is a validation
  error in the host's own result, so the two go together.
"""

from __future__ import annotations

import re
from copy import deepcopy

from parlant.core.engines.alpha.prompt_builder import PromptBuilder

from parlant_local.nlp.tightening.surgery import (
    NotUnderstood,
    Schema,
    by_answer,
    const,
    demand,
    enum,
    not_null,
    nullable,
    properties,
    section,
    section_prop,
)

__all__ = ["TIGHTENERS"]

_CONDITION = re.compile(r"^Condition \((\d+)\): ", re.MULTILINE)
_STEP = re.compile(r"^STEP ([^\s:]+): ", re.MULTILINE)
_GO_TO = re.compile(r"→ Go to step ([^\s,]+)[ \t]*$", re.MULTILINE)
_LAST = re.compile(r"First one should be either (\S+) or")
_EXECUTED = re.compile(r"^- (?:PREVIOUSLY EXECUTED|This is the last step that was executed)", re.MULTILINE)
_EXIT = "None"
_MAX_WAYS = 48


def _next_step(schema: Schema, prompt: PromptBuilder) -> None:
    text = section(prompt, "journey-next-step-selection-journey-steps").template
    listed = text.partition("POSSIBLE TRANSITIONS")[2]
    enum(schema, "applied_condition_id", ["0", *_CONDITION.findall(listed), _EXIT])


def _node_selection(schema: Schema, prompt: PromptBuilder) -> None:
    text = section(prompt, "journey-step-selection-journey-steps").template
    wanted = section_prop(prompt, "journey-step-selection-output-format", "output_format")
    last = next((step for step in _LAST.findall(wanted) if step != _EXIT), None)
    follow_ups, executed = _read_steps(text)
    printed = [*follow_ups, *(step for after in follow_ups.values() for step in after), *([last] if last else [])]
    steps = list(dict.fromkeys(printed))
    if not steps:
        raise NotUnderstood("no step is listed")
    enum(schema, "backtracking_target_step", steps, optional=True)
    enum(schema, "next_step", [*steps, _EXIT])
    advancement = not_null(properties(schema)["step_advancement"])["items"]
    enum(advancement, "id", steps)
    after = not_null(properties(advancement)["follow_ups"])
    after["items"] = {"type": "string", "enum": [*steps, _EXIT]}
    after["maxItems"] = len(steps) + 1
    if last is not None:
        _bind_ways(schema, last, list(dict.fromkeys([*executed, last])), {**dict.fromkeys(steps, steps), **follow_ups})


def _read_steps(text: str) -> tuple[dict[str, list[str]], list[str]]:
    """From the printed steps: which may follow each, and which were executed."""
    follow_ups: dict[str, list[str]] = {}
    executed = []
    starts = list(_STEP.finditer(text))
    for start, end in zip(starts, [*(match.start() for match in starts[1:]), len(text)], strict=True):
        block = text[start.end() : end]
        follow_ups[start.group(1)] = _GO_TO.findall(block)
        if _EXECUTED.search(block):
            executed.append(start.group(1))
    return follow_ups, executed


def _bind_ways(schema: Schema, last: str, executed: list[str], follow_ups: dict[str, list[str]]) -> None:
    """Tell the answers apart by where the advancement starts, and bind each to the ways from there."""
    ways = {start: _ways(start, follow_ups) for start in dict.fromkeys([last, *executed])}
    if sum(len(found) for found in ways.values()) + len(ways[last]) > _MAX_WAYS:
        return
    onwards = deepcopy(schema)
    properties(onwards)["requires_backtracking"] = nullable({"const": False})
    _bind_advancement(onwards, ways[last])
    variants = [onwards]
    for start in executed:
        back = deepcopy(schema)
        demand(back, "requires_backtracking")
        properties(back)["requires_backtracking"] = {"const": True}
        const(back, "backtracking_target_step", start)
        _bind_advancement(back, ways[start])
        variants.append(back)
    schema.clear()
    schema["anyOf"] = variants


def _ways(start: str, follow_ups: dict[str, list[str]]) -> list[list[str]]:
    """The longest ways on from ``start``; a journey with a loop has them as long as it has steps, and one more."""
    ends: list[list[str]] = []
    open_ways = [[start]]
    while open_ways and len(ends) + len(open_ways) <= _MAX_WAYS:
        way = open_ways.pop()
        longer = [[*way, step] for step in follow_ups[way[-1]]] if len(way) <= len(follow_ups) else []
        open_ways += longer
        if not longer:
            ends.append(way)
    return ends + open_ways


def _bind_advancement(schema: Schema, ways: list[list[str]]) -> None:
    """An advancement goes one of the ways, and may stop anywhere."""
    array = not_null(properties(schema)["step_advancement"])
    alternatives = []
    for way in ways:
        items = [deepcopy(array["items"]) for _ in way]
        for item, step in zip(items, way, strict=True):
            const(item, "id", step)
        alternatives.append({"type": "array", "prefixItems": items, "items": False, "maxItems": len(items)})
    properties(schema)["step_advancement"] = {"anyOf": [*alternatives, {"type": "null"}]}


def _backtrack_check(schema: Schema, _prompt: PromptBuilder) -> None:
    variants = by_answer(schema, "requires_backtracking", when_true=["backtrack_to_same_journey_process"])
    schema.clear()
    schema.update(variants)


TIGHTENERS = {
    "JourneyBacktrackCheckSchema": _backtrack_check,
    "JourneyNextStepSelectionSchema": _next_step,
    "JourneyBacktrackNodeSelectionSchema": _node_selection,
}
