"""ChatML with ``<tool_call>`` elements, as Nous Research's Hermes made common; many fine-tunes follow it."""

from __future__ import annotations

from parlant_local.profiles.base import Profile, SamplingAdvice

HERMES = Profile(
    name="hermes",
    tools="hermes",
    sampling=SamplingAdvice(temperature=0.7, top_p=0.95),
    template_marks=(("<|im_start|>", "<tool_call>"),),
    names=("hermes", "nous-hermes"),
)

PROFILES = (HERMES,)
