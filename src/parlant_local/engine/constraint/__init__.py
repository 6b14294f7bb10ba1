"""Constrained decoding: schemas and grammars compiled to token masks."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parlant_local.engine.constraint.compiler import CompiledConstraint as CompiledConstraint
    from parlant_local.engine.constraint.compiler import ConstraintCompiler as ConstraintCompiler
    from parlant_local.engine.constraint.matcher import ConstraintMatcher as ConstraintMatcher

_MODULES = {
    "CompiledConstraint": "parlant_local.engine.constraint.compiler",
    "ConstraintCompiler": "parlant_local.engine.constraint.compiler",
    "ConstraintMatcher": "parlant_local.engine.constraint.matcher",
}

__all__ = ["CompiledConstraint", "ConstraintCompiler", "ConstraintMatcher"]


def __getattr__(name: str) -> Any:
    if (module := _MODULES.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(module), name)
