"""Where models come from: each source turns a reference into a plan of files, and the transfer engine fetches them."""

from __future__ import annotations

from collections.abc import Callable

from parlant_local.catalog.sources.plan import Plan, SourceContext
from parlant_local.registry import Registry

__all__ = ["PLANNERS", "Plan", "Planner", "SourceContext"]

Planner = Callable[..., Plan]

PLANNERS: Registry[Plan] = Registry("source")
PLANNERS.register("huggingface", "parlant_local.catalog.sources.huggingface:plan")
PLANNERS.register("ollama", "parlant_local.catalog.sources.ollama_registry:plan")
PLANNERS.register("gguf", "parlant_local.catalog.sources.url:plan")
