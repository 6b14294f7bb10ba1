"""OpenAI's chat API as data: request bodies from our parameters, and the options that an endpoint rejects."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from parlant_local.call_options import OPTIONS, ChatParams, Sent
from parlant_local.messages import Message

__all__ = ["SCHEMA_HEADER", "SESSION_HEADER", "Quirks", "affinity_headers", "request_body"]

SESSION_HEADER = "x-parlant-local-session"
SCHEMA_HEADER = "x-parlant-local-schema"
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")

_SENT = [option for option in OPTIONS.values() if isinstance(option.openai, Sent)]
_EXTENSIONS = {name for option in OPTIONS.values() if option.is_extension for name in option.fields("openai")}
_DROPPABLE = {name for option in OPTIONS.values() if not option.is_needed for name in option.fields("openai")}
_DROPPABLE |= {"stream_options"}


@dataclass
class Quirks:
    """Options that an endpoint rejects, learned from its errors, each of which costs one request."""

    dropped: set[str] = field(default_factory=set)
    renamed: dict[str, str] = field(default_factory=dict)

    def learn(self, status: int, param: str | None, text: str) -> bool:
        """Whether the error named an option to drop, so that the request is worth retrying."""
        if status not in (400, 422):
            return False
        known = _DROPPABLE | {"max_tokens"}
        names = (
            [param]
            if param in known
            else [name for name in re.findall(r"['\"`]?([a-z_]+)['\"`]?", text) if name in known]
        )
        if not names or not re.search(
            r"support|unrecogni[sz]ed|unknown|extra|not permitted|unexpected", text, re.IGNORECASE
        ):
            return False
        name = names[0]
        if name == "max_tokens":
            if "max_completion_tokens" not in text or name in self.renamed:
                return False
            self.renamed[name] = "max_completion_tokens"
            return True
        if name in self.dropped:
            return False
        self.dropped.add(name)
        return True

    def fit(self, body: dict[str, Any]) -> dict[str, Any]:
        kept = {self.renamed.get(name, name): value for name, value in body.items() if name not in self.dropped}
        extras = {name: kept.pop(name) for name in _EXTENSIONS if name in kept}
        if extras:
            kept["extra_body"] = extras
        return kept


def request_body(model: str, messages: Iterable[Message], params: ChatParams) -> dict[str, Any]:
    """The body of ``/chat/completions`` without ``response_format`` and ``stream``; only what was asked for is sent."""
    body: dict[str, Any] = {"model": model, "messages": [_message(item) for item in messages], **_as_they_are(params)}
    if bias := params.sampling.get("logit_bias"):
        body["logit_bias"] = {str(token): value for token, value in bias.items()}
    if params.n > 1:
        body["n"] = params.n
    if params.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": params.logprobs}
    if params.tools:
        body["tools"] = [tool.to_openai() for tool in params.tools]
        named = params.tool_choice not in ("auto", "none", "required")
        body["tool_choice"] = (
            {"type": "function", "function": {"name": params.tool_choice}} if named else params.tool_choice
        )
        if not params.parallel_tool_calls:
            body["parallel_tool_calls"] = False
    if params.reasoning != "auto":
        body["chat_template_kwargs"] = {"enable_thinking": params.reasoning in ("on", "always")}
    return body


def affinity_headers(params: ChatParams) -> dict[str, str]:
    """Which calls belong together: a digest of the conversation's id, and the schema's name."""
    told = {}
    if params.session:
        told[SESSION_HEADER] = hashlib.blake2b(params.session.encode(), digest_size=16).hexdigest()
    if params.prefix_group:
        told[SCHEMA_HEADER] = _UNSAFE.sub("_", params.prefix_group)[:128]
    return told


def _as_they_are(params: ChatParams) -> dict[str, Any]:
    """The options that are passed through unchanged."""
    body: dict[str, Any] = {}
    for option in _SENT:
        if (value := params.value_of(option.name)) not in (None, (), option.neutral):
            (name,) = option.fields("openai")
            body[name] = list(value) if isinstance(value, tuple) else value
    return body


def _message(message: Message) -> dict[str, Any]:
    data = message.to_openai()
    data.pop("reasoning_content", None)  # reasoning of earlier turns is not sent on, least of all to another model
    return data
