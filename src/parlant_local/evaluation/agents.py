"""Puts an examined agent into Parlant's stores, as a good model would have evaluated it.

At start Parlant lets the model itself evaluate each guideline and journey: whether an action continues, what has to happen
before it is complete, which steps can be reached at once. Here the file says it, so that every model sits the same
examination, and none pays for hundreds of calls before its first question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import parlant.sdk as p
from lagom import Container
from parlant.core.agents import AgentId, AgentStore
from parlant.core.canned_responses import CannedResponseStore
from parlant.core.common import Criticality
from parlant.core.engines.alpha.perceived_performance_policy import (
    NullPerceivedPerformancePolicy,
    PerceivedPerformancePolicyProvider,
)
from parlant.core.glossary import GlossaryStore
from parlant.core.guideline_tool_associations import GuidelineToolAssociationStore
from parlant.core.guidelines import Guideline, GuidelineId, GuidelineStore
from parlant.core.journey_guideline_projection import (
    JourneyGuidelineProjection,
    extract_node_id_from_journey_node_guideline_id,
)
from parlant.core.journeys import JourneyId, JourneyNode, JourneyNodeId, JourneyStore
from parlant.core.relationships import RelationshipEntity, RelationshipEntityKind, RelationshipKind, RelationshipStore
from parlant.core.tags import Tag, TagId
from parlant.core.tools import ToolId

from parlant_local.evaluation.format import AgentUnderTest, Journey, Rule, Step
from parlant_local.evaluation.room import component

__all__ = ["Enrolled", "enrol", "reachable"]

_MAX_HOPS = 3
_TAG = RelationshipEntityKind[
    "TAG_ALL" if "TAG_ALL" in RelationshipEntityKind.__members__ else "TAG"
]  # as 3.3 | 3.2 calls it


@dataclass
class Enrolled:
    """An agent in Parlant's stores, and what its parts are called there."""

    id: AgentId
    service: str
    """The tool service that has its tools."""
    guidelines: dict[GuidelineId, str] = field(default_factory=dict)
    journeys: dict[JourneyId, str] = field(default_factory=dict)
    steps: dict[JourneyNodeId, tuple[str, str]] = field(default_factory=dict)
    """To the names of journey and step."""
    indices: dict[tuple[str, str], str] = field(default_factory=dict)
    """A step's number in Parlant's paths, by the names of journey and step."""
    canned: dict[str, str] = field(default_factory=dict)


async def enrol(container: Container, agent: AgentUnderTest, service: str) -> Enrolled:
    """``agent`` in the stores of ``container``, with its tools in the service of this name."""
    mode = p.CompositionMode.STRICT if agent.composition == "strict" else p.CompositionMode.FLUID
    stored = await component(container, AgentStore).create_agent(
        name=agent.name, description=agent.description, composition_mode=mode.value
    )
    # Preambles and waits would only cost time: nothing is decided in them.
    component(container, PerceivedPerformancePolicyProvider).set_policy(stored.id, NullPerceivedPerformancePolicy())
    enrolled = Enrolled(stored.id, service)
    tags = [_tag(Tag.for_agent_id(stored.id))]
    for name, description in agent.glossary.items():
        await component(container, GlossaryStore).create_term(name=name, description=description, tags=tags)
    for name, rule in agent.guidelines.items():
        enrolled.guidelines[await _guideline(container, rule, tags, service)] = name
    for name, journey in agent.journeys.items():
        await _Journeys(container, enrolled).add(name, journey, tags)
    for name, text in agent.canned.items():
        response = await component(container, CannedResponseStore).create_canned_response(
            value=text.text, fields=[], signals=text.signals, tags=tags
        )
        enrolled.canned[response.id] = name
    return enrolled


async def _guideline(container: Container, rule: Rule, tags: list[TagId], service: str) -> GuidelineId:
    stored: Guideline = await component(container, GuidelineStore).create_guideline(
        condition=rule.when,
        action=rule.do,
        criticality=Criticality[rule.criticality.upper()],
        metadata={"continuous": rule.continuous, "customer_dependent_action_data": _awaiting(rule.awaits)},
        tags=tags,
    )
    for tool in rule.tools:
        await component(container, GuidelineToolAssociationStore).create_association(stored.id, ToolId(service, tool))
    return stored.id


def _tag(tag: Tag | TagId) -> TagId:
    """Parlant 3.2 gives the id itself."""
    return tag.id if isinstance(tag, Tag) else tag


def _awaiting(customer_action: str | None) -> Mapping[str, Any]:
    """As Parlant's own evaluation of what an action depends on."""
    return {
        "is_customer_dependent": customer_action is not None,
        "customer_action": customer_action,
        "is_agent_dependent": customer_action is None,
        "agent_action": None,
    }


@dataclass
class _Journeys:
    container: Container
    enrolled: Enrolled

    async def add(self, name: str, journey: Journey, tags: list[TagId]) -> None:
        guidelines, journeys = component(self.container, GuidelineStore), component(self.container, JourneyStore)
        conditions = [(await guidelines.create_guideline(condition=condition)).id for condition in journey.when]
        stored = await journeys.create_journey(journey.title, journey.description, conditions)
        for condition in conditions:
            await guidelines.upsert_tag(condition, _tag(Tag.for_journey_id(stored.id)))
        for tag in tags:
            await journeys.upsert_tag(stored.id, tag)
        self.enrolled.journeys[stored.id] = name
        nodes = {step: await self._node(stored.id, journey.steps[step]) for step in journey.steps}
        self.enrolled.steps.update({node: (name, step) for step, node in nodes.items()})
        await journeys.create_edge(stored.id, stored.root_id, nodes[next(iter(journey.steps))], None)
        for step, described in journey.steps.items():
            for following, condition in described.then.items():
                await journeys.create_edge(stored.id, nodes[step], nodes[following], condition)
        await self._number(stored.id)
        for step, node in nodes.items():
            await self._describe(name, journey, step, node)

    async def _node(self, journey: JourneyId, step: Step) -> JourneyNodeId:
        tools = [ToolId(self.enrolled.service, step.tool)] if step.tool else []
        action = step.do or f"Use the tool {step.tool}"
        node: JourneyNode = await component(self.container, JourneyStore).create_node(journey, action, tools)
        for tool in tools:
            # Parlant matches a journey again once the tool of its step has run.
            await component(self.container, RelationshipStore).create_relationship(
                source=RelationshipEntity(_tag(Tag.for_journey_node_id(node.id)), _TAG),
                target=RelationshipEntity(tool, RelationshipEntityKind.TOOL),
                kind=RelationshipKind.REEVALUATION,
            )
        return node.id

    async def _number(self, journey: JourneyId) -> None:
        for guideline in await component(self.container, JourneyGuidelineProjection).project_journey_to_guidelines(
            journey
        ):
            node = extract_node_id_from_journey_node_guideline_id(guideline.id)
            told: Any = guideline.metadata["journey_node"]
            if node in self.enrolled.steps:
                self.enrolled.indices[self.enrolled.steps[node]] = str(told["index"])

    async def _describe(self, name: str, journey: Journey, step: str, node: JourneyNodeId) -> None:
        described = journey.steps[step]
        ways = [
            {"condition": condition, "path": [self.enrolled.indices[name, each] for each in path]}
            for condition, path in reachable(journey, step)
        ]
        kind = "tool" if described.tool else "chat"
        store = component(self.container, JourneyStore)
        await store.set_node_metadata(node, "journey_node", {"kind": kind, "reachable_follow_ups": ways})
        if not described.tool:
            await store.set_node_metadata(node, "customer_dependent_action_data", dict(_awaiting(described.done_when)))


def reachable(journey: Journey, step: str) -> list[tuple[str, list[str]]]:
    """Where a turn may go on from ``step``: each condition, and the steps that it leads through.

    A step that waits for the customer may be passed at once, where the customer has done already what it waits for.
    """
    return list(_onwards(journey, step, [], [], {step}))


def _onwards(
    journey: Journey, step: str, conditions: list[str], path: list[str], seen: set[str]
) -> Iterator[tuple[str, list[str]]]:
    for following, condition in journey.steps[step].then.items():
        if following in seen:
            continue
        told = [*conditions, *([condition] if condition else [])]
        way = [*path, following]
        waits = journey.steps[following].done_when
        unmet = [f"it is not yet so that {waits}"] if waits and journey.steps[following].then else []
        yield " AND ".join([*told, *unmet]) or "The current step is complete", way
        if waits and len(way) < _MAX_HOPS:
            yield from _onwards(journey, following, [*told, waits], way, {*seen, following})
