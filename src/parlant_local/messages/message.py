"""One message of a conversation, read from the shapes of any client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from parlant_local.brief import Brief
from parlant_local.errors import BadRequestError
from parlant_local.messages.contents import (
    Content,
    call_of,
    content_of,
    identity_of,
    optional_text,
    thoughts_of,
    tool_content_of,
    turns_of,
)
from parlant_local.messages.media import MediaPart, beside_text, parts_of
from parlant_local.messages.parts import CALL, RESULT, THOUGHT, kind_named
from parlant_local.messages.roles import ROLES, Role, role_of
from parlant_local.messages.text import mend, shown
from parlant_local.messages.tools import ToolCall
from parlant_local.messages.wrapping import content_in, unwrapped

__all__ = ["Message", "MessageLike", "as_messages"]

_UNREAD = ("audio", "videos", "files", "attachments", "experimental_attachments")


@dataclass(frozen=True, slots=True, repr=False)
class Message(Brief):
    """One message of a conversation. ``content`` is plain text; text parts in lists are joined on the way in."""

    role: Role
    content: str | None = None
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    reasoning: str | None = None
    media: tuple[MediaPart, ...] = ()
    """Pictures and sounds, each with its place in ``content``."""

    def __post_init__(self) -> None:
        mend(self, "content", "name", "tool_call_id", "reasoning")

    @classmethod
    def system(cls, content: str) -> Message:
        return cls("system", content)

    @classmethod
    def user(cls, content: str, *media: MediaPart) -> Message:
        return cls("user", content, media=media)

    @classmethod
    def assistant(cls, content: str) -> Message:
        return cls("assistant", content)

    @classmethod
    def from_openai(cls, data: Any) -> Message:
        """One message; :class:`BadRequestError` where ``data`` contains several (see :meth:`all_from`)."""
        found = cls.all_from(data)
        if len(found) != 1:
            raise BadRequestError("A message with results of tools stands for several.", hint="Use as_messages.")
        return found[0]

    @classmethod
    def all_from(cls, data: Any) -> tuple[Message, ...]:
        """The messages of one conversation entry, in any client's form: tool results among a user's or an assistant's parts
        become separate messages.

        Raises :class:`BadRequestError` naming what is not understood.
        """
        if not isinstance(data, Mapping) and hasattr(data, "model_dump"):  # openai's and LangChain's own objects
            data = data.model_dump(exclude_none=True)
        if not isinstance(data, Mapping):
            raise BadRequestError(f"A message must be an object with role and content, not {shown(data)}.")
        data = unwrapped(data)
        for name in _UNREAD:
            if data.get(name):
                raise BadRequestError(
                    f"Messages with {name} are not supported.", hint="Send pictures and sounds as parts of the content."
                )
        kind = kind_named(data.get("type"))
        if "role" not in data and kind in (CALL, RESULT, THOUGHT):
            role: Role = "assistant"  # an item of a response
            content = content_of([data])
        else:
            role = _role(data)
            given = content_in(data)
            if role == "assistant" and not data.get("tool_calls") and len(turns := turns_of(given)) > 1:
                first = {**data, "content": turns[0], "parts": None, "toolInvocations": None}
                later = ({"role": "assistant", "content": turn} for turn in turns[1:])
                return tuple(message for item in (first, *later) for message in cls.all_from(item))
            content = tool_content_of(given) if role in ("tool", "function") else content_of(given)
        calls = _calls(data, content)
        said = content.text or optional_text(data, "refusal") or content.text
        thoughts = thoughts_of(data) if kind is not THOUGHT else None
        results = [
            cls("tool", result.text, name=result.name, tool_call_id=result.id, media=result.media)
            for result in content.results
        ]
        media = (*beside_text(data), *content.media)
        if results and not said and not calls and not media:
            return tuple(results)
        message = cls(
            role=role,
            content=said,
            name=optional_text(data, "name") if "role" in data or kind is not CALL else None,
            tool_calls=calls,
            tool_call_id=identity_of(data.get("tool_call_id")),
            reasoning=thoughts or content.thoughts,
            media=media,
        )
        # An assistant calls first; a user's results answer what was called before.
        return (message, *results) if role == "assistant" else (*results, message)

    @property
    def parts(self) -> list[str | MediaPart]:
        """The content in pieces, with pictures and sounds in their places."""
        return parts_of(self.content or "", self.media)

    def to_openai(self) -> dict[str, Any]:
        data: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.media:
            data["content"] = [
                {"type": "text", "text": part} if isinstance(part, str) else part.to_openai() for part in self.parts
            ]
        if self.name is not None:
            data["name"] = self.name
        if self.tool_calls:
            data["tool_calls"] = [call.to_openai() for call in self.tool_calls]
        if self.tool_call_id is not None:
            data["tool_call_id"] = self.tool_call_id
        if self.reasoning is not None:
            data["reasoning_content"] = self.reasoning
        return data


def _role(data: Mapping[str, Any]) -> Role:
    given = data.get("role", data.get("type"))
    if (found := role_of(given)) is None:
        known = ", ".join(sorted([*ROLES, "developer"]))
        raise BadRequestError(f"Unknown message role {shown(given)!r}.", hint=f"Use one of {known}.")
    return found


def _calls(data: Mapping[str, Any], content: Content) -> tuple[ToolCall, ...]:
    """Every call once: some clients send calls both among the parts and beside them."""
    listed = data.get("tool_calls") or ()
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise BadRequestError(f"tool_calls must be a list, not {shown(listed)}.")
    legacy = data.get("function_call")
    given = listed or ([{"function": legacy}] if legacy and "role" in data else [])
    found = [call_of(call) for call in given]
    known = {call.id for call in found if call.id}
    found += [call for call in content.calls if call.id not in known]
    return tuple(ToolCall(call.id, call.name, call.arguments) for call in found)


MessageLike: TypeAlias = "Message | Mapping[str, Any]"


def as_messages(value: str | MessageLike | Iterable[MessageLike]) -> tuple[Message, ...]:
    """A string (one user message), one message, or several, in OpenAI's shape or ours."""
    if isinstance(value, str):
        return (Message.user(value),)
    if isinstance(value, Message):
        return (value,)
    if isinstance(value, Mapping):
        return Message.all_from(value)
    messages = tuple(
        message for item in value for message in ((item,) if isinstance(item, Message) else Message.all_from(item))
    )
    if not messages:
        raise BadRequestError("A chat needs at least one message.")
    return messages
