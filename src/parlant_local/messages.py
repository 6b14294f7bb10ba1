"""Messages in, messages out: one set of types for engine, backends, services and server, with OpenAI's shapes on the wire."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, get_args

from parlant_local.brief import Brief
from parlant_local.contents import (
    Content,
    call_of,
    content_of,
    identity_of,
    shown,
    thoughts_of,
    tool_content_of,
    turns_of,
)
from parlant_local.errors import BadRequestError
from parlant_local.parts import CALLS, RESULTS, THOUGHTS

__all__ = [
    "ChatChunk",
    "ChatReply",
    "Delta",
    "FinishReason",
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

Role = Literal["system", "user", "assistant", "tool", "function"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
ToolChoice: TypeAlias = str
"""``"auto"``, ``"none"``, ``"required"``, or the name of a tool."""

_ROLES = frozenset(get_args(Role))
_ROLE_NAMES: Mapping[str, Role] = {
    **{role: role for role in get_args(Role)},
    "developer": "system",  # OpenAI's newer name
    "human": "user",
    "ai": "assistant",
    "bot": "assistant",
    "chatbot": "assistant",  # Cohere's
    "model": "assistant",  # Gemini's
    "ipython": "tool",  # Llama's
    "observation": "tool",  # GLM's
    "tool_response": "tool",
}
_LANGCHAIN = frozenset({"System", "Human", "AI", "Tool", "Function"})  # HumanMessage, AIMessageChunk, …
_MEDIA = ("images", "audio", "videos", "files", "attachments", "experimental_attachments")
_SURROGATES = re.compile("[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]")


def whole_text(text: str) -> str:
    """``text`` with unpaired surrogates, which are no characters, replaced: nothing that is sent or stored can hold them."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATES.sub(_whole, text)  # a call for each lets other threads run meanwhile
    return text


def _whole(match: re.Match[str]) -> str:
    found = match.group()
    if len(found) == 1:
        return "\N{REPLACEMENT CHARACTER}"
    return found.encode("utf-16", "surrogatepass").decode("utf-16")


def json_value(text: str | bytes) -> Any:
    """The value of JSON text; raises ``json.JSONDecodeError`` for all that is none, and for what nests deeper than can be read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise json.JSONDecodeError("It nests too deeply", "", 0) from None


@dataclass(frozen=True, slots=True, repr=False)
class ToolCall(Brief):
    """One call that an assistant asks for. ``arguments`` is JSON text, as OpenAI sends it."""

    id: str
    name: str
    arguments: str

    def parsed(self) -> Any:
        """The arguments as a Python value; raises ``json.JSONDecodeError`` where the model wrote no JSON."""
        return json_value(self.arguments or "{}")

    def __post_init__(self) -> None:
        _repair(self, "id", "name", "arguments")

    def to_openai(self) -> dict[str, Any]:
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}

    @classmethod
    def from_openai(cls, data: Any) -> ToolCall:
        call = call_of(data)
        return cls(call.id, call.name, call.arguments)


@dataclass(frozen=True, slots=True, repr=False)
class Message(Brief):
    """One message of a conversation. ``content`` is plain text; parts in lists are joined on the way in."""

    role: Role
    content: str | None = None
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    reasoning: str | None = None

    def __post_init__(self) -> None:
        _repair(self, "content", "name", "tool_call_id", "reasoning")

    @classmethod
    def system(cls, content: str) -> Message:
        return cls("system", content)

    @classmethod
    def user(cls, content: str) -> Message:
        return cls("user", content)

    @classmethod
    def assistant(cls, content: str) -> Message:
        return cls("assistant", content)

    @classmethod
    def from_openai(cls, data: Any) -> Message:
        """One message; :class:`BadRequestError` where ``data`` says several at once (see :meth:`all_from`)."""
        found = cls.all_from(data)
        if len(found) != 1:
            raise BadRequestError("A message with results of tools stands for several.", hint="Use as_messages.")
        return found[0]

    @classmethod
    def all_from(cls, data: Any) -> tuple[Message, ...]:
        """What one entry of a conversation says, in the shape of any client: results of tools that stand among a user's or an
        assistant's parts become messages of their own.

        Raises :class:`BadRequestError` naming what is not understood.
        """
        if not isinstance(data, Mapping) and hasattr(data, "model_dump"):  # openai's and LangChain's own objects
            data = data.model_dump(exclude_none=True)
        if not isinstance(data, Mapping):
            raise BadRequestError(f"A message must be an object with role and content, not {shown(data)}.")
        data = _unpacked(data)
        for name in _MEDIA:
            if data.get(name):
                raise BadRequestError(f"Messages with {name} are not supported.", hint="Send text only.")
        kind = data.get("type") if isinstance(data.get("type"), str) else None
        if "role" not in data and kind in CALLS | RESULTS | THOUGHTS:
            role: Role = "assistant"  # an item of a response
            content = content_of([data])
        else:
            role = _role(data)
            given = _content(data)
            if role == "assistant" and not data.get("tool_calls") and len(turns := turns_of(given)) > 1:
                first = {**data, "content": turns[0], "parts": None, "toolInvocations": None}
                later = ({"role": "assistant", "content": turn} for turn in turns[1:])
                return tuple(message for item in (first, *later) for message in cls.all_from(item))
            content = tool_content_of(given) if role in ("tool", "function") else content_of(given)
        calls = _calls(data, content)
        said = content.text or _optional(data, "refusal") or content.text
        thoughts = thoughts_of(data) if kind not in THOUGHTS else None
        results = [cls("tool", result.text, name=result.name, tool_call_id=result.id) for result in content.results]
        if results and not said and not calls:
            return tuple(results)
        message = cls(
            role=role,
            content=said,
            name=_optional(data, "name") if "role" in data or kind not in CALLS else None,
            tool_calls=calls,
            tool_call_id=identity_of(data.get("tool_call_id")),
            reasoning=thoughts or content.thoughts,
        )
        # An assistant calls first; a user's results answer what was called before.
        return (message, *results) if role == "assistant" else (*results, message)

    def to_openai(self) -> dict[str, Any]:
        data: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.name is not None:
            data["name"] = self.name
        if self.tool_calls:
            data["tool_calls"] = [call.to_openai() for call in self.tool_calls]
        if self.tool_call_id is not None:
            data["tool_call_id"] = self.tool_call_id
        if self.reasoning is not None:
            data["reasoning_content"] = self.reasoning
        return data


def whole_value(value: Any) -> Any:
    """JSON with unpaired surrogates replaced."""
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, Mapping):
        return {whole_value(key): whole_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [whole_value(item) for item in value]
    return value


def _unpacked(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """LangChain's messages as it stores them, and what it keeps of other clients' words beside its own."""
    if "role" not in data:
        if isinstance(inner := data.get("data"), Mapping):
            data = {**inner, "type": data.get("type")}
        elif data.get("type") == "constructor" and isinstance(inner := data.get("kwargs"), Mapping):
            named = data.get("id")
            data = {"type": named[-1] if isinstance(named, list) and named else None, **inner}
    beside = data.get("additional_kwargs")
    if isinstance(beside, Mapping):
        kept = {name: beside[name] for name in _BESIDE if beside.get(name) and not data.get(name)}
        if data.get("tool_calls"):
            kept.pop("function_call", None)
        data = {**data, **kept}
    return data


_BESIDE = ("tool_calls", "function_call", "reasoning_content", "reasoning", "refusal")


def role_of(given: Any) -> Role | None:
    """Whose message it is, in the words of any client; ``None`` where nobody knows."""
    if not isinstance(given, str):
        return None
    kind, message, rest = given.partition("Message")
    if message and kind in _LANGCHAIN and rest in ("", "Chunk"):
        given = kind
    return _ROLE_NAMES.get(given.lower())


def _role(data: Mapping[str, Any]) -> Role:
    given = data.get("role", data.get("type"))
    if (found := role_of(given)) is None:
        known = ", ".join(sorted([*_ROLES, "developer"]))
        raise BadRequestError(f"Unknown message role {shown(given)!r}.", hint=f"Use one of {known}.")
    return found


def _content(data: Mapping[str, Any]) -> Any:
    """The AI SDK says the same twice: in ``parts`` with calls, in ``content`` without them."""
    content, parts = data.get("content"), data.get("parts")
    if not parts and isinstance(invoked := data.get("toolInvocations"), list):
        parts = [{"type": "tool-invocation", "toolInvocation": item} for item in invoked]
    if not parts or not isinstance(parts, list):
        return content if content is not None else parts
    told = any(isinstance(part, str) or (isinstance(part, Mapping) and part.get("text")) for part in parts)
    return [*parts, content] if isinstance(content, str) and content and not told else parts


def _calls(data: Mapping[str, Any], content: Content) -> tuple[ToolCall, ...]:
    """Every call once: some clients say them among the parts and beside them."""
    listed = data.get("tool_calls") or ()
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise BadRequestError(f"tool_calls must be a list, not {shown(listed)}.")
    legacy = data.get("function_call")
    given = listed or ([{"function": legacy}] if legacy and "role" in data else [])
    found = [call_of(call) for call in given]
    known = {call.id for call in found if call.id}
    found += [call for call in content.calls if call.id not in known]
    return tuple(ToolCall(call.id, call.name, call.arguments) for call in found)


def _optional(data: Mapping[str, Any], key: str) -> str | None:
    value = data.get(key)
    if value is not None and not isinstance(value, str):
        raise BadRequestError(f"{key} must be text, not {shown(value)}.")
    return value


def _repair(owner: Any, *fields: str) -> None:
    """Replaces unpaired surrogates in a frozen object's texts."""
    for name in fields:
        value = getattr(owner, name)
        if isinstance(value, str) and not value.isascii():
            object.__setattr__(owner, name, whole_text(value))


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


@dataclass(frozen=True, slots=True, repr=False)
class Tool(Brief):
    """A function that the model may call. ``parameters`` is a JSON schema of type object."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})

    @classmethod
    def from_openai(cls, data: Any) -> Tool:
        """From OpenAI's shape, flat or not, or Anthropic's (``input_schema``)."""
        if not isinstance(data, Mapping):
            raise BadRequestError(f"A tool must be an object, not {shown(data)}.")
        function = data.get("function", data)
        ours = data.get("type") in (None, "function") or "input_schema" in data
        if not ours or not isinstance(function, Mapping):
            raise BadRequestError(f"Only tools of type 'function' are supported, not {shown(data.get('type'))!r}.")
        name = function.get("name")
        if not isinstance(name, str) or not name:
            raise BadRequestError("A tool needs a name.")
        parameters = function.get("parameters") or function.get("input_schema") or {"type": "object", "properties": {}}
        if not isinstance(parameters, Mapping):
            raise BadRequestError(
                f"The parameters of the tool {shown(name)!r} must be a JSON schema, not {shown(parameters)}."
            )
        description = _optional(function, "description") or ""
        return cls(whole_text(name), whole_text(description), whole_value(parameters))

    def to_openai(self) -> dict[str, Any]:
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": dict(self.parameters),
            },
        }


def as_tools(value: Iterable[Tool | Mapping[str, Any]] | None) -> tuple[Tool, ...]:
    return tuple(item if isinstance(item, Tool) else Tool.from_openai(item) for item in value or ())


@dataclass(frozen=True, slots=True, repr=False)
class ResponseFormat(Brief):
    """What an answer must look like: free text, any JSON object, or JSON of a schema."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    schema: Mapping[str, Any] | None = None
    name: str = "response"

    @classmethod
    def text(cls) -> ResponseFormat:
        return cls()

    @classmethod
    def json_object(cls) -> ResponseFormat:
        return cls("json_object")

    @classmethod
    def json_schema(cls, schema: Mapping[str, Any], name: str = "response") -> ResponseFormat:
        return cls("json_schema", schema, name)

    @classmethod
    def coerce(cls, value: Any) -> ResponseFormat:
        """From ours, OpenAI's dictionaries (``json_object`` with a ``schema`` too), or a Pydantic model class."""
        if value is None:
            return cls()
        if isinstance(value, ResponseFormat):
            return value
        if isinstance(value, type) and hasattr(value, "model_json_schema"):
            return cls("json_schema", value.model_json_schema(), value.__name__)
        if isinstance(value, Mapping):
            value = whole_value(value)
            kind = value.get("type")
            if kind == "text":
                return cls()
            if kind == "json_object":
                beside = value.get("json_schema")  # some put it where json_schema has it
                schema = value.get("schema") or (beside.get("schema") if isinstance(beside, Mapping) else None)
                return cls("json_schema", schema) if isinstance(schema, Mapping) else cls("json_object")
            if kind == "json_schema":
                inner = value.get("json_schema")
                inner = inner if isinstance(inner, Mapping) else value
                schema = inner.get("schema")
                if not isinstance(schema, Mapping):
                    raise BadRequestError("response_format of type json_schema needs json_schema.schema.")
                return cls("json_schema", schema, str(inner.get("name") or "response"))
        raise BadRequestError(
            f"Unknown response_format {shown(value)}.", hint="Use text, json_object, json_schema or a Pydantic model."
        )

    def to_openai(self) -> dict[str, Any]:
        if self.type == "json_schema":
            return {
                "type": "json_schema",
                "json_schema": {"name": self.name, "schema": dict(self.schema or {}), "strict": True},
            }
        return {"type": self.type}


@dataclass(frozen=True, slots=True, repr=False)
class Usage(Brief):
    """Tokens of one answer. ``cached_tokens`` are prompt tokens that were not computed again."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )

    def to_openai(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.total_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning_tokens},
        }


@dataclass(frozen=True, slots=True, repr=False)
class Timings(Brief):
    """Where the time of one answer went, in seconds, and how its tokens came about."""

    queued: float = 0.0
    prefill: float = 0.0
    decode: float = 0.0
    first_token: float = 0.0
    """From submission to the first token delivered."""
    constraint: float = 0.0
    """Spent computing masks and advancing the constraint."""
    prefilled_tokens: int = 0
    reused_tokens: int = 0
    forced_tokens: int = 0
    """Appended without sampling because the constraint left one way on."""
    sampled_tokens: int = 0


@dataclass(frozen=True, slots=True, repr=False)
class TokenLogprob(Brief):
    """One sampled token with its natural-log probability and the most likely alternatives."""

    token: str
    logprob: float
    bytes: tuple[int, ...] = ()
    top: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        _repair(self, "token")
        if not all(token.isascii() for token, _ in self.top):
            object.__setattr__(self, "top", tuple((whole_text(token), value) for token, value in self.top))


@dataclass(frozen=True, slots=True, repr=False)
class ChatReply(Brief):
    """One whole answer."""

    content: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: FinishReason = "stop"
    usage: Usage = Usage()
    timings: Timings = Timings()
    model: str = ""
    logprobs: tuple[TokenLogprob, ...] | None = None
    warnings: tuple[str, ...] = ()
    alternatives: tuple[ChatReply, ...] = ()
    """The other answers where ``n`` asked for more than one."""

    def __post_init__(self) -> None:
        _repair(self, "content", "reasoning")

    @property
    def has_tool_calls(self) -> bool:
        return bool(self.tool_calls)

    @property
    def choices(self) -> tuple[ChatReply, ...]:
        return (replace(self, alternatives=()), *self.alternatives)

    def to_message(self) -> Message:
        """The answer as the next message of its conversation."""
        return Message("assistant", self.content or None, tool_calls=self.tool_calls, reasoning=self.reasoning or None)


@dataclass(frozen=True, slots=True, repr=False)
class ToolCallDelta(Brief):
    """A piece of a tool call in a stream: ``id`` and ``name`` come once, ``arguments`` in pieces."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""

    def __post_init__(self) -> None:
        _repair(self, "id", "name", "arguments")


@dataclass(frozen=True, slots=True, repr=False)
class Delta(Brief):
    content: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()

    def __post_init__(self) -> None:
        _repair(self, "content", "reasoning")


@dataclass(frozen=True, slots=True, repr=False)
class ChatChunk(Brief):
    """One piece of a streamed answer. The last one has ``finish_reason`` and ``usage``."""

    delta: Delta = Delta()
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    timings: Timings | None = None
    index: int = 0
    model: str = ""
    logprobs: tuple[TokenLogprob, ...] | None = None
