"""Schemas and grammars turned into what the decoder may say next."""

from __future__ import annotations

from parlant_local.engine.constraint.compiler import CompiledConstraint, ConstraintCompiler
from parlant_local.engine.constraint.matcher import ConstraintMatcher

__all__ = ["CompiledConstraint", "ConstraintCompiler", "ConstraintMatcher"]
