"""The Ollama daemon's API as data: requests out of our parameters, replies into our types."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from parlant_local.backends.base import ModelInfo
from parlant_local.backends.openai_reading import finish_of
from parlant_local.backends.thoughts import TaggedThoughts
from parlant_local.call_options import OPTIONS, ChatParams, Sent
from parlant_local.errors import BadRequestError, UnsupportedCallError
from parlant_local.messages import (
    ChatChunk,
    ChatReply,
    Delta,
    FinishReason,
    Message,
    ResponseFormat,
    Timings,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    Usage,
)

if TYPE_CHECKING:
    import ollama

__all__ = ["LEAST_CONTEXT", "DaemonAssembler", "described", "format_of", "messages_of", "options_of", "tools_of"]

LEAST_CONTEXT = 4096
_MOST_CONTEXT = 32768
_CAPABILITIES = {
    "completion": frozenset({"chat", "schema", "streaming", "complete"}),
    "tools": frozenset({"tools"}),
    "thinking": frozenset({"reasoning"}),
    "embedding": frozenset({"embed"}),
    "vision": frozenset({"vision"}),
}
_SENT = [option for option in OPTIONS.values() if isinstance(option.ollama, Sent)]


def messages_of(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Ollama wants tool arguments as objects, and names tool results by the tool, not by the call's id."""
    names: dict[str, str] = {}
    result: list[dict[str, Any]] = []
    for message in messages:
        data: dict[str, Any] = {"role": "tool" if message.role == "function" else message.role}
        data["content"] = message.content or ""
        if message.media:
            if any(part.kind != "image" for part in message.media):
                raise UnsupportedCallError("An Ollama daemon reads pictures, not sounds.", hint="Use another model.")
            data["images"] = [base64.b64encode(part.data).decode() for part in message.media]
        if message.tool_calls:
            data["tool_calls"] = [_call(call) for call in message.tool_calls]
            names.update({call.id: call.name for call in message.tool_calls})
        if data["role"] == "tool":
            data["tool_name"] = message.name or names.get(message.tool_call_id or "", "")
        result.append(data)
    return result


def _call(call: ToolCall) -> dict[str, Any]:
    try:
        arguments = call.parsed()
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise BadRequestError(f"The arguments of the earlier call to {call.name!r} are not a JSON object.")
    return {"function": {"name": call.name, "arguments": arguments}}


def tools_of(params: ChatParams) -> list[dict[str, Any]] | None:
    """Ollama has no ``tool_choice``: ``none`` leaves the tools out, a name leaves the others out."""
    if not params.tools or params.tool_choice == "none":
        return None
    named = params.tool_choice not in ("auto", "required")
    return [tool.to_openai() for tool in params.tools if not named or tool.name == params.tool_choice]


def options_of(params: ChatParams, num_ctx: int) -> dict[str, Any]:
    """``options`` of a call. ``num_ctx`` is always there, and always the same: another value reloads the model."""
    options: dict[str, Any] = {"num_ctx": num_ctx}
    for option in _SENT:
        value = params.value_of(option.name)
        value = option.neutral if value is None else value  # sent even so: the daemon's own default may not be neutral
        if value not in (None, ()):
            (name,) = option.fields("ollama")
            options[name] = list(value) if isinstance(value, tuple) else value
    return options


def format_of(wanted: ResponseFormat) -> Any:
    if wanted.type == "json_schema":
        return dict(wanted.schema or {})
    return "json" if wanted.type == "json_object" else None


def described(shown: ollama.ShowResponse, known: ModelInfo, num_ctx: int | None) -> ModelInfo:
    """``known`` with what the daemon shows; ``num_ctx``: the context that the owner wants, where he says so."""
    facts = dict(shown.modelinfo or {})
    architecture = facts.get("general.architecture")
    trained = facts.get(f"{architecture}.context_length")
    trained = trained if isinstance(trained, int) and trained > 0 else None
    told = shown.capabilities or ["completion"]
    capabilities = frozenset().union(*(_CAPABILITIES.get(item, frozenset()) for item in told))
    n_ctx = num_ctx or min(trained or LEAST_CONTEXT, _MOST_CONTEXT)
    details = shown.details
    return replace(
        known,
        architecture=architecture,
        family=details.family if details else None,
        parameters=facts.get("general.parameter_count"),
        quantization=details.quantization_level if details else None,
        n_ctx=n_ctx,
        n_ctx_train=trained,
        embedding_length=facts.get(f"{architecture}.embedding_length"),
        chat_template=shown.template,
        capabilities=capabilities,
    )


class DaemonAssembler:
    """Collects the NDJSON pieces of one answer."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.content: list[str] = []
        self.reasoning: list[str] = []
        self.calls: list[ToolCall] = []
        self.logprobs: list[TokenLogprob] = []
        self.done: Any = None
        self._thoughts = TaggedThoughts()
        self._separates_reasoning = False
        """Whether the daemon separates reasoning from content itself."""

    def feed(self, data: Any) -> ChatChunk | None:
        """One piece; ``None`` where there is nothing to deliver."""
        message = getattr(data, "message", None)
        text = (message.content if message is not None else getattr(data, "response", None)) or ""
        thinking = (message.thinking if message is not None else getattr(data, "thinking", None)) or ""
        calls: list[ToolCallDelta] = []
        for call in (message.tool_calls if message is not None else None) or ():
            index = len(self.calls)
            arguments = json.dumps(dict(call.function.arguments), ensure_ascii=False)
            made = ToolCall(f"call_{index}", call.function.name, arguments)
            self.calls.append(made)
            calls.append(ToolCallDelta(index, made.id, made.name, made.arguments))
        if getattr(data, "done", False):
            self.done = data
        text, thinking = self._split_reasoning(text, thinking)
        logprobs = tuple(_logprob(item) for item in getattr(data, "logprobs", None) or ())
        self.logprobs.extend(logprobs)
        self.content.append(text)
        self.reasoning.append(thinking)
        if not (text or thinking or calls):
            return None
        return ChatChunk(delta=Delta(text, thinking, tuple(calls)), model=self.model, logprobs=logprobs or None)

    def _split_reasoning(self, text: str, thinking: str) -> tuple[str, str]:
        """Older daemons, and models unknown to it, leave thoughts in the text."""
        deltas = []
        if thinking and not self._separates_reasoning:
            self._separates_reasoning = True
            deltas += self._thoughts.finish()
        deltas += [Delta(content=text)] if self._separates_reasoning else self._thoughts.feed(text)
        if self.done is not None and not self._separates_reasoning:
            deltas += self._thoughts.finish()
        return "".join(delta.content for delta in deltas), thinking + "".join(delta.reasoning for delta in deltas)

    @property
    def finish_reason(self) -> FinishReason:
        if self.calls:
            return "tool_calls"
        return finish_of(getattr(self.done, "done_reason", None)) or "stop"

    @property
    def usage(self) -> Usage:
        return Usage(
            prompt_tokens=getattr(self.done, "prompt_eval_count", None) or 0,
            completion_tokens=getattr(self.done, "eval_count", None) or 0,
        )

    @property
    def timings(self) -> Timings:
        def seconds(name: str) -> float:
            return (getattr(self.done, name, None) or 0) / 1e9

        return Timings(
            queued=seconds("load_duration"),
            prefill=seconds("prompt_eval_duration"),
            decode=seconds("eval_duration"),
        )

    def whole(self) -> ChatReply:
        return ChatReply(
            content="".join(self.content),
            reasoning="".join(self.reasoning),
            tool_calls=tuple(self.calls),
            finish_reason=self.finish_reason,
            usage=self.usage,
            timings=self.timings,
            model=self.model,
            logprobs=tuple(self.logprobs) or None,
        )


def _logprob(item: Any) -> TokenLogprob:
    top = tuple((other.token, other.logprob) for other in item.top_logprobs or ())
    return TokenLogprob(token=item.token, logprob=item.logprob, bytes=tuple(item.token.encode()), top=top)
