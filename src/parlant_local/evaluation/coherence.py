"""Whether what a case expects exists in its agent: names, tools and their arguments, steps, canned responses."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TypeAlias

from parlant_local.evaluation.format import AgentUnderTest, Call, Case, CaseFile, Expectation, Journey

__all__ = ["Problem", "problems"]

Location: TypeAlias = tuple[str | int, ...]
Problem: TypeAlias = tuple[Location, str]
"""Where in the file, and what is wrong there."""


def problems(file: CaseFile) -> Iterator[Problem]:
    yield from _of_agent(file.agent)
    seen: set[str] = set()
    for index, case in enumerate(file.cases):
        if case.id in seen:
            yield ("cases", index, "id"), f"the id {case.id!r} is used twice"
        seen.add(case.id)
        for place, text in _of_case(file.agent, case):
            yield ("cases", index, *place), text


def _unknown(kind: str, name: str, known: Collection[str]) -> str:
    return f"there is no {kind} {name!r} in the agent, which has {', '.join(sorted(known)) or 'none'}"


def _of_agent(agent: AgentUnderTest) -> Iterator[Problem]:
    for name, rule in agent.guidelines.items():
        for tool in rule.tools:
            if tool not in agent.tools:
                yield ("agent", "guidelines", name, "tools"), _unknown("tool", tool, agent.tools)
    for name, tool_ in agent.tools.items():
        for index, result in enumerate(tool_.results):
            for parameter in result.when:
                if parameter not in tool_.parameters:
                    where = ("agent", "tools", name, "results", index, "when")
                    yield where, _unknown("parameter", parameter, tool_.parameters)
    for name, journey in agent.journeys.items():
        for step, text in _of_journey(agent, journey):
            yield ("agent", "journeys", name, "steps", step), text
    if agent.composition == "strict" and not agent.canned:
        yield ("agent", "composition"), "a strict agent needs canned responses"


def _of_journey(agent: AgentUnderTest, journey: Journey) -> Iterator[tuple[str, str]]:
    for name, step in journey.steps.items():
        if step.tool is not None and step.tool not in agent.tools:
            yield name, _unknown("tool", step.tool, agent.tools)
        for following, condition in step.then.items():
            if following not in journey.steps:
                yield name, _unknown("step", following, journey.steps)
            if condition is None and len(step.then) > 1:
                yield name, f"{following!r} needs a condition, since other steps may follow as well"


def _of_case(agent: AgentUnderTest, case: Case) -> Iterator[Problem]:
    for name in case.before.applied:
        if name not in agent.guidelines:
            yield ("before", "applied"), _unknown("guideline", name, agent.guidelines)
    for name, steps in case.before.journeys.items():
        if name not in agent.journeys:
            yield ("before", "journeys"), _unknown("journey", name, agent.journeys)
            continue
        for step in steps:
            if step not in agent.journeys[name].steps:
                yield ("before", "journeys", name), _unknown("step", step, agent.journeys[name].steps)
    for index, line in enumerate(case.conversation):
        if line.called is not None:
            for text in _of_call(agent, line.called):
                yield ("conversation", index, "called"), text
    for place, text in _of_expectation(agent, case.expect):
        yield ("expect", *place), text


def _of_expectation(agent: AgentUnderTest, expect: Expectation) -> Iterator[Problem]:
    for key in ("apply", "either"):
        for name in getattr(expect, key) or ():
            if name not in agent.guidelines:
                yield (key,), _unknown("guideline", name, agent.guidelines)
    if both := set(expect.apply or ()) & set(expect.either):
        yield ("either",), f"{', '.join(sorted(both))} can't be in both `apply` and `either`"
    for index, call in enumerate(expect.calls or ()):
        for text in _of_call(agent, call):
            yield ("calls", index), text
    for name, step in expect.journey.items():
        if name not in agent.journeys:
            yield ("journey",), _unknown("journey", name, agent.journeys)
        elif step is not None and step not in agent.journeys[name].steps:
            yield ("journey", name), _unknown("step", step, agent.journeys[name].steps)
    for name in [expect.canned] if isinstance(expect.canned, str) else expect.canned or ():
        if name not in agent.canned:
            yield ("canned",), _unknown("canned response", name, agent.canned)


def _of_call(agent: AgentUnderTest, call: Call) -> Iterator[str]:
    if call.tool not in agent.tools:
        yield _unknown("tool", call.tool, agent.tools)
        return
    parameters = agent.tools[call.tool].parameters
    for name, check in call.arguments.items():
        if name not in parameters:
            yield _unknown(f"parameter of {call.tool}", name, parameters)
        elif (choices := parameters[name].enum) and isinstance(check, str) and check not in choices:
            yield f"{check!r} is not a choice of {name}: {', '.join(choices)}"
