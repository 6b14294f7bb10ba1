"""What answers may look like when a call does not say."""

from __future__ import annotations

from pydantic import Field

from parlant_local.call_options import OPTIONS, ReasoningChoice
from parlant_local.settings.section import Section

__all__ = ["GenerationSettings", "OutputLimits"]


class OutputLimits(Section):
    """Bounds put into every schema, so that a constrained answer always ends."""

    max_string: int = Field(default=600, ge=8)
    """Characters of a string that its schema leaves open."""

    max_items: int = Field(default=32, ge=1)
    """Items of an array that its schema leaves open."""

    max_properties: int = Field(default=32, ge=1)
    """Keys of a dictionary whose names its schema leaves open."""

    max_digits: int = Field(default=15, ge=1, le=17)
    """Digits of a number that its schema leaves open."""

    max_depth: int = Field(default=6, ge=1)
    """Levels that a recursive schema, or a value of any type, may nest."""


class GenerationSettings(Section):
    max_tokens: int = Field(default=2048, ge=OPTIONS["max_tokens"].low)
    """Tokens of an answer when the call does not say."""

    temperature: float | None = Field(default=None, ge=OPTIONS["temperature"].low, le=OPTIONS["temperature"].high)
    """None: as the caller hints, else as the model's family recommends."""

    reasoning: ReasoningChoice = "auto"
    """Whether models that can think first do so; auto: off for schema-bound calls, as the template says otherwise."""

    reasoning_tokens: int = Field(default=512, ge=OPTIONS["reasoning_tokens"].low)
    """Budget of thoughts per answer."""

    tighten: bool = True
    """Bind host ids, conditions and names that stand in Parlant's own prompts."""

    leave_out_examples: bool = True
    """Leave the few-shot examples out of Parlant's prompts that fit no configured model, instead of losing the call."""

    limits: OutputLimits = OutputLimits()
