"""An agent's definitions, as a running Parlant server tells them: the `agent` of a file of cases."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import httpx
from parlant.client import AsyncParlantClient
from parlant.client.core.api_error import ApiError

from parlant_local.errors import AgentError
from parlant_local.evaluation.journey_charts import steps_of

__all__ = ["DefinitionReader", "ToolCall", "connected", "definitions_of", "plain_arguments"]

ToolCall: TypeAlias = tuple[str, Mapping[str, Any], Any]
"""Name, arguments and result."""

_TYPES = {"string", "number", "integer", "boolean", "date", "array"}


async def definitions_of(address: str, agent: str) -> dict[str, Any]:
    """Of the agent with this id or name. Raises :class:`AgentError`."""
    async with connected(address) as client:
        known = await client.agents.list()
        found = [each for each in known if agent in (each.id, each.name)]
        if len(found) != 1:
            listed = ", ".join(f"{each.id} ({each.name})" for each in known[:20]) or "none"
            many = "several agents" if found else "no agent"
            raise AgentError(f"The Parlant server at {address} has {many} called {agent!r}.", hint=f"Known: {listed}.")
        return await DefinitionReader(client).read(found[0].id)


@dataclass(frozen=True)
class JourneyTold:
    """As the API tells of it; which guidelines begin it are its ``conditions``, after Parlant 3.3 its ``triggers``."""

    id: str
    title: str
    description: str
    triggers: Sequence[str]

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> JourneyTold:
        begins = told["triggers"] if "triggers" in told else told["conditions"]
        return cls(told["id"], told["title"], told["description"], begins)


class Connection(AsyncParlantClient):
    """Parlant's client, whose releases know the fields of one line each, and the journeys of any."""

    def __init__(self, address: str, http: httpx.AsyncClient) -> None:
        super().__init__(base_url=address, httpx_client=http)
        self._http, self._journeys_at = http, f"{address.rstrip('/')}/journeys"

    async def journeys_of(self, tag: str) -> list[JourneyTold]:
        answer = await self._http.get(self._journeys_at, params={"tag_id": tag})
        if answer.is_error:
            raise ApiError(status_code=answer.status_code, body=answer.text)
        return [JourneyTold.of(each) for each in answer.json()]


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[Connection]:
    """A client; what goes wrong is an :class:`AgentError`."""
    async with httpx.AsyncClient(timeout=60, follow_redirects=True) as http:
        try:
            yield Connection(address, http)
        except ApiError as error:
            if error.status_code == 404:
                raise AgentError(f"The Parlant server at {address} has no such session.") from error
            raise AgentError(f"The Parlant server at {address} responded with status {error.status_code}.") from error
        except httpx.HTTPError as error:
            raise AgentError(f"The Parlant server at {address} can't be reached: {type(error).__name__}.") from error


@dataclass
class DefinitionReader:
    client: Connection
    calls: Sequence[ToolCall] = ()
    """Calls that were made: the API tells no other results of tools."""
    guidelines: dict[str, str] = field(default_factory=dict)
    """Id to name, of those that were read."""

    async def read(self, agent_id: str) -> dict[str, Any]:
        client, tag = self.client, f"agent:{agent_id}"
        agent = await client.agents.retrieve(agent_id)
        rules = [await client.guidelines.retrieve(each.id) for each in await client.guidelines.list(tag_id=tag)]
        used = {f"{each.tool_id.service_name}:{each.tool_id.tool_name}" for r in rules for each in r.tool_associations}
        journeys = await client.journeys_of(tag)
        tools = await self._tools({name.partition(":")[0] for name in used}, everything=bool(journeys))
        named = {name.partition(":")[2] for name in used} | {name for name, _, _ in self.calls}
        stories = {each.title: await self._journey(each, set(tools)) for each in journeys}
        named |= {step["tool"] for story in stories.values() for step in story["steps"].values() if "tool" in step}
        canned = await client.canned_responses.list(tags=[tag])
        told = {
            "name": agent.name,
            "language": "en",
            "description": agent.description or "",
            "composition": "strict" if agent.composition_mode == "strict_canned" and canned else "fluid",
            "glossary": {term.name: term.description for term in await client.glossary.list_terms(tag_id=tag)},
            "tools": {name: self._tool(tools.get(name), name) for name in sorted(named)},
            "guidelines": {self._name(rule.guideline): _rule(rule) for rule in rules if rule.guideline.action},
            "journeys": {_named(title): story for title, story in stories.items() if story["steps"] and story["when"]},
            "canned": {each.id: {"text": each.value, "signals": list(each.signals)} for each in canned},
        }
        return {key: value for key, value in told.items() if value not in ({}, None)}

    async def _tools(self, services: Iterable[str], *, everything: bool) -> dict[str, Any]:
        """Tools by name; a journey does not say which service has its tools, so they may be in any."""
        names = set(services) | ({each.name for each in await self.client.services.list()} if everything else set())
        found = [await self.client.services.retrieve(name) for name in sorted(names)]
        return {tool.name: tool for service in found for tool in service.tools or ()}

    async def _journey(self, journey: JourneyTold, tools: set[str]) -> dict[str, Any]:
        rules = [await self.client.guidelines.retrieve(each) for each in journey.triggers]
        return {
            "title": journey.title,
            "description": journey.description,
            "when": [rule.guideline.condition for rule in rules],
            "steps": steps_of(await self.client.journeys.mermaid(journey.id), tools),
        }

    def _name(self, guideline: Any) -> str:
        """A few words of its condition, unless another one has them."""
        base = name = _named(guideline.condition, "guideline")
        while name in self.guidelines.values():
            name = f"{base}_{len(self.guidelines)}"
        self.guidelines[guideline.id] = name
        return name

    def _tool(self, tool: Any, name: str) -> dict[str, Any]:
        """With the results that are known; where there is none, an empty one."""
        calls = [(arguments, data) for called, arguments, data in self.calls if called == name]
        seen = {key for arguments, _ in calls for key in arguments}
        parameters = (
            {key: _parameter(one, key in tool.required) for key, one in tool.parameters.items()} if tool else {}
        )
        results = [{"when": plain_arguments(arguments), "data": data} for arguments, data in calls]
        return {
            "description": tool.description if tool else name,
            "parameters": {**{key: {} for key in sorted(seen - set(parameters))}, **parameters},
            "results": results or [{"data": ""}],
        }


def _named(text: str, otherwise: str = "journey") -> str:
    return "_".join(re.findall(r"\w+", text.casefold())[:6]) or otherwise


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


def plain_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those that a case can hold."""
    return {
        key: value for key, value in arguments.items() if value is None or isinstance(value, str | int | float | bool)
    }
