"""A session of a running Parlant server, written down as a case to be edited: what happened in its last turn is what it expects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from parlant_local.errors import AgentError
from parlant_local.evaluation.definitions import DefinitionReader, ToolCall, connected, definitions_of, plain_arguments
from parlant_local.evaluation.records import slug

__all__ = ["recorded", "recorded_agent"]

_UNTOLD = "what other results a tool has, and what a journey's step waits for (`done_when`)"
_HEADER = """\
# Recorded from session {session} of agent {agent}. It expects what happened; change that to what should have.
# Left out, since Parlant's API does not tell it: {untold}.
# The reply was: {reply}
"""
_AGENT_HEADER = """\
# Agent {agent} of {address}. With --agent it is read from there each time: a file of cases needs no more of this than what
# Parlant's API does not tell: its language, {untold}.
"""


async def recorded(address: str, session: str) -> str:
    """The text of a file with one case. Raises :class:`AgentError`."""
    async with connected(address) as client:
        agent_id = (await client.sessions.retrieve(session)).agent_id
        events = await client.sessions.list_events(session, wait_for_data=0)
        told = _Session([event for event in events if not event.deleted])
        if told.asked is None:
            raise AgentError(f"Session {session} has no message of a customer.")
        reader = DefinitionReader(client, _calls(told.events))
        agent = await reader.read(agent_id)
    name = slug(session).lower().replace("_", "-").replace(".", "-")
    text = _yaml({"agent": agent, "cases": [{"id": f"session-{name}", **told.case(reader.guidelines)}]})
    reply = " ".join((told.reply() or "none").split())
    return _HEADER.format(session=session, agent=agent_id, untold=_UNTOLD, reply=reply) + text


async def recorded_agent(address: str, agent: str) -> str:
    """The text of a file that has everything but cases."""
    header = _AGENT_HEADER.format(agent=agent, address=address, untold=_UNTOLD)
    return header + _yaml({"agent": await definitions_of(address, agent), "cases": []})


def _yaml(data: Any) -> str:
    return yaml.safe_dump(data, allow_unicode=True, sort_keys=False, width=110)


@dataclass
class _Session:
    events: Sequence[Any]

    @property
    def asked(self) -> int | None:
        """Which event is the customer's last message."""
        found = [at for at, event in enumerate(self.events) if event.kind == "message" and event.source == "customer"]
        return found[-1] if found else None

    @property
    def turn(self) -> Sequence[Any]:
        """What came after it."""
        return self.events[(self.asked or 0) + 1 :]

    def case(self, guidelines: dict[str, str]) -> dict[str, Any]:
        conversation = [line for event in self.events[: (self.asked or 0) + 1] for line in _lines(event)]
        matched = {each["id"] for event in self.turn for each in _matched(event)}
        return {
            "conversation": conversation,
            "expect": {
                "apply": [name for key, name in guidelines.items() if key in matched],
                "calls": [
                    {"tool": name, "with": plain_arguments(arguments)} for name, arguments, _ in _calls(self.turn)
                ],
            },
        }

    def reply(self) -> str:
        return "\n".join(
            str(e.data.get("message", "")) for e in self.turn if e.kind == "message" and e.source == "ai_agent"
        )


def _lines(event: Any) -> list[dict[str, Any]]:
    if event.kind == "message":
        speaker = "customer" if event.source == "customer" else "agent"
        return [{speaker: str(event.data.get("message", ""))}]
    return [{"called": {"tool": name, "with": plain_arguments(arguments)}} for name, arguments, _ in _calls([event])]


def _calls(events: Iterable[Any]) -> list[ToolCall]:
    return [
        (call["tool_id"].partition(":")[2], call["arguments"], call["result"]["data"])
        for event in events
        if event.kind == "tool"
        for call in event.data["tool_calls"]
    ]


def _matched(event: Any) -> list[dict[str, str]]:
    if event.kind != "status" or event.data.get("status") != "ready":
        return []
    return list((event.data.get("data") or {}).get("matched_guidelines") or ())
