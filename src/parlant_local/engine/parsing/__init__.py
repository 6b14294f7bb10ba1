"""Parses a model's text into thoughts, content and tool calls, with the same result streamed or whole."""

from __future__ import annotations

from parlant_local.engine.parsing.bound import BoundCalls, call_schema, hoisted
from parlant_local.engine.parsing.calls import CallParser, new_call_id
from parlant_local.engine.parsing.formats import CALL_FORMATS, CallFormat
from parlant_local.engine.parsing.output import Collected, ContentReader, OutputParser, PlainContent, collect
from parlant_local.engine.parsing.reasoning import ThoughtSplitter, closes_thoughts, opens_answer, opens_thoughts
from parlant_local.engine.parsing.streaming import BoundSyntaxCalls
from parlant_local.engine.parsing.syntax import CallSyntax

__all__ = [
    "CALL_FORMATS",
    "BoundCalls",
    "BoundSyntaxCalls",
    "CallFormat",
    "CallParser",
    "CallSyntax",
    "Collected",
    "ContentReader",
    "OutputParser",
    "PlainContent",
    "ThoughtSplitter",
    "call_schema",
    "closes_thoughts",
    "collect",
    "hoisted",
    "new_call_id",
    "opens_answer",
    "opens_thoughts",
]
