"""Defaults for calls that don't set an option."""

from __future__ import annotations

from pydantic import Field

from parlant_local.call_options import OPTIONS, ReasoningChoice
from parlant_local.settings.calls import CallName, CallSettings
from parlant_local.settings.section import Section

__all__ = ["GenerationSettings", "OutputLimits"]


class OutputLimits(Section):
    """Bounds put into every schema, so that a constrained answer always ends."""

    max_string: int = Field(default=600, ge=8)
    """Maximum characters of a string without a limit in its schema."""

    max_items: int = Field(default=32, ge=1)
    """Maximum items of an array without a limit in its schema."""

    max_properties: int = Field(default=32, ge=1)
    """Maximum keys of an object whose schema does not name them."""

    max_digits: int = Field(default=15, ge=1, le=17)
    """Maximum digits of a number without a limit in its schema."""

    max_depth: int = Field(default=6, ge=1)
    """Levels that a recursive schema, or a value of any type, may nest."""


class GenerationSettings(Section):
    max_tokens: int = Field(default=2048, ge=OPTIONS["max_tokens"].low)
    """Token limit of an answer where the call sets none."""

    temperature: float | None = Field(default=None, ge=OPTIONS["temperature"].low, le=OPTIONS["temperature"].high)
    """None: the caller's hint, else the value that the model's makers recommend."""

    reasoning: ReasoningChoice = "auto"
    """Whether models that can think first do so; auto: off for calls with a schema, else as the chat template does by default; always: any model, in free text, before an answer that is bound to a schema."""

    reasoning_tokens: int = Field(default=512, ge=OPTIONS["reasoning_tokens"].low)
    """Budget of reasoning tokens per answer."""

    tighten: bool = True
    """Constrain answers to the ids, conditions and names that Parlant's own prompts contain."""

    leave_out_examples: bool = True
    """Omit the few-shot examples from Parlant's prompts that fit no configured model, instead of failing the call."""

    calls: dict[CallName, CallSettings] = Field(default_factory=dict)
    """Options of Parlant's calls, over its own hints: of all, of a family (matching, tools, journeys, canned, replies, setup), or of a schema by its name; the more special one wins."""

    limits: OutputLimits = OutputLimits()
