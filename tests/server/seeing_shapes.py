"""Messages with a picture, literally as clients send them today to an endpoint of OpenAI's kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["SHAPES"]

Messages = list[dict[str, Any]]


def librechat(uri: str) -> Messages:
    """LibreChat: the text, then what was attached."""
    return [
        {"role": "system", "content": "You are a helpful assistant."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": uri, "detail": "auto"}},
            ],
        },
    ]


def librechat_tool(uri: str) -> Messages:
    """What a tool showed, as LibreChat's agents hand it to endpoints of OpenAI's kind."""
    return [
        {"role": "user", "content": "Take a picture."},
        {"role": "assistant", "content": "", "tool_calls": [_CALL]},
        {
            "role": "tool",
            "tool_call_id": "call_1",
            "content": "Tool response is included in the next message as a Human message",
        },
        {
            "role": "user",
            "content": [{"type": "text", "text": "Here it is."}, {"type": "image_url", "image_url": {"url": uri}}],
        },
    ]


def langchain(uri: str) -> Messages:
    """langchain-openai 1.7, from any of LangChain's blocks."""
    return [
        {
            "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": uri}},
            ],
            "role": "user",
        }
    ]


def langchain_tool(uri: str) -> Messages:
    """A ToolMessage with an image block."""
    return [
        {"content": "Take a picture.", "role": "user"},
        {"content": None, "role": "assistant", "tool_calls": [_CALL]},
        {
            "content": [{"type": "text", "text": "Here"}, {"type": "image_url", "image_url": {"url": uri}}],
            "role": "tool",
            "tool_call_id": "call_1",
        },
    ]


def anthropic_tool(uri: str) -> Messages:
    """Blocks of Anthropic's, as proxies pass them on."""
    source = {"type": "base64", "media_type": "image/png", "data": uri.partition(",")[2]}
    return [
        {"role": "user", "content": "Take a picture."},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "call_1", "name": "shot", "input": {}}]},
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "call_1",
                    "content": [{"type": "text", "text": "Here"}, {"type": "image", "source": source}],
                }
            ],
        },
    ]


def mcp_tool(uri: str) -> Messages:
    """The result of an MCP server's tool, passed on as it came."""
    image = {"type": "image", "data": uri.partition(",")[2], "mimeType": "image/png"}
    messages = langchain_tool(uri)
    messages[-1]["content"] = {"content": [{"type": "text", "text": "Here"}, image], "isError": False}
    return messages


_CALL = {"type": "function", "id": "call_1", "function": {"name": "shot", "arguments": "{}"}}

SHAPES: dict[str, Callable[[str], Messages]] = {
    "LibreChat": librechat,
    "LibreChat, a tool's": librechat_tool,
    "LangChain": langchain,
    "LangChain, a tool's": langchain_tool,
    "Anthropic, a tool's": anthropic_tool,
    "MCP, a tool's": mcp_tool,
}
