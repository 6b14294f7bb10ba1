"""One case: the conversation so far is put into a session, Parlant's engine makes the next turn, and what it did is noted.

A turn goes only as far as the case needs: where nothing is expected of tools, journeys or the reply, it ends after matching,
and where nothing is expected of the reply, before it is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, cast

from lagom import Container
from parlant.core.agents import AgentStore
from parlant.core.common import generate_id
from parlant.core.customers import CustomerStore
from parlant.core.emission.event_buffer import EventBuffer
from parlant.core.engines.alpha.engine_context import EngineContext
from parlant.core.engines.alpha.hooks import EngineHookResult, EngineHooks
from parlant.core.engines.types import Context, Engine
from parlant.core.guidelines import Guideline
from parlant.core.journey_guideline_projection import extract_node_id_from_journey_node_guideline_id
from parlant.core.journeys import JourneyId
from parlant.core.sessions import AgentState, EventKind, EventSource, Session, SessionId, SessionStore
from parlant.core.tools import ToolId

from parlant_local.evaluation.agents import Enrolled, enrol
from parlant_local.evaluation.decisions import Observed
from parlant_local.evaluation.format import Call, Line
from parlant_local.evaluation.reading import Exercise
from parlant_local.evaluation.room import component
from parlant_local.evaluation.tools import result_of

__all__ = ["Invigilator"]


class Invigilator:
    """Runs cases on the components of one room; several at once."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._agents: dict[str, Enrolled] = {}
        self._sitting: dict[SessionId, Exercise] = {}
        self._contexts: dict[SessionId, EngineContext] = {}
        hooks = component(container, EngineHooks)
        hooks.on_preparation_iteration_end.append(self._after_iteration)
        hooks.on_generating_messages.append(self._before_reply)

    async def admit(self, cases: Sequence[Exercise]) -> None:
        """Puts their agents into Parlant's stores. Before the first case: until a part has all its tags, it is every agent's."""
        for case in cases:
            if case.file not in self._agents:
                self._agents[case.file] = await enrol(self._container, case.agent, case.file)

    def exercise_of(self, session: str | None) -> Exercise | None:
        """The case that is sat in this session."""
        return self._sitting.get(SessionId(session or ""))

    async def run(self, exercise: Exercise) -> Observed:
        """The turn that the case is about."""
        enrolled = self._agents[exercise.file]
        session = await self._session(exercise, enrolled)
        self._sitting[session.id] = exercise
        try:
            agent = await component(self._container, AgentStore).read_agent(enrolled.id)
            events = EventBuffer(agent)
            engine = component(self._container, Engine)
            await engine.process(Context(session_id=session.id, agent_id=enrolled.id), events)
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise asyncio.CancelledError  # the engine keeps it to itself; an interrupted turn has no result
            return self._observed(enrolled, self._contexts.get(session.id), events)
        finally:
            self._contexts.pop(session.id, None)
            del self._sitting[session.id]
            await component(self._container, SessionStore).delete_session(session.id)

    async def _session(self, exercise: Exercise, enrolled: Enrolled) -> Session:
        store: SessionStore = component(self._container, SessionStore)
        session = await store.create_session(CustomerStore.GUEST_ID, enrolled.id)
        for line in exercise.case.conversation:
            source, kind, data = _event(line, exercise, enrolled)
            await store.create_event(session.id, source, kind, generate_id(), data)
        before = exercise.case.before
        names = {name: key for key, name in enrolled.guidelines.items()}
        journeys = {name: key for key, name in enrolled.journeys.items()}
        state = AgentState(
            trace_id=generate_id(),
            applied_guideline_ids=[names[name] for name in before.applied],
            journey_paths={
                journeys[name]: [enrolled.indices[name, step] for step in steps]
                for name, steps in before.journeys.items()
            },
        )
        return await store.update_session(session.id, {"agent_states": [state]})

    async def _after_iteration(
        self, context: EngineContext, _payload: Any, _error: Exception | None
    ) -> EngineHookResult:
        exercise = self._sitting.get(context.session.id)
        if exercise is None:
            return EngineHookResult.CALL_NEXT
        self._contexts[context.session.id] = context
        expect = exercise.case.expect
        goes_on = expect.needs_reply or expect.calls is not None or bool(expect.journey)
        return EngineHookResult.CALL_NEXT if goes_on else EngineHookResult.BAIL

    async def _before_reply(self, context: EngineContext, _payload: Any, _error: Exception | None) -> EngineHookResult:
        exercise = self._sitting.get(context.session.id)
        needs_reply = exercise is None or exercise.case.expect.needs_reply
        return EngineHookResult.CALL_NEXT if needs_reply else EngineHookResult.BAIL

    def _observed(self, enrolled: Enrolled, context: EngineContext | None, events: EventBuffer) -> Observed:
        error = _failure(events)
        if context is None:
            return Observed(error=error or "the turn ended before anything was decided")
        matched = list(_matched(context))
        messages = [cast(dict[str, Any], event.data) for event in events.events if event.kind is EventKind.MESSAGE]
        return Observed(
            guidelines=frozenset(enrolled.guidelines[each.id] for each in matched if each.id in enrolled.guidelines),
            journeys=dict(_steps(matched, enrolled)),
            calls=tuple(_calls(context)),
            reply="\n\n".join(str(data.get("message", "")).strip() for data in messages) if messages else None,
            canned=tuple(
                enrolled.canned[key]
                for data in messages
                for key, _ in data.get("canned_responses") or ()
                if key in enrolled.canned
            ),
            error=error,
        )


def _event(line: Line, exercise: Exercise, enrolled: Enrolled) -> tuple[EventSource, EventKind, Any]:
    if line.called is not None:
        return EventSource.SYSTEM, EventKind.TOOL, {"tool_calls": [_past_call(line.called, exercise)]}
    if line.customer is not None:
        participant = {"id": CustomerStore.GUEST_ID, "display_name": "Guest"}
        return EventSource.CUSTOMER, EventKind.MESSAGE, {"message": line.customer, "participant": participant}
    participant = {"id": enrolled.id, "display_name": exercise.agent.name}
    return EventSource.AI_AGENT, EventKind.MESSAGE, {"message": line.agent, "participant": participant}


def _past_call(call: Call, exercise: Exercise) -> dict[str, Any]:
    result = result_of(exercise.agent.tools[call.tool], call.arguments)
    return {
        "tool_id": ToolId(exercise.file, call.tool).to_string(),
        "arguments": dict(call.arguments),
        "result": {
            "data": result.data,
            "metadata": {},
            "control": {},
            "canned_responses": [],
            "canned_response_fields": dict(result.fields),
            "guidelines": [],
        },
    }


def _matched(context: EngineContext) -> Iterator[Guideline]:
    """In the order in which they were matched: of a journey, the last one counts."""
    for iteration in context.state.iterations:
        for match in iteration.matched_guidelines:
            yield match.guideline


def _steps(matched: list[Guideline], enrolled: Enrolled) -> Iterator[tuple[str, str]]:
    last: dict[str, str | None] = {}
    for guideline in matched:
        node = guideline.metadata.get("journey_node")
        if not isinstance(node, dict):
            continue
        known = enrolled.steps.get(extract_node_id_from_journey_node_guideline_id(guideline.id))
        journey = enrolled.journeys.get(JourneyId(str(node["journey_id"])))
        if journey is not None:
            last[journey] = known[1] if known else None  # the root: it was left
    return ((journey, step) for journey, step in last.items() if step is not None)


def _calls(context: EngineContext) -> Iterator[tuple[str, dict[str, Any]]]:
    for event in context.state.tool_events:
        for call in cast(dict[str, Any], event.data)["tool_calls"]:
            yield ToolId.from_string(call["tool_id"]).tool_name, dict(call["arguments"])


def _failure(events: EventBuffer) -> str:
    for event in events.events:
        data = cast(dict[str, Any], event.data) if isinstance(event.data, dict) else {}
        if event.kind is EventKind.STATUS and data.get("status") == "error":
            told = str((data.get("data") or {}).get("exception") or "the turn failed")
            return told.strip("[]'\" \n").replace("\\n", "\n").strip().splitlines()[-1].strip("',\"] ")[:300]
    return ""
