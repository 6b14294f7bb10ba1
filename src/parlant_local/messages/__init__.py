"""Message types shared by engine, backends, services and server, with OpenAI's shapes on the wire."""

from parlant_local.messages.formats import ResponseFormat
from parlant_local.messages.media import MediaPart
from parlant_local.messages.message import Message, MessageLike, as_messages
from parlant_local.messages.replies import ChatChunk, ChatReply, Delta, FinishReason, TokenLogprob, ToolCallDelta
from parlant_local.messages.roles import Role, role_of
from parlant_local.messages.text import json_value, shown, whole_text, whole_value
from parlant_local.messages.tools import Tool, ToolCall, ToolChoice, as_tools
from parlant_local.messages.usage import Timings, Usage

__all__ = [
    "ChatChunk",
    "ChatReply",
    "Delta",
    "FinishReason",
    "MediaPart",
    "Message",
    "MessageLike",
    "ResponseFormat",
    "Role",
    "Timings",
    "TokenLogprob",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolChoice",
    "Usage",
    "as_messages",
    "as_tools",
    "json_value",
    "role_of",
    "shown",
    "whole_text",
    "whole_value",
]
