"""What every backend does, and how a call to it is described."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, TypedDict, Unpack

from parlant_local.backends.closing import close_blocking, close_unattended
from parlant_local.backends.context import BackendContext
from parlant_local.backends.whole import cut_or_whole, in_one_piece
from parlant_local.brief import Brief
from parlant_local.errors import BadRequestError, ConfigurationError, UnsupportedCallError
from parlant_local.messages import (
    ChatChunk,
    ChatReply,
    MessageLike,
    ResponseFormat,
    Tool,
    ToolChoice,
    Usage,
    as_tools,
    shown,
    whole_text,
)

__all__ = ["Backend", "ChatOptions", "ChatParams", "ChatStream", "EmbedReply", "ModelInfo", "RerankReply", "Text"]

ChatStream: TypeAlias = AsyncGenerator[ChatChunk, None]
Text: TypeAlias = str | Sequence[int]
"""Text, or the token ids of one for backends whose model is in this process."""

ReasoningChoice = Literal["auto", "on", "off"]
Priority = Literal["interactive", "normal", "background"]


class ChatOptions(TypedDict, total=False):
    """Keyword arguments of ``chat``, ``chat_stream`` and ``complete``; ``None`` means absent everywhere."""

    temperature: float | None
    top_p: float | None
    top_k: int | None
    """-1 or 0: off."""
    min_p: float | None
    presence_penalty: float | None
    frequency_penalty: float | None
    repeat_penalty: float | None
    logit_bias: Mapping[int, float] | None
    """Token id to a bias added to its logit, -100 to 100."""
    seed: int | None
    """-1: another one each time."""
    stop: str | Sequence[str] | None
    max_tokens: int | None
    """-1: no limit but the context's."""
    logprobs: int | None
    """Alternatives reported per token; 0 reports the chosen token alone."""
    n: int | None
    response_format: Any
    """A :class:`ResponseFormat`, OpenAI's dictionary, or a Pydantic model class."""
    grammar: str | None
    """GBNF or Lark; not together with ``response_format``."""
    tools: Iterable[Tool | Mapping[str, Any]] | None
    tool_choice: ToolChoice | Mapping[str, Any] | None
    parallel_tool_calls: bool | None
    reasoning: ReasoningChoice | None
    reasoning_tokens: int | None
    """Budget of thoughts, in tokens; -1: no limit."""
    continue_final: bool | None
    """Whether a last message of the assistant is continued instead of answered; None: where nothing speaks against it."""
    prefix_group: str | None
    """Calls of one group share long prefixes (a schema's name): one prefix is retained per group and session."""
    session: str | None
    """The conversation a call belongs to; a prefix seen in two sessions holds no single customer's text."""
    priority: Priority | None
    deadline: float | None
    """Seconds from now after which the answer is of no use; queueing counts."""


@dataclass(frozen=True, slots=True, repr=False)
class ChatParams(Brief):
    """:class:`ChatOptions` validated and with ``None`` resolved to "not given"."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repeat_penalty: float = 1.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    logprobs: int | None = None
    n: int = 1
    response_format: ResponseFormat = ResponseFormat()
    grammar: str | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool = True
    reasoning: ReasoningChoice = "auto"
    reasoning_tokens: int | None = None
    continue_final: bool | None = None
    prefix_group: str | None = None
    session: str | None = None
    priority: Priority = "normal"
    deadline: float | None = None
    unlimited: bool = field(default=False, kw_only=True)
    """``max_tokens`` was -1: the context is the only limit."""

    @classmethod
    def of(cls, options: ChatOptions | Mapping[str, Any]) -> ChatParams:
        """Raises :class:`BadRequestError` naming an option that is unknown or out of its range."""
        known = {item.name for item in fields(cls)} - {"unlimited"}
        if unknown := set(options) - known:
            raise BadRequestError(
                f"Unknown option{'s' if len(unknown) > 1 else ''} {', '.join(sorted(unknown))}.",
                hint=f"Known: {', '.join(sorted(known))}.",
            )
        given: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
        _settle_conventions(given)
        for name, (low, high) in _RANGES.items():
            if name in given:
                given[name] = _number(name, given[name], low, high, whole=name in _WHOLE)
        if "stop" in given:
            stop = (given["stop"],) if isinstance(given["stop"], str) else tuple(given["stop"])
            if not all(isinstance(item, str) for item in stop) or len(stop) > 16:
                raise BadRequestError("stop must be a string or up to 16 strings.")
            given["stop"] = tuple(whole_text(item) for item in stop if item)
        if "response_format" in given:
            given["response_format"] = ResponseFormat.coerce(given["response_format"])
            if given["response_format"].type != "text" and given.get("grammar"):
                raise BadRequestError("Give response_format or grammar, not both.")
        for name in ("grammar", "session", "prefix_group"):
            if isinstance(given.get(name), str):
                given[name] = whole_text(given[name])
        given["tools"] = as_tools(given.get("tools"))
        given |= chosen_tools(given.get("tool_choice", "auto"), given["tools"])
        for name, allowed in _CHOICES.items():
            if name in given and given[name] not in allowed:
                raise BadRequestError(f"{name} must be one of {', '.join(allowed)}, not {shown(given[name])}.")
        return cls(**given)


_INF = math.inf
_NO_LIMIT = 1 << 31  # more than anything has
_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 5.0),
    "top_p": (0.0, 1.0),
    "top_k": (0, _NO_LIMIT),
    "min_p": (0.0, 1.0),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
    "repeat_penalty": (0.01, 10.0),
    "seed": (-(1 << 63), (1 << 64) - 1),
    "max_tokens": (1, _NO_LIMIT),
    "logprobs": (0, 50),
    "n": (1, 32),
    "reasoning_tokens": (0, _NO_LIMIT),
    "deadline": (0.0, _INF),
}
_WHOLE = frozenset({"top_k", "seed", "max_tokens", "logprobs", "n", "reasoning_tokens"})
_CHOICES: dict[str, tuple[str, ...]] = {
    "reasoning": ("auto", "on", "off"),
    "priority": ("interactive", "normal", "background"),
}


def _number(name: str, value: Any, low: float, high: float, *, whole: bool) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise BadRequestError(f"{name} must be a number, not {shown(value)}.")
    if whole and value != int(value):
        raise BadRequestError(f"{name} must be a whole number, not {value!r}.")
    if not low <= value <= high:
        bounds = f"at least {low:g}" if high >= _NO_LIMIT else f"between {low:g} and {high:g}"
        raise BadRequestError(f"{name} must be {bounds}, not {value!r}.")
    return int(value) if whole else float(value)


def _settle_conventions(given: dict[str, Any]) -> None:
    """-1 is how many clients say "no limit", "off" or "random"."""
    for name in ("max_tokens", "seed"):
        if _is_minus_one(given.get(name)):
            del given[name]
            given["unlimited"] = given.get("unlimited", False) or name == "max_tokens"
    if _is_minus_one(given.get("top_k")):
        given["top_k"] = 0
    if _is_minus_one(given.get("reasoning_tokens")):
        given["reasoning_tokens"] = _NO_LIMIT
    seed = given.get("seed")
    if isinstance(seed, int) and -(1 << 63) <= seed < 0:
        given["seed"] = seed + (1 << 64)  # the same bits, without a sign


def _is_minus_one(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and value == -1


def chosen_tools(value: Any, tools: tuple[Tool, ...]) -> dict[str, Any]:
    """``tool_choice`` and ``tools`` out of a choice in OpenAI's words (``allowed_tools`` too), Anthropic's or Mistral's.

    Raises :class:`BadRequestError` for a choice that fits no tool.
    """
    given, more = value, {}
    if isinstance(value, Mapping):
        if value.get("disable_parallel_tool_use"):
            more["parallel_tool_calls"] = False
        if value.get("type") == "allowed_tools":
            return chosen_tools(*_allowed(value, tools)) | more
        function = value.get("function")
        value = (function if isinstance(function, Mapping) else value).get("name") or value.get("type")
    choice = "required" if value == "any" and not any(tool.name == "any" for tool in tools) else value
    if choice in ("auto", "none") or (choice == "required" and tools) or any(tool.name == choice for tool in tools):
        return {"tool_choice": choice, "tools": tools, **more}
    names = ", ".join(tool.name for tool in tools) or "none given"
    raise BadRequestError(
        f"tool_choice {shown(given)!r} fits no tool.",
        hint=f"Use auto, none, required, or a tool's name ({shown(names)}).",
    )


def _allowed(value: Mapping[str, Any], tools: tuple[Tool, ...]) -> tuple[Any, tuple[Tool, ...]]:
    """OpenAI's list of tools that may be called, and whether one must be."""
    inner = value.get("allowed_tools", value)
    listed = inner.get("tools") if isinstance(inner, Mapping) else None
    if not isinstance(listed, Sequence) or not listed:
        raise BadRequestError("tool_choice of type allowed_tools needs a list of tools.")
    names = [Tool.from_openai(item).name for item in listed]
    if unknown := set(names) - {tool.name for tool in tools}:
        raise BadRequestError(f"tool_choice allows {shown(', '.join(sorted(unknown)))}, which is no tool of this call.")
    return inner.get("mode") or "auto", tuple(tool for tool in tools if tool.name in names)


@dataclass(frozen=True, slots=True, repr=False)
class EmbedReply(Brief):
    """``vectors``: one per text, L2-normalised, each of ``dimensions`` floats."""

    vectors: tuple[tuple[float, ...], ...]
    dimensions: int
    model: str
    usage: Usage = Usage()
    truncated: tuple[int, ...] = ()
    """Indices of the texts that were cut, where cutting was asked for."""


@dataclass(frozen=True, slots=True, repr=False)
class RerankReply(Brief):
    """``scores``: one per document, higher is more relevant, in the order of the documents."""

    scores: tuple[float, ...]
    model: str
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True, repr=False)
class ModelInfo(Brief):
    """What a backend knows of its model; ``None`` where it can't know."""

    id: str
    name: str = ""
    architecture: str | None = None
    family: str | None = None
    parameters: int | None = None
    quantization: str | None = None
    n_ctx: int | None = None
    """Longest request, in tokens."""
    n_ctx_train: int | None = None
    n_gpu_layers: int | None = None
    embedding_length: int | None = None
    pooling: str | None = None
    chat_template: str | None = field(default=None, repr=False)
    memory_bytes: int | None = None
    """Weights, KV cache and compute buffers while loaded."""
    digest: str | None = None
    """sha256 of the model file, where it is known."""
    path: Path | None = None
    """The model file, where it is on this machine."""
    loaded: bool = False
    remote: bool = False
    """Whether prompts leave this machine."""
    capabilities: frozenset[str] = frozenset()
    """Of: chat, schema, tools, reasoning, streaming, embed, rerank, complete."""
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)


class Backend(ABC):
    """Something that answers calls. Every method may raise any :class:`ParlantLocalError`; cancelling the task cancels the work.

    A backend of one's own has :meth:`chat` and :meth:`model_info`; what it leaves out is done by these, or refused with
    :class:`UnsupportedCallError`.
    """

    @classmethod
    def from_reference(cls, name: str, context: BackendContext) -> Self:  # noqa: ARG003  # for subclasses
        """The backend of the model that users call ``<prefix>/<name>``. Cheap: nothing is opened before its first call."""
        raise ConfigurationError(f"{cls.__name__} has no models that a reference can name.")

    @classmethod
    def info_of(cls, name: str, context: BackendContext) -> ModelInfo:
        """What is known of that model beforehand; ``remote`` in it decides whether the owner's leave is needed."""
        return cls.from_reference(name, context).model_info()

    @abstractmethod
    async def chat(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> ChatReply:
        """One whole answer. With a ``response_format`` of JSON its content validates, or an error is raised."""

    @abstractmethod
    def model_info(self) -> ModelInfo:
        """Never blocks and never loads anything."""

    async def chat_stream(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> ChatStream:
        """The answer in pieces; the last one of each ``index`` has ``finish_reason`` and ``usage``. Closing it cancels."""
        for chunk in in_one_piece(await cut_or_whole(self.chat(messages, **options))):
            yield chunk

    async def complete(self, prompt: Text, **options: Unpack[ChatOptions]) -> ChatReply:  # noqa: ARG002  # for subclasses
        """Text that continues ``prompt``, no chat template applied."""
        raise self.unsupported("continue texts")

    async def complete_stream(self, prompt: Text, **options: Unpack[ChatOptions]) -> ChatStream:
        """:meth:`complete` in pieces, as :meth:`chat_stream` gives them."""
        for chunk in in_one_piece(await cut_or_whole(self.complete(prompt, **options))):
            yield chunk

    async def embed(self, texts: Sequence[Text], *, truncate: bool = False) -> EmbedReply:  # noqa: ARG002  # for subclasses
        """A vector of each text. One that is too long is an error, unless cutting was asked for."""
        raise self.unsupported("embed")

    async def rerank(self, query: str, documents: Sequence[str]) -> RerankReply:  # noqa: ARG002  # for subclasses
        raise self.unsupported("rerank", hint="Use a reranker loaded here.")

    async def tokenize(self, text: str) -> list[int]:  # noqa: ARG002  # for subclasses
        """Token ids of ``text`` as typed: no BOS added, special tokens as text."""
        raise self.unsupported("tell its token ids", hint="Load the model here to tokenise with it.")

    async def count_tokens(self, text: str) -> int:
        """An estimate on the high side (three bytes a token), where the model's own tokeniser can't be asked."""
        return -(-len(text.encode()) // 3)

    async def load(self) -> None:  # noqa: B027  # most have nothing to do
        """Gets ready ahead of the first call, which would do it otherwise."""

    async def close(self) -> None:  # noqa: B027  # some have nothing to give back
        """Idempotent; gives memory and connections back."""

    def close_now(self) -> None:
        """:meth:`close`, from synchronous code and at the end of the interpreter; blocks until it is done."""
        close_blocking(self.close)

    def let_go(self) -> None:
        """For an owner that is gone without closing it: from any thread, also one with an event loop; raises nothing."""
        close_unattended(self.close)

    def unsupported(self, what: str, *, hint: str = "") -> UnsupportedCallError:
        """The error of a call that this backend has no way to make."""
        return UnsupportedCallError(f"{self.model_info().id} can't {what}.", hint=hint or "Ask another model.")

    def as_text(self, given: Text) -> str:
        """``given``, where it is text; token ids mean nothing to a model whose vocabulary can't be seen."""
        if isinstance(given, str):
            return whole_text(given)
        raise self.unsupported("take token ids", hint="Give text, or load the model here.")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
