"""Chat templates by name, for ``chat_format`` and for models that bring none: each family's."""

from __future__ import annotations

import difflib

from parlant_local.errors import ConfigurationError
from parlant_local.profiles import NamedTemplate, families

__all__ = ["DEFAULT_TEMPLATE", "named_template", "named_templates", "template_source"]

DEFAULT_TEMPLATE = "chatml"
"""Used, with a warning, for a model without a template whose family is unknown."""


def named_templates() -> dict[str, NamedTemplate]:
    return {template.name: template for family in families() for template in family.templates}


def named_template(chat_format: str) -> NamedTemplate | None:
    """The template named by ``chat_format``; None where it is a template's text, or unknown."""
    name = chat_format.strip().lower()
    found = named_templates()
    return found.get(name) or next((item for item in found.values() if name in item.aliases), None)


def template_source(chat_format: str) -> str:
    """The template that ``chat_format`` means: a name, or a template's own text (anything with a brace in it)."""
    if "{" in chat_format:
        return chat_format
    if (known := named_template(chat_format)) is not None:
        return known.source
    name, names = chat_format.strip().lower(), sorted(named_templates())
    near = difflib.get_close_matches(name, names, n=1)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    raise ConfigurationError(
        f"Unknown chat_format {chat_format!r}.{guess}",
        hint=f"Known: {', '.join(names)}; or give a Jinja template's text.",
    )
