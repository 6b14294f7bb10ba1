"""Call options: defined once, derived everywhere."""

from __future__ import annotations

from parlant_local.call_options.choosing import chosen_tools
from parlant_local.call_options.definitions import (
    OPTIONS,
    SAMPLING,
    ChatOptions,
    Priority,
    ReasoningChoice,
    SamplingOptions,
)
from parlant_local.call_options.option import Built, Option, Refused, Sent, Unsent, Wire
from parlant_local.call_options.params import ChatParams, token_biases

__all__ = [
    "OPTIONS",
    "SAMPLING",
    "Built",
    "ChatOptions",
    "ChatParams",
    "Option",
    "Priority",
    "ReasoningChoice",
    "Refused",
    "SamplingOptions",
    "Sent",
    "Unsent",
    "Wire",
    "chosen_tools",
    "token_biases",
]
