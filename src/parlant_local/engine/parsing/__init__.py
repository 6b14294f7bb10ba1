"""From a model's text to thoughts, content and tool calls, the same result streamed or whole."""

from __future__ import annotations

from parlant_local.engine.parsing.bound import BoundCalls, call_schema, hoisted, lead_in
from parlant_local.engine.parsing.calls import CallParser, new_call_id
from parlant_local.engine.parsing.formats import CALL_FORMATS, CallFormat
from parlant_local.engine.parsing.output import Collected, ContentReader, OutputParser, PlainContent, collect
from parlant_local.engine.parsing.reasoning import ThoughtSplitter, closes_thoughts, opens_thoughts

__all__ = [
    "CALL_FORMATS",
    "BoundCalls",
    "CallFormat",
    "CallParser",
    "Collected",
    "ContentReader",
    "OutputParser",
    "PlainContent",
    "ThoughtSplitter",
    "call_schema",
    "closes_thoughts",
    "collect",
    "hoisted",
    "lead_in",
    "new_call_id",
    "opens_thoughts",
]
