"""The tools of the examined agents: they return what their file says, and are called in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from parlant.core.common import ItemNotFoundError, UniqueId
from parlant.core.nlp.moderation import ModerationService
from parlant.core.nlp.service import NLPService
from parlant.core.services.tools.service_registry import ServiceRegistry, ToolServiceKind
from parlant.core.tools import (
    Tool,
    ToolContext,
    ToolOverlap,
    ToolParameterDescriptor,
    ToolParameterOptions,
    ToolResult,
    ToolService,
    validate_tool_arguments,
)
from typing_extensions import override

from parlant_local.evaluation import format
from parlant_local.evaluation.checks import same_value

__all__ = ["FileRegistry", "FileTools", "result_of"]

_ONLY = "__nlp__"
"""The host's name for it."""


def result_of(tool: format.Tool, arguments: Mapping[str, Any]) -> format.Result:
    """What the file's tool returns for these arguments; nothing where no result of it is for them."""
    for result in tool.results:
        if all(same_value(arguments.get(name), value) for name, value in result.when.items()):
            return result
    return format.Result(data="not found")


class FileTools(ToolService):
    """The tools of one file."""

    def __init__(self, tools: Mapping[str, format.Tool]) -> None:
        self._given = tools
        self._tools = {name: _tool(name, tool) for name, tool in tools.items()}

    @override
    async def list_tools(self) -> Sequence[Tool]:
        return list(self._tools.values())

    @override
    async def read_tool(self, name: str) -> Tool:
        if name not in self._tools:
            raise ItemNotFoundError(item_id=UniqueId(name))
        return self._tools[name]

    @override
    async def resolve_tool(self, name: str, context: ToolContext) -> Tool:  # the host's own signature
        return await self.read_tool(name)

    @override
    async def call_tool(self, name: str, context: ToolContext, arguments: Mapping[str, Any]) -> ToolResult:  # as above
        validate_tool_arguments(await self.read_tool(name), arguments)
        result = result_of(self._given[name], arguments)
        return ToolResult(data=result.data, canned_response_fields=result.fields)


class FileRegistry(ServiceRegistry):
    """One service per file, in the place of the host's registry, which after 3.3 is made too late to be wrapped."""

    def __init__(self, services: Mapping[str, ToolService], nlp: Callable[[], NLPService]) -> None:
        self._services = services
        self._nlp = nlp

    @override
    async def read_tool_service(self, name: str) -> ToolService:
        if name not in self._services:
            raise ItemNotFoundError(item_id=UniqueId(name))
        return self._services[name]

    @override
    async def list_tool_services(self) -> Sequence[tuple[str, ToolService]]:
        return list(self._services.items())

    @override
    async def update_tool_service(
        self, name: str, kind: ToolServiceKind, url: str, source: str | None = None, transient: bool = False
    ) -> ToolService:
        """The host announces a service for tools in code, of which there are none here."""
        return FileTools({})

    @override
    async def read_moderation_service(self, name: str) -> ModerationService:
        return await self._nlp().get_moderation_service()

    @override
    async def list_moderation_services(self) -> Sequence[tuple[str, ModerationService]]:
        return [(_ONLY, await self.read_moderation_service(_ONLY))]

    @override
    async def read_nlp_service(self, name: str) -> NLPService:
        return self._nlp()

    @override
    async def list_nlp_services(self) -> Sequence[tuple[str, NLPService]]:
        return [(_ONLY, self._nlp())]

    @override
    async def delete_service(self, name: str) -> None:
        """None can be: they are the files'."""


def _tool(name: str, tool: format.Tool) -> Tool:
    return Tool(
        name=name,
        creation_utc=datetime.now(UTC),
        description=tool.description,
        metadata={},
        parameters={key: (_descriptor(one), ToolParameterOptions()) for key, one in tool.parameters.items()},
        required=[key for key, one in tool.parameters.items() if one.required],
        consequential=tool.consequential,
        overlap=ToolOverlap.NONE,
    )


def _descriptor(parameter: format.Parameter) -> ToolParameterDescriptor:
    descriptor = ToolParameterDescriptor(type=parameter.type, description=parameter.description)
    if parameter.enum is not None:
        descriptor["enum"] = parameter.enum
    if parameter.type == "array":
        descriptor["item_type"] = parameter.items
    return descriptor
