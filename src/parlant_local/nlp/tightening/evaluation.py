"""What the host asks about guidelines and journeys when it starts. One call that fails three times, and it does not start.

- Section ``guideline-action-proposer-output-format`` (the host uses this name in several evaluators) carries the
  ``condition`` or ``action`` that the answer repeats; the repetition is never read. It is escaped for JSON once, as printed.
- ``RelativeActionSchema``: section ``relative-action-proposer-output-format`` prints one entry per step, as JSON. An entry
  that needs a rewrite and brings none (null) is a validation error in the host, so the two go together.
- ``ReachableNodesEvaluationSchema``: section ``journey-reachable-nodes-evaluation-output-format`` prints each child with its
  paths, but not as valid JSON; children and path ids are read from the lines that give them. The host looks both up: an
  unknown one is a KeyError, one given twice builds a path that visits a step twice.
"""

from __future__ import annotations

import re
from copy import deepcopy

from parlant.core.engines.alpha.prompt_builder import PromptBuilder

from parlant_local.nlp.tightening.checks import checked_items
from parlant_local.nlp.tightening.surgery import (
    NotUnderstood,
    Schema,
    by_answer,
    const,
    exactly,
    filled,
    not_null,
    properties,
    section_json,
    section_prop,
)

__all__ = ["TIGHTENERS"]

_SHARED_FORMAT = "guideline-action-proposer-output-format"
_CHILD = re.compile(r'^[ \t]*"child_id": "([^"]+)",$', re.MULTILINE)
_PATH = re.compile(r'^[ \t]*"id": "(\d+)",$', re.MULTILINE)


def _repeated_action(schema: Schema, prompt: PromptBuilder) -> None:
    action = section_prop(prompt, _SHARED_FORMAT, "action")
    if not isinstance(action, str):
        raise NotUnderstood("the guideline has no action")
    const(schema, "action", action)


def _agent_intention(schema: Schema, prompt: PromptBuilder) -> None:
    const(schema, "condition", str(section_prop(prompt, _SHARED_FORMAT, "condition")))


def _action(schema: Schema, _prompt: PromptBuilder) -> None:
    filled(schema, "action")


def _relative_actions(schema: Schema, prompt: PromptBuilder) -> None:
    entries = section_json(prompt, "relative-action-proposer-output-format", "result_structure_text")["actions"]
    array = properties(schema)["actions"]
    items = []
    for item in checked_items(array["items"], entries, "index"):
        items.append(by_answer(item, "needs_rewrite", when_true=["rewritten_action"]))
    properties(schema)["actions"] = exactly(items)


def _reachable_nodes(schema: Schema, prompt: PromptBuilder) -> None:
    text = section_prop(prompt, "journey-reachable-nodes-evaluation-output-format", "output_format")
    children = list(_CHILD.finditer(text))
    if not children:
        properties(schema)["children_conditions"] = {"type": "null"}
        filled(schema, "step_action_completed")
        return
    item = not_null(properties(schema)["children_conditions"])["items"]
    items = []
    ends = [match.start() for match in children[1:]] + [len(text)]
    for match, end in zip(children, ends, strict=True):
        child = deepcopy(item)
        const(child, "child_id", match.group(1))
        paths = _PATH.findall(text[match.end() : end])
        props = properties(child)
        if paths:
            path = not_null(props["conditions_to_child_and_forward"])["items"]
            each = [deepcopy(path) for _ in paths]
            for one, path_id in zip(each, paths, strict=True):
                const(one, "id", path_id)
            props["conditions_to_child_and_forward"] = exactly(each)
            child["required"] = [*child.get("required", []), "conditions_to_child_and_forward"]
        else:
            props["conditions_to_child_and_forward"] = {"type": "null"}
        items.append(child)
    properties(schema)["children_conditions"] = exactly(items)
    schema["required"] = [*schema.get("required", []), "children_conditions"]


TIGHTENERS = {
    "AgentIntentionProposerSchema": _agent_intention,
    "CustomerDependentActionSchema": _repeated_action,
    "GuidelineActionPropositionSchema": _action,
    "ReachableNodesEvaluationSchema": _reachable_nodes,
    "RelativeActionSchema": _relative_actions,
    "ToolRunningActionSchema": _repeated_action,
}
