"""Detects a model's family."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from parlant_local.call_options import SAMPLING
from parlant_local.profiles.base import Profile, SamplingAdvice
from parlant_local.profiles.families import FAMILIES, families
from parlant_local.profiles.generic import GENERIC

__all__ = ["PROFILES", "profile_of"]

PROFILES: tuple[Profile, ...] = tuple(profile for family in FAMILIES for profile in family.profiles)
"""Profiles of the families that come with this package."""


def _profiles() -> Iterator[Profile]:
    return (profile for family in families() for profile in family.profiles)


def profile_of(template: str | None, metadata: Mapping[str, str] | None = None) -> Profile:
    """The family's profile; sampling that the GGUF itself recommends (``general.sampling.*``) overrides the family's.

    The template takes precedence, since the model was tuned on it: a distillation has its teacher's template and its base
    model's architecture. Names and architecture decide where a template is missing or not distinctive.
    """
    metadata = metadata or {}
    profile = (_by_template(template, metadata) if template else None) or _by_metadata(metadata, alone=not template)
    profile = profile or GENERIC
    own = _own_advice(metadata)
    if own:
        profile = replace(profile, sampling=own, sampling_thinking=None)
    return profile


def _by_template(template: str, metadata: Mapping[str, str]) -> Profile | None:
    for profile in _profiles():
        marked = any(all(mark in template for mark in marks) for marks in profile.template_marks)
        if marked and (not profile.named or _is_named(profile, metadata)):
            return profile
    return None


def _by_metadata(metadata: Mapping[str, str], *, alone: bool) -> Profile | None:
    """``alone``: there is no template. A template without Llama's marks shows that only the architecture is Llama's."""
    named = next((profile for profile in _profiles() if _is_named(profile, metadata)), None)
    architecture = metadata.get("general.architecture", "")
    if named is not None or (architecture == "llama" and not alone):
        return named
    return next((profile for profile in _profiles() if architecture in profile.architectures), None)


def _is_named(profile: Profile, metadata: Mapping[str, str]) -> bool:
    names = (metadata.get(key, "").lower().replace(" ", "-") for key in ("general.basename", "general.name"))
    return any(name.startswith(profile.names) for name in names if name)


def _own_advice(metadata: Mapping[str, str]) -> SamplingAdvice:
    """The file's own recommendations; values out of an option's range are ignored."""
    found: Any = {}
    for name, option in SAMPLING.items():
        value = _number(metadata.get(f"general.sampling.{option.gguf}")) if option.gguf else None
        value = None if value is None else option.resolved(value)
        if value is not None and option.low <= value <= option.high:
            found[name] = int(value) if option.kind is int else value
    return found  # type: ignore[no-any-return]  # made of its keys


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
