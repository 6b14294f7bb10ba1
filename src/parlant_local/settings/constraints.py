"""Bounds on schemas, grammars and patterns: they are untrusted programs."""

from __future__ import annotations

from pydantic import Field

from parlant_local.settings.section import Section

__all__ = ["DEFAULT_BOUNDS", "ConstraintSettings"]


class ConstraintSettings(Section):
    """Bounds of a schema, a grammar or a pattern. What exceeds one is rejected before anything is computed."""

    max_kb: int = Field(default=512, ge=1)
    """Size of a schema as JSON, in KiB; a request's tools count together."""

    max_grammar_kb: int = Field(default=64, ge=1)
    """Size of a grammar, in KiB."""

    max_depth: int = Field(default=100, ge=8, le=200)
    """Levels that the JSON of a schema may nest, and that its references may lead down."""

    max_parts: int = Field(default=20_000, ge=100)
    """Subschemas of a schema, once references are followed and recursion is unrolled."""

    max_branches: int = Field(default=500, ge=2)
    """Alternatives of one anyOf or oneOf, parts of one allOf, arrays and objects in one enum."""

    max_values: int = Field(default=20_000, ge=2)
    """Values of one enum, or choices."""

    max_text: int = Field(default=10_000, ge=128)
    """Characters of one name, or of one value of an enum, written as JSON."""

    max_properties: int = Field(default=1_000, ge=8)
    """Names that one object may describe or require."""

    max_count: int = Field(default=10_000, ge=16)
    """Items, keys or characters that a schema may ask for at least (minItems, minProperties, minLength)."""

    max_multiple: int = Field(default=200_000, ge=100)
    """Sum of the multipleOf of one schema (of their numerators: 0.03 counts 3): each is an automaton with as many states."""

    max_pattern: int = Field(default=2_000, ge=16)
    """Characters of a pattern."""

    max_repeat: int = Field(default=10_000, ge=16)
    """Highest count of a repetition (``{3,10}``) in a pattern or grammar."""

    compile_seconds: float = Field(default=5.0, gt=0)
    """Processor time that reading one schema may take before it is compiled; what is within the bounds above compiles in less."""

    cached: int = Field(default=256, ge=1)
    """Compiled schemas and grammars that are kept."""

    cached_mb: int = Field(default=512, ge=1)
    """About the memory that they may take, in MiB. Those with patterns count 20 each, others about 2."""


DEFAULT_BOUNDS = ConstraintSettings()
"""Used where no settings are given."""
