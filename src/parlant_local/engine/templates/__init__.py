"""Chat templates: the model's own, rendered in a separate process with limits."""

from __future__ import annotations

from parlant_local.engine.templates.named import DEFAULT_TEMPLATE, named_templates, template_source
from parlant_local.engine.templates.sandbox import Sandbox, SandboxLimits, shared_sandbox
from parlant_local.engine.templates.template import ChatTemplate, Speech

__all__ = [
    "DEFAULT_TEMPLATE",
    "ChatTemplate",
    "Sandbox",
    "SandboxLimits",
    "Speech",
    "named_templates",
    "shared_sandbox",
    "template_source",
]
