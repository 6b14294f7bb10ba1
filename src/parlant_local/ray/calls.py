"""What the server and a model's replicas tell each other. Knows no Ray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from parlant_local.errors import ParlantLocalError
from parlant_local.messages import ResponseFormat
from parlant_local.ray.affinity import CallKey

__all__ = ["STREAMED", "Begun", "Call", "Failed", "Kind", "key_of"]

Kind = Literal["chat", "chat_stream", "complete", "complete_stream", "embed", "rerank", "tokenize", "count_tokens"]
STREAMED: frozenset[Kind] = frozenset({"chat_stream", "complete_stream"})


@dataclass(frozen=True, slots=True)
class Call:
    """A method of :class:`Backend` with its arguments."""

    kind: Kind
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Begun:
    """The first that a replica tells of a call: who has it."""

    replica: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The last, where it failed: an error of ours as it is, none of Ray's around it."""

    error: ParlantLocalError


def key_of(model: str, options: Mapping[str, Any]) -> CallKey:
    """What decides where a call goes: its schema's name, or that of its answer's format, and its conversation."""
    schema = options.get("prefix_group")
    if not schema and options.get("response_format") is not None:
        form = ResponseFormat.coerce(options["response_format"])
        schema = form.name if form.type == "json_schema" else None
    return CallKey(model, str(schema or ""), str(options.get("session") or ""))
