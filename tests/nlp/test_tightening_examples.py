"""No right answer is ruled out: Parlant's own few-shot examples, under the schema tightened with Parlant's own prompts.

Each prompt is built by the host's code from the example's guidelines, tools or steps; the example's expected result, its
placeholder ids replaced by the real ones, must fit the tightened schema, and answers with unknown ids must not.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
from parlant.core.agents import Agent
from parlant.core.common import Criticality
from parlant.core.customers import Customer
from parlant.core.engines.alpha import canned_response_generator as canned
from parlant.core.engines.alpha.guideline_matching.generic import (
    disambiguation_batch,
    guideline_actionable_batch,
    guideline_low_criticality_batch,
    guideline_previously_applied_actionable_batch,
    guideline_previously_applied_actionable_customer_dependent_batch,
    observational_batch,
    response_analysis_batch,
)
from parlant.core.engines.alpha.guideline_matching.generic.journey import (
    journey_backtrack_check,
    journey_backtrack_node_selection,
    journey_next_step_selection,
)
from parlant.core.engines.alpha.prompt_builder import PromptBuilder
from parlant.core.guidelines import Guideline, GuidelineContent, GuidelineId
from parlant.core.loggers import LogLevel, StdoutLogger
from parlant.core.meter import LocalMeter
from parlant.core.services.indexing import journey_reachable_nodes_evaluation, relative_action_proposer
from parlant.core.sessions import EventKind, EventSource
from parlant.core.tracer import LocalTracer

from parlant_local.nlp.calls import as_text
from parlant_local.nlp.schemas import answer_type
from parlant_local.nlp.tightening import tighten
from parlant_local.nlp.tightening.surgery import inlined
from tests.fakes.scripted import ScriptedBackend

NOW = datetime.now(UTC)
LOGGER = StdoutLogger(LocalTracer(), LogLevel.CRITICAL)


def with_defaults(cls: type, **given: Any) -> Any:
    """``cls`` made of what this release's dataclass wants; what it adds over the fields given here stays empty."""
    fields = cls.__dataclass_fields__
    return cls(**{**dict.fromkeys(fields), **{k: v for k, v in given.items() if k in fields}})


AGENT = with_defaults(Agent, id="agent", name="Paige", description="Helps.", creation_utc=NOW, tags=[])
CUSTOMER = with_defaults(Customer, id="c", name="Cleo", creation_utc=NOW, extra={}, tags=[])


def context(events: Sequence[Any] = ()) -> Any:
    return SimpleNamespace(
        agent=AGENT,
        customer=CUSTOMER,
        session=SimpleNamespace(id="session"),
        context_variables=[],
        interaction_history=list(events),
        terms=[],
        capabilities=[],
        staged_events=[],
        staged_tool_events=[],
        staged_message_events=[],
        active_journeys=[],
        journeys=[],
    )


def guideline(number: int, content: GuidelineContent) -> Guideline:
    return with_defaults(
        Guideline,
        id=GuidelineId(f"g{number}"),
        creation_utc=NOW,
        content=content,
        enabled=True,
        tags=[],
        metadata={},
        criticality=Criticality.MEDIUM,
    )


def dump(result: Any) -> dict[str, Any]:
    return result.model_dump(mode="json", exclude_unset=True)


def numbered(result: dict[str, Any], key: str = "checks") -> dict[str, Any]:
    for number, check in enumerate(result[key], start=1):
        check["guideline_id"] = str(number)
    return result


def batch(module: Any, name: str, shots: Sequence[Any], fields: dict[str, Any]) -> Iterator[Any]:
    """(name, schema class, prompt, expected) for each example of a guideline-matching batch."""
    cls = getattr(module, name)
    for index, shot in enumerate(shots):
        made = object.__new__(cls)
        guidelines = {str(i): guideline(i, content) for i, content in enumerate(shot.guidelines, start=1)}
        made.__dict__.update(
            _logger=LOGGER,
            _guidelines=guidelines,
            _context=context(),
            _journeys=[],
            _meter=LocalMeter(LOGGER),
            **fields,
        )
        prompt = made._build_prompt(shots=shots)
        yield pytest.param(type(shot.expected_result), prompt, dump(shot.expected_result), id=f"{name}-{index}")


def described(shots: Sequence[Any]) -> list[Any]:
    """The examples, each guideline with a description that looks like an entry of the list it is printed in."""
    text = 'Said once.\n2) Condition: he asks {twice}. Action: "none"'
    return [replace(shot, guidelines=[replace(each, description=text) for each in shot.guidelines]) for shot in shots]


def check_cases(change: Callable[[Sequence[Any]], Sequence[Any]] = list) -> Iterator[Any]:
    for module, name in (
        (observational_batch, "GenericObservationalGuidelineMatchingBatch"),
        (guideline_actionable_batch, "GenericActionableGuidelineMatchingBatch"),
        (guideline_previously_applied_actionable_batch, "GenericPreviouslyAppliedActionableGuidelineMatchingBatch"),
        (
            guideline_previously_applied_actionable_customer_dependent_batch,
            "GenericPreviouslyAppliedActionableCustomerDependentGuidelineMatchingBatch",
        ),
    ):
        for case in batch(module, name, change(module._baseline_shots), {}):
            schema, prompt, expected = case.values
            yield pytest.param(schema, prompt, numbered(expected), id=case.id)
    module = guideline_low_criticality_batch
    yield from batch(module, "GenericLowCriticalityGuidelineMatchingBatch", change(module._baseline_shots), {})
    for index, shot in enumerate(change(response_analysis_batch._baseline_shots)):
        made = object.__new__(response_analysis_batch.GenericResponseAnalysisBatch)
        made.__dict__.update(_logger=LOGGER, _context=context())
        guidelines = {str(i): guideline(i, content) for i, content in enumerate(shot.guidelines, start=1)}
        prompt = made._build_prompt(shots=[shot], guidelines=guidelines)
        yield pytest.param(
            type(shot.expected_result), prompt, numbered(dump(shot.expected_result)), id=f"ResponseAnalysis-{index}"
        )


def disambiguation_cases() -> Iterator[Any]:
    for index, shot in enumerate(disambiguation_batch._baseline_shots):
        made = object.__new__(disambiguation_batch.GenericDisambiguationGuidelineMatchingBatch)
        made.__dict__.update(
            _logger=LOGGER,
            _context=context(),
            _disambiguation_guideline=guideline(0, shot.disambiguation_condition),
        )
        targets = {
            str(i): disambiguation_batch._Guideline(
                conditions=[g.condition], action=g.action, ids=[GuidelineId(f"g{i}")]
            )
            for i, g in enumerate(shot.disambiguation_targets, start=1)
        }
        prompt = made._build_prompt(disambiguation_targets_guidelines=targets, shots=[shot])
        yield pytest.param(type(shot.expected_result), prompt, dump(shot.expected_result), id=f"Disambiguation-{index}")


JOURNEY = SimpleNamespace(title="Journey", description="", id="j")


def node_selection(shot: Any) -> Any:
    made = object.__new__(journey_backtrack_node_selection.JourneyBacktrackNodeSelection)
    made.__dict__.update(
        _logger=LOGGER,
        _context=context(),
        _examined_journey=JOURNEY,
        _journey_conditions=[],
        _journey_triggers=[],
        _node_wrappers=shot.journey_nodes,
        _previous_path=shot.previous_path,
    )
    return made


def journey_cases() -> Iterator[Any]:
    for index, shot in enumerate(journey_next_step_selection._baseline_shots):
        made = object.__new__(journey_next_step_selection.JourneyNextStepSelection)
        made.__dict__.update(
            _logger=LOGGER,
            _context=context(),
            _examined_journey=JOURNEY,
            _journey_conditions=[],
            _journey_triggers=[],
            _current_node=shot.current_node,
            _follow_up_conditions=shot.follow_up_conditions,
            _reset_journey=False,
        )
        yield pytest.param(
            type(shot.expected_result),
            made._build_prompt(shots=[]),
            dump(shot.expected_result),
            id=f"NextStep-{index}",
        )
    for index, shot in enumerate(journey_backtrack_node_selection._baseline_shots):
        if shot.journey_nodes:  # one example shows an answer without its journey
            prompt = node_selection(shot)._build_prompt(shots=[])
            yield pytest.param(
                type(shot.expected_result), prompt, dump(shot.expected_result), id=f"NodeSelection-{index}"
            )
    for index, shot in enumerate(journey_backtrack_check._baseline_shots):
        yield pytest.param(
            type(shot.expected_result), PromptBuilder(), dump(shot.expected_result), id=f"BacktrackCheck-{index}"
        )


def evaluation_cases() -> Iterator[Any]:
    for index, shot in enumerate(journey_reachable_nodes_evaluation._baseline_shots):
        made = object.__new__(journey_reachable_nodes_evaluation.JourneyReachableNodesEvaluator)
        prompt = made._build_prompt(shot.node, shot.children_info, [])
        yield pytest.param(type(shot.expected_result), prompt, dump(shot.expected_result), id=f"Reachable-{index}")
    for index, shot in enumerate(relative_action_proposer._baseline_shots):
        made = object.__new__(relative_action_proposer.RelativeActionProposer)
        structure = _relative_action_text(made, shot)
        prompt = PromptBuilder().add_section(
            "relative-action-proposer-output-format", "{result_structure_text}", {"result_structure_text": structure}
        )
        yield pytest.param(type(shot.expected_result), prompt, dump(shot.expected_result), id=f"RelativeAction-{index}")


def _relative_action_text(proposer: Any, shot: Any) -> str:
    """The host's own printing, with its lookup of steps answered by the example's steps."""
    original = relative_action_proposer.build_node_wrappers
    relative_action_proposer.build_node_wrappers = lambda _guidelines: shot.journey_steps
    try:
        return proposer._format_text([])
    finally:
        relative_action_proposer.build_node_wrappers = original


def draft_events(expected: Any) -> list[Any]:
    """The customer's message and the preamble that an example restates, as the host's events."""
    said = {"message": expected.last_message_of_user}
    sent = {"message": expected.response_preamble_that_was_already_sent}
    return [
        SimpleNamespace(kind=EventKind.MESSAGE, source=EventSource.CUSTOMER, offset=0, data=said),
        SimpleNamespace(kind=EventKind.MESSAGE, source=EventSource.AI_AGENT, offset=1, data=sent),
    ]


def draft_format(events: list[Any], texts: Sequence[str]) -> str:
    """The host's own printing of guidelines that have an action only."""
    guidelines = [guideline(number, GuidelineContent(condition="", action=text)) for number, text in enumerate(texts)]
    matches = [SimpleNamespace(guideline=one) for one in guidelines]
    printed: str = object.__new__(canned.CannedResponseGenerator)._get_draft_output_format(events, matches)
    return printed.replace("When , then ", "")  # 3.2 prints the condition that there isn't


def draft_cases() -> Iterator[Any]:
    for index, shot in enumerate(canned._draft_generation_baseline_shots):
        events = draft_events(shot.expected_result)
        printed = draft_format(events, shot.expected_result.guidelines)
        props = {"formatted_output_format": printed, "interaction_history": events}
        prompt = PromptBuilder().add_section("canned-response-generator-output-format", "", props)
        yield pytest.param(type(shot.expected_result), prompt, dump(shot.expected_result), id=f"Draft-{index}")


CASES = [
    *check_cases(),
    *disambiguation_cases(),
    *journey_cases(),
    *evaluation_cases(),
    *draft_cases(),
]


@pytest.mark.parametrize(("schema", "prompt", "expected"), CASES)
def test_the_hosts_own_examples_fit_the_tightened_schema(schema: Any, prompt: PromptBuilder, expected: Any) -> None:
    outcome = tighten(schema.__name__, answer_type(schema).schema, prompt)
    assert outcome.tightened, outcome.problem
    jsonschema.Draft202012Validator(outcome.schema).validate(expected)


IDS = {"guideline_id", "applied_condition_id", "next_step", "child_id", "index"}


@pytest.mark.parametrize(("schema", "prompt", "expected"), CASES)
def test_an_unknown_id_anywhere_no_longer_fits(schema: Any, prompt: PromptBuilder, expected: Any) -> None:
    outcome = tighten(schema.__name__, answer_type(schema).schema, prompt)
    wrong = copy.deepcopy(expected)
    changed = list(_spoil(wrong))
    if not changed:
        pytest.skip("this example names no id")
    for spoil in changed:
        broken = copy.deepcopy(expected)
        spoil(broken)
        assert not jsonschema.Draft202012Validator(outcome.schema).is_valid(broken)


def _spoil(value: Any, path: tuple[Any, ...] = ()) -> Iterator[Callable[[Any], None]]:
    if isinstance(value, dict):
        for key, child in value.items():
            if key in IDS and isinstance(child, str):
                yield _setter((*path, key))
            yield from _spoil(child, (*path, key))
    elif isinstance(value, list):
        for position, child in enumerate(value):
            yield from _spoil(child, (*path, position))


def _setter(path: tuple[Any, ...]) -> Callable[[Any], None]:
    def change(target: Any) -> None:
        for part in path[:-1]:
            target = target[part]
        target[path[-1]] = "no such id"

    return change


@pytest.mark.parametrize(("schema", "prompt", "expected"), [case for case in CASES if "checks" in case.values[2]])
def test_checks_must_be_complete_and_in_order(schema: Any, prompt: PromptBuilder, expected: Any) -> None:
    validator = jsonschema.Draft202012Validator(tighten(schema.__name__, answer_type(schema).schema, prompt).schema)
    assert not validator.is_valid({"checks": expected["checks"][:-1]})
    assert not validator.is_valid({"checks": [*expected["checks"], expected["checks"][-1]]})
    if len(expected["checks"]) > 1:
        assert not validator.is_valid({"checks": expected["checks"][::-1]})


_DESCRIBES = any(field.name == "description" for field in fields(GuidelineContent))


@pytest.mark.skipif(not _DESCRIBES, reason="this release of Parlant has no descriptions of guidelines")
def test_descriptions_of_guidelines_change_nothing() -> None:
    plain, told = list(check_cases()), list(check_cases(described))
    assert len(plain) == len(told)
    seen = 0
    for (schema, prompt, _), (_, with_text, _) in (
        (one.values, other.values) for one, other in zip(plain, told, strict=True)
    ):
        seen += "Said once." in as_text(with_text)
        given = answer_type(schema).schema
        outcome = tighten(schema.__name__, given, with_text)
        assert outcome.tightened, outcome.problem
        assert outcome.schema == tighten(schema.__name__, given, prompt).schema
    assert seen >= len(plain) // 2  # an observation's is not printed


class Complaints(StdoutLogger):
    def __init__(self) -> None:
        super().__init__(LocalTracer(), LogLevel.CRITICAL)
        self.with_standard_logging: list[str] = []

    def warning(self, message: str) -> None:
        self.with_standard_logging.append(message)


@pytest.mark.parametrize("tightened", [True, False])
def test_the_host_complains_of_no_way_through_a_journey_that_the_tightened_schema_allows(tightened: bool) -> None:
    """Random answers, judged by the host's own check."""
    cls = journey_backtrack_node_selection.JourneyBacktrackNodeSelectionSchema
    complaints, source = Complaints(), ScriptedBackend(seed=5)
    plain = inlined(answer_type(cls).schema)
    for shot in journey_backtrack_node_selection._baseline_shots:
        if not shot.journey_nodes:
            continue
        selection = node_selection(shot)
        selection._logger = complaints
        schema = tighten(cls.__name__, plain, selection._build_prompt(shots=[])).schema if tightened else plain
        for _ in range(200):
            selection._get_verified_node_advancement(cls.model_validate(source.value(schema, {})))
    assert bool(complaints.with_standard_logging) is not tightened


@pytest.mark.parametrize("texts", [[], ['say "no"'], ["two\nlines", 'a", "b', '[x], "insights": ']])
def test_a_draft_restates_what_its_prompt_prints_and_nothing_else(texts: list[str]) -> None:
    """Texts that the host prints without escaping them."""
    expected = canned.CannedResponseDraftSchema(
        last_message_of_user="Hi",
        guidelines=texts,
        response_preamble_that_was_already_sent='He said "hey", ok',
        response_body="Hello.",
    )
    events = draft_events(expected)
    printed = draft_format(events, texts)
    prompt = PromptBuilder().add_section(
        "canned-response-generator-output-format",
        "",
        {"formatted_output_format": printed, "interaction_history": events},
    )
    schema = answer_type(canned.CannedResponseDraftSchema).schema
    bound = tighten("CannedResponseDraftSchema", schema, prompt).schema["properties"]
    constants = [item["const"] for item in bound["guidelines"].get("prefixItems", ())]
    assert bound["guidelines"]["maxItems"] == len(constants)
    assert '", "'.join(constants) == '", "'.join(texts)
    assert bound["response_preamble_that_was_already_sent"] == {"const": 'He said "hey", ok'}


def test_every_schema_with_shots_is_covered() -> None:
    assert len({case.values[0] for case in CASES}) >= 12
