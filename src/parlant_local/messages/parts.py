"""Kinds of message parts: the type names that clients use for them, and the fields that are read of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "CALL",
    "CALL_WITH_RESULT",
    "ENCRYPTED",
    "IGNORED",
    "MEDIA",
    "REFUSAL",
    "RESULT",
    "STEP",
    "TEXT",
    "THOUGHT",
    "PartKind",
    "kind_named",
    "kind_of",
    "typed",
]


@dataclass(frozen=True, slots=True, eq=False)
class PartKind:
    names: frozenset[str]
    words: frozenset[str]
    """The fields of such a part that are read."""


def _kind(names: str, words: str = "", *like: PartKind) -> PartKind:
    return PartKind(frozenset(names.split()), frozenset(words.split()).union(*(kind.words for kind in like)))


_IDS = "call_id toolCallId tool_use_id tool_call_id toolUseId"

TEXT = _kind("text input_text output_text summary_text", "text refusal thought")
REFUSAL = _kind("refusal", "", TEXT)
THOUGHT = _kind(
    "thinking think reasoning reasoning_text reasoning_content reasoning.text reasoning.summary",
    "thinking think reasoning_content reasoning text summary content thought",
)
ENCRYPTED = _kind("redacted_thinking reasoning.encrypted", "", TEXT)  # only their provider can read them
CALL = _kind(
    "tool_use tool_call tool-call function_call",
    f"function tool_call custom name toolName arguments args input {_IDS}",
)
RESULT = _kind(
    "tool_result tool-result function_call_output",
    f"name toolName content output result response is_error isError errorText {_IDS}",
)
MEDIA = _kind(
    "image_url input_image image input_audio audio audio_url file media",
    "image_url input_audio audio_url source image audio file inlineData inline_data url base64 file_data bytes detail filename "
    "media_type mediaType mime_type mimeType source_type",
)
"""Pictures and sounds."""
CALL_WITH_RESULT = _kind("tool-invocation dynamic-tool", "toolInvocation step", CALL, RESULT)
"""Of the AI SDK: a call, and its result once there is one."""
IGNORED = _kind("error agent_update source source-url source-document")
"""Parts that clients display beside an answer, and don't send to models."""
STEP = _kind("step-start", "", TEXT)
"""Of the AI SDK: another message of the same turn follows."""

_KINDS = {
    name: kind
    for kind in (TEXT, REFUSAL, THOUGHT, ENCRYPTED, CALL, RESULT, MEDIA, CALL_WITH_RESULT, IGNORED, STEP)
    for name in kind.names
}


def kind_named(name: Any) -> PartKind | None:
    return _KINDS.get(name) if isinstance(name, str) else None


def kind_of(part: Any) -> PartKind | None:
    """A part's kind; ``None`` where it is unknown."""
    return kind_named(typed(part).get("type")) if isinstance(part, Mapping) else None


def typed(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """A part with a normalised type: Gemini's parts have none, and the AI SDK's contain the tool's name."""
    kind = part.get("type")
    if isinstance(kind, str) and kind.startswith("tool-") and "toolCallId" in part and kind not in _KINDS:
        return {**part, "type": "dynamic-tool", "toolName": kind.removeprefix("tool-")}
    if kind == "tool-invocation" and isinstance(inner := part.get("toolInvocation"), Mapping):
        return {**inner, **{name: part[name] for name in part if name != "toolInvocation"}}
    if kind is not None:
        return part
    for key, meaning in _GEMINI_FIELDS.items():
        if isinstance(inner := part.get(key), Mapping):
            whose = {"call_id": inner["id"]} if inner.get("id") is not None else {}
            return {**inner, **whose, **{name: part[name] for name in part if name != key}, "type": meaning}
    if "text" in part:
        return {**part, "type": "thinking" if part.get("thought") is True else "text"}
    return part


_GEMINI_FIELDS = {
    "functionCall": "tool_call",
    "function_call": "tool_call",
    "functionResponse": "tool_result",
    "function_response": "tool_result",
    "inlineData": "media",
    "inline_data": "media",
}
