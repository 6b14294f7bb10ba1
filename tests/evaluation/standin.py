"""A model that knows the key: it answers every schema from what the case expects, and anything else at random.

It reads no prompt as a model would: which guideline a check is about stands in the tightened schema, and which case is
sat is known by the session. Its opposite decides everything the other way round.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from parlant_local.backends.base import ModelInfo
from parlant_local.evaluation.agents import reachable
from parlant_local.evaluation.examining import CaseFinder
from parlant_local.evaluation.format import Alternatives, Call, Journey, Pattern, TextCheck, ValueCheck
from parlant_local.evaluation.reading import Exercise
from tests.fakes.scripted import Call as Asked
from tests.fakes.scripted import ScriptedBackend

PERFECT = ModelInfo(id="local/test/perfect", n_ctx=65536, loaded=True, digest="a1" * 32, memory_bytes=1 << 20)
CONTRARY = ModelInfo(id="local/test/contrary", n_ctx=65536, loaded=True, digest="b2" * 32, memory_bytes=1 << 20)

_CONDITION = re.compile(r"^Condition \((\d+)\): (.*)$", re.MULTILINE)
_LISTED = re.compile(r"^(\d+)\) Condition: (.*?)\. Action: ", re.MULTILINE)
_TEMPLATE = re.compile(r'^Template ID: "?([^\s"]+)"? """\n(.*?)\n"""', re.MULTILINE | re.DOTALL)
_ESCAPED = re.compile(r"\\+u([0-9a-f]{4})")
_FAR = 1000
_FIELD = re.compile(r"\{\{.*?\}\}")
_NAME = re.compile(r"^Name: [^:\s]+:(\S+)$", re.MULTILINE)


@dataclass(eq=False)
class KeyBackend(ScriptedBackend):
    info: ModelInfo = PERFECT
    contrary: bool = False
    finder: CaseFinder = field(default=lambda session: None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.answers = {
            "GenericObservationalGuidelineMatchesSchema": self._checks("applies"),
            "GenericActionableGuidelineMatchesSchema": self._checks("applies"),
            "GenericPreviouslyAppliedActionableGuidelineMatchesSchema": self._checks("should_reapply"),
            "GenericPreviouslyAppliedActionableCustomerDependentGuidelineMatchesSchema": self._checks("should_apply"),
            "GenericLowCriticalityGuidelineMatchesSchema": self._low_criticality,
            "JourneyNextStepSelectionSchema": self._next_step,
            "JourneyBacktrackCheckSchema": self._backtracks,
            "JourneyBacktrackNodeSelectionSchema": self._goes_back,
            "NonConsequentialToolBatchSchema": self._calls,
            "SingleToolBatchSchema": self._consequential_calls,
            "CannedResponseDraftSchema": self._draft,
            "CannedResponseSelectionSchema": self._selects,
            "FollowUpCannedResponseSelectionSchema": self._follows_up,
            "GenericResponseAnalysisSchema": self._any,
        }

    def take_finder(self, finder: CaseFinder) -> None:
        self.finder = finder

    def _case(self, asked: Asked) -> Exercise:
        found = self.finder(asked.params.session)
        assert found is not None, f"{asked.name} is asked outside of a case"
        return found

    def _any(self, asked: Asked) -> Any:
        schema = asked.params.response_format.schema or {}
        return self.value(schema, schema.get("$defs", {}))

    def _says(self, truth: bool) -> bool:
        return truth != self.contrary

    def _checks(self, verdict: str) -> Any:
        def answer(asked: Asked) -> Any:
            value, case = self._any(asked), self._case(asked)
            for check in value["checks"]:
                check[verdict] = self._says(applies(case, check["condition"]))
            return value

        return answer

    def _low_criticality(self, asked: Asked) -> Any:
        case = self._case(asked)
        conditions = dict(_LISTED.findall(asked.prompt))
        keys = (asked.params.response_format.schema or {})["properties"]["applies"]["required"]
        return {"applies": {key: self._says(applies(case, conditions[key])) for key in keys}}

    def _next_step(self, asked: Asked) -> Any:
        case, value = self._case(asked), self._any(asked)
        told, _, listed = plain(asked.prompt).rpartition("POSSIBLE TRANSITIONS")
        conditions = {text.strip(): key for key, text in _CONDITION.findall(listed)}
        value["applied_condition_id"] = "None"
        for name, step in case.case.expect.journey.items():
            journey = case.agent.journeys[name]
            current = told.rpartition("CURRENT STEP")[2]
            here = next(
                (each for each, one in journey.steps.items() if (one.do or f"tool {one.tool}") in current), None
            )
            if step is not None and here is not None and f"Journey: {journey.title}" in told:
                way = towards(journey, here, step)
                value["applied_condition_id"] = "0" if way is None else conditions.get(way, "None")
        if self.contrary:
            value["applied_condition_id"] = "None" if value["applied_condition_id"] != "None" else "0"
        return value

    def _backtracks(self, asked: Asked) -> Any:
        back = target(self._case(asked)) is not None
        return {"rationale": "", "requires_backtracking": back, "backtrack_to_same_journey_process": True}

    def _goes_back(self, asked: Asked) -> Any:
        """The step's number is read from its text in the prompt, which lists each as "STEP n: what to do"."""
        case, value = self._case(asked), self._any(asked)
        name, step = target(case) or ("", "")
        told = case.agent.journeys[name].steps[step]
        action = told.do or f"Use the tool {told.tool}"
        number = re.findall(rf"^STEP (\S+): {re.escape(action)}", plain(asked.prompt), re.MULTILINE)[-1]
        return value | {
            "journey_applies": True,
            "requires_backtracking": True,
            "backtracking_target_step": number,
            "step_advancement": [{"id": number, "completed": "needs_customer_input", "follow_ups": None}],
            "next_step": "None" if self.contrary else number,
        }

    def _expected_calls(self, case: Exercise, tool: str) -> list[Call]:
        return [call for call in case.case.expect.calls or () if call.tool == tool]

    def _calls(self, asked: Asked) -> Any:
        schema = asked.params.response_format.schema or {}
        parameters = schema["properties"]["calls"]["items"]["properties"]["args"]["properties"]
        case = self._case(asked)
        tool = _NAME.findall(asked.prompt)[-1]
        calls = self._expected_calls(case, tool)
        if self.contrary:
            calls = [] if calls else [Call(tool=tool)]
        filled = [{name: argument(call, name, parameters[name]) for name in parameters} for call in calls]
        return {"reasoning_tldr": "", "should_run": bool(calls), "calls": [{"args": args} for args in filled]}

    def _consequential_calls(self, asked: Asked) -> Any:
        value, case = self._any(asked), self._case(asked)
        tool = value["name"].partition(":")[2]
        calls = self._expected_calls(case, tool)
        if self.contrary:
            calls = [] if calls else [Call(tool=tool)]
        value["tool_calls_for_candidate_tool"] = [
            {
                "applicability_rationale": "",
                "is_applicable": True,
                "argument_evaluations": [_evaluated(call, name) for name in case.agent.tools[tool].parameters],
                "same_call_is_already_staged": "There are no staged tool calls" not in asked.prompt,
                "relevant_subtleties": "",
            }
            for call in calls
        ]
        return value

    def _draft(self, asked: Asked) -> Any:
        expect = self._case(asked).case.expect
        value = self._any(asked)
        value["response_body"] = " ".join(sample(check) for check in expect.says) or "Of course."
        if expect.canned:
            value["response_body"] = self._canned(asked)
        if self.contrary:
            value["response_body"] = " ".join(sample(check) for check in expect.never_says) or "Hm."
        return value

    def _canned(self, asked: Asked) -> str:
        case = self._case(asked)
        wanted = case.case.expect.canned
        name = wanted if isinstance(wanted, str) else (wanted or next(iter(case.agent.canned)))[0]
        return case.agent.canned[name].text

    def _follows_up(self, asked: Asked) -> Any:
        """No case wants a second reply, which chance would add where the ids of templates happen to suit it."""
        return {**self._any(asked), "additional_response_required": False, "additional_template_id": None}

    def _selects(self, asked: Asked) -> Any:
        value = self._any(asked)
        templates = {text.strip(): key for key, text in _TEMPLATE.findall(asked.prompt)}
        # Fields are listed filled in.
        wanted = re.compile(".+".join(map(re.escape, _FIELD.split(self._canned(asked)))))
        chosen = next((key for text, key in templates.items() if wanted.fullmatch(text)), None)
        if self.contrary:
            chosen = next((key for key in templates.values() if key != chosen), None)
        return value | {"chosen_template_id": chosen, "match_quality": "high" if chosen else "low"}


def plain(text: str) -> str:
    """Without the escapes that Parlant puts into conditions and actions for every letter that is not ASCII."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text).replace('\\"', '"')


def applies(case: Exercise, condition: str) -> bool:
    """Whether the key has it that the guideline, or the journey, with this condition applies."""
    condition = plain(condition)
    expect = case.case.expect
    for name, rule in case.agent.guidelines.items():
        if rule.when == condition:
            called = {call.tool for call in expect.calls or ()}
            wanted = bool(called & set(rule.tools))
            return name in expect.apply if expect.apply is not None and name not in expect.either else wanted
    for name, journey in case.agent.journeys.items():
        if condition in journey.when:
            return expect.journey.get(name) is not None
    raise AssertionError(f"no guideline has the condition {condition!r}")


def towards(journey: Journey, here: str, step: str) -> str | None:
    """The condition of the way that leads to ``step``, or nearest to it; nothing where it is there."""
    ways = reachable(journey, here)
    if here == step or not ways:
        return None
    return min(ways, key=lambda way: (distance(journey, way[1][-1], step), len(way[1])))[0]


def distance(journey: Journey, start: str, goal: str) -> int:
    seen, level, steps = {start}, [start], 0
    while level:
        if goal in level:
            return steps
        level = [each for name in level for each in journey.steps[name].then if each not in seen]
        seen |= set(level)
        steps += 1
    return _FAR


def target(case: Exercise) -> tuple[str, str] | None:
    """The journey and the step that it has to go back to: where the turn ends, or what lies before that."""
    for name, step in case.case.expect.journey.items():
        path = case.case.before.journeys.get(name, [])
        if step is None or not path or distance(case.agent.journeys[name], path[-1], step) < _FAR:
            continue
        return name, min(path, key=lambda each: distance(case.agent.journeys[name], each, step))
    return None


def sample(check: TextCheck) -> str:
    if isinstance(check, Pattern):
        return check.example
    return str(check.any[0]) if isinstance(check, Alternatives) else check


def meant(check: ValueCheck) -> Any:
    if isinstance(check, Pattern):
        return check.example
    return next(item for item in check.any) if isinstance(check, Alternatives) else check


def argument(call: Call, name: str, schema: Mapping[str, Any]) -> str | None:
    if name in call.arguments:
        value = meant(call.arguments[name])
        return None if value is None else str(value)
    if choices := schema.get("enum"):
        return str(choices[0])
    return "something" if schema.get("type") == "string" else None


def _evaluated(call: Call, name: str) -> dict[str, Any]:
    value = argument(call, name, {"type": "string"})
    return {
        "parameter_name": name,
        "acceptable_source_for_this_argument_according_to_its_tool_definition": "",
        "evaluate_is_it_provided_by_an_acceptable_source": "",
        "evaluate_was_it_already_provided_and_should_it_be_provided_again": "",
        "evaluate_is_it_potentially_problematic_to_guess_what_the_value_is_if_it_isnt_provided": "",
        "valid_invalid_or_missing": "missing" if value is None else "valid",
        "value_as_string": value,
    }
