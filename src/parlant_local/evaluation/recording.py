"""A session of a running Parlant server, written down as a case to be edited: what happened in its last turn is what it expects."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import yaml
from parlant.client import AsyncParlantClient
from parlant.client.core.api_error import ApiError

from parlant_local.errors import AgentError
from parlant_local.evaluation.records import slug

__all__ = ["recorded"]

_TYPES = {"string", "number", "integer", "boolean", "date", "array"}
_HEADER = """\
# Recorded from session {session} of agent {agent}. It expects what happened; change that to what should have.
# Left out, since Parlant's API does not tell them: journeys, and what other results a tool has.
# The reply was: {reply}
"""


async def recorded(address: str, session: str) -> str:
    """The text of a file with one case. Raises :class:`AgentError`."""
    async with _client(address) as client:
        agent_id = (await client.sessions.retrieve(session)).agent_id
        events = await client.sessions.list_events(session, wait_for_data=0)
        writer = _Writer([event for event in events if not event.deleted])
        if writer.asked is None:
            raise AgentError(f"Session {session} has no message of a customer.")
        agent = await writer.agent(client, agent_id)
    case = {"id": f"session-{slug(session).lower().replace('_', '-').replace('.', '-')}", **writer.case()}
    text = yaml.safe_dump({"agent": agent, "cases": [case]}, allow_unicode=True, sort_keys=False, width=110)
    return _HEADER.format(session=session, agent=agent_id, reply=" ".join((writer.reply() or "none").split())) + text


@asynccontextmanager
async def _client(address: str) -> AsyncIterator[AsyncParlantClient]:
    async with httpx.AsyncClient(timeout=60, follow_redirects=True) as http:
        try:
            yield AsyncParlantClient(base_url=address, httpx_client=http)
        except ApiError as error:
            if error.status_code == 404:
                raise AgentError(f"The Parlant server at {address} has no such session.") from error
            raise AgentError(f"The Parlant server at {address} responded with status {error.status_code}.") from error
        except httpx.HTTPError as error:
            raise AgentError(f"The Parlant server at {address} can't be reached: {type(error).__name__}.") from error


@dataclass
class _Writer:
    events: Sequence[Any]
    guidelines: dict[str, str] = field(default_factory=dict)
    """Id to name."""

    @property
    def asked(self) -> int | None:
        """Which event is the customer's last message."""
        found = [at for at, event in enumerate(self.events) if event.kind == "message" and event.source == "customer"]
        return found[-1] if found else None

    @property
    def turn(self) -> Sequence[Any]:
        """What came after it."""
        return self.events[(self.asked or 0) + 1 :]

    async def agent(self, client: AsyncParlantClient, agent_id: str) -> dict[str, Any]:
        agent, tag = await client.agents.retrieve(agent_id), f"agent:{agent_id}"
        rules = [await client.guidelines.retrieve(each.id) for each in await client.guidelines.list(tag_id=tag)]
        named = {
            f"{each.tool_id.service_name}:{each.tool_id.tool_name}" for rule in rules for each in rule.tool_associations
        }
        tools = {
            name: tool
            for service in {each.partition(":")[0] for each in named}
            for name, tool in await _tools(client, service)
        }
        used = {each.partition(":")[2] for each in named} | {name for name, _, _ in _calls(self.events)}
        canned = await client.canned_responses.list(tags=[tag])
        told = {
            "name": agent.name,
            "language": "en",
            "description": agent.description or "",
            "composition": "strict" if agent.composition_mode == "strict_canned" and canned else "fluid",
            "glossary": {term.name: term.description for term in await client.glossary.list_terms(tag_id=tag)},
            "tools": {name: self._tool(tools.get(name), name) for name in sorted(used)},
            "guidelines": {self._name(rule.guideline): _rule(rule) for rule in rules if rule.guideline.action},
            "canned": {each.id: {"text": each.value, "signals": list(each.signals)} for each in canned},
        }
        return {key: value for key, value in told.items() if value not in ({}, None)}

    def _name(self, guideline: Any) -> str:
        """A few words of its condition, unless another one has them."""
        words = re.findall(r"\w+", guideline.condition.casefold())[:6]
        base = name = "_".join(words) or "guideline"
        while name in self.guidelines.values():
            name = f"{base}_{len(self.guidelines)}"
        self.guidelines[guideline.id] = name
        return name

    def _tool(self, tool: Any, name: str) -> dict[str, Any]:
        """With the results that it had in this session; where it had none, an empty one."""
        calls = [(arguments, data) for called, arguments, data in _calls(self.events) if called == name]
        seen = {key for arguments, _ in calls for key in arguments}
        parameters = (
            {key: _parameter(one, key in tool.required) for key, one in tool.parameters.items()} if tool else {}
        )
        results = [{"when": _plain(arguments), "data": data} for arguments, data in calls]
        return {
            "description": tool.description if tool else name,
            "parameters": {**{key: {} for key in sorted(seen - set(parameters))}, **parameters},
            "results": results or [{"data": ""}],
        }

    def case(self) -> dict[str, Any]:
        conversation = [line for event in self.events[: (self.asked or 0) + 1] for line in _lines(event)]
        matched = {each["id"] for event in self.turn for each in _matched(event)}
        return {
            "conversation": conversation,
            "expect": {
                "apply": [name for key, name in self.guidelines.items() if key in matched],
                "calls": [{"tool": name, "with": _plain(arguments)} for name, arguments, _ in _calls(self.turn)],
            },
        }

    def reply(self) -> str:
        return "\n".join(
            str(e.data.get("message", "")) for e in self.turn if e.kind == "message" and e.source == "ai_agent"
        )


async def _tools(client: AsyncParlantClient, service: str) -> Iterable[tuple[str, Any]]:
    return [(tool.name, tool) for tool in (await client.services.retrieve(service)).tools or ()]


def _rule(rule: Any) -> dict[str, Any]:
    metadata = rule.guideline.metadata
    dependent = metadata.get("customer_dependent_action_data") or {}
    told = {
        "when": rule.guideline.condition or "always",
        "do": rule.guideline.action,
        "tools": [each.tool_id.tool_name for each in rule.tool_associations],
        "continuous": bool(metadata.get("continuous")),
        "awaits": dependent.get("customer_action") if dependent.get("is_customer_dependent") else None,
        "criticality": rule.guideline.criticality or "medium",
    }
    plain = {"tools": [], "continuous": False, "awaits": None, "criticality": "medium"}
    return {key: value for key, value in told.items() if key not in plain or value != plain[key]}


def _parameter(parameter: Any, required: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"type": parameter.type if parameter.type in _TYPES else "string"}
    if parameter.description:
        told["description"] = parameter.description
    if parameter.enum:
        told["enum"] = [str(choice) for choice in parameter.enum]
    return told if required else told | {"required": False}


def _lines(event: Any) -> list[dict[str, Any]]:
    if event.kind == "message":
        speaker = "customer" if event.source == "customer" else "agent"
        return [{speaker: str(event.data.get("message", ""))}]
    return [{"called": {"tool": name, "with": _plain(arguments)}} for name, arguments, _ in _calls([event])]


def _calls(events: Iterable[Any]) -> list[tuple[str, Mapping[str, Any], Any]]:
    """Name, arguments and result of each call of a tool."""
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


def _plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those that a case can hold."""
    return {
        key: value for key, value in arguments.items() if value is None or isinstance(value, str | int | float | bool)
    }
