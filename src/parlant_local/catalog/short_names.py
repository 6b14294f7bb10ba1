"""Well-known models by their common names, with their types."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields

from parlant_local.catalog.records import ModelType
from parlant_local.profiles import KnownModel, families

__all__ = ["ShortName", "find_short_name", "near_short_names", "short_names"]


_LICENSES = {
    "qwen2.5:3b": "qwen-research",
    "qwen": "apache-2.0",
    "deepseek-r1": "mit",
    "phi": "mit",
    "mistral": "apache-2.0",
    "llama3.1": "llama3.1",
    "llama3.2": "llama3.2",
    "llama3.3": "llama3.3",
    "gemma": "gemma",
    "nomic-embed-text": "apache-2.0",
    "bge-m3": "mit",
}
"""By the beginning of a name, the first that fits; as the hub tags them."""


@dataclass(frozen=True, slots=True)
class ShortName(KnownModel):
    type: ModelType = ModelType.OTHER

    @property
    def license(self) -> str | None:
        return next((text for name, text in _LICENSES.items() if self.name.startswith(name)), None)


def short_names() -> tuple[ShortName, ...]:
    """Of every family."""
    return tuple(
        ShortName(**{item.name: getattr(model, item.name) for item in fields(KnownModel)}, type=ModelType(family.type))
        for family in families()
        for model in family.known
    )


def find_short_name(name: str) -> ShortName | None:
    """The entry of ``name``; without a tag, the smallest model of that name is meant."""
    wanted = name.lower().removeprefix("ollama://").removeprefix("library/")
    if ":" in wanted and not wanted.endswith(":latest"):
        return next((entry for entry in short_names() if entry.name == wanted), None)
    family = wanted.removesuffix(":latest")
    matches = [entry for entry in short_names() if entry.name.partition(":")[0] == family]
    return min(matches, key=lambda entry: entry.parameters, default=None)


def near_short_names(name: str) -> list[str]:
    """Names in the table that look like ``name``."""
    families = {entry.name.partition(":")[0] for entry in short_names()}
    family = name.lower().partition(":")[0]
    if family in families:
        return [entry.name for entry in short_names() if entry.name.partition(":")[0] == family][:4]
    return difflib.get_close_matches(name.lower(), [entry.name for entry in short_names()], n=3, cutoff=0.5)
