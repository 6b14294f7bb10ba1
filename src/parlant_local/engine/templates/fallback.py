"""The template for a model that brings none: its family's, as identified by vocabulary or metadata."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from parlant_local.engine.templates.named import DEFAULT_TEMPLATE, named_templates
from parlant_local.profiles import NamedTemplate

__all__ = ["family_template"]


def family_template(metadata: Mapping[str, str], knows: Callable[[str], bool]) -> NamedTemplate:
    """The template that a model without one was probably trained with, or else the default.

    ``knows``: whether a text is one token of the vocabulary.
    """
    known = named_templates()
    for template in known.values():
        if template.tokens and all(knows(token) for token in template.tokens):
            return template
    called = " ".join(metadata.get(key, "") for key in ("general.basename", "general.name")).lower()
    for template in known.values():
        if any(part in called for part in template.called):
            return template
    architecture = metadata.get("general.architecture", "")
    return next((item for item in known.values() if architecture in item.architectures), known[DEFAULT_TEMPLATE])
