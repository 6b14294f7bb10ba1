"""ChatML with ``<tool_call>`` elements, as Nous Research's Hermes made common; many fine-tunes follow it."""

from __future__ import annotations

from parlant_local.profiles.base import Family, Profile

# Too many models use this format for one sampling recommendation.
HERMES = Profile(
    name="hermes",
    tools="hermes",
    template_marks=(("<|im_start|>", "<tool_call>"),),
    names=("hermes", "nous-hermes"),
)

PROFILES = (HERMES,)

FAMILY = Family("hermes", PROFILES, rank=2)
