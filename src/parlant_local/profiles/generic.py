"""Any other model: plain JSON calls on request, thoughts if its template knows the usual tags."""

from __future__ import annotations

from parlant_local.profiles.base import Profile, ReasoningTags, SamplingAdvice

# Nobody's advice: what answers that are neither dull nor wild are commonly sampled with.
_ADVICE = SamplingAdvice(temperature=0.7, top_p=0.95)

GENERIC_THINKING = Profile(
    name="generic",
    source="ours",
    reasoning=ReasoningTags("<think>", "</think>"),
    thinking_on={"enable_thinking": True, "thinking": True},
    thinking_off={"enable_thinking": False, "thinking": False},
    sampling=_ADVICE,
    template_marks=(("<think>",), ("</think>",)),
)

GENERIC = Profile(name="generic", source="ours", sampling=_ADVICE)

PROFILES = (GENERIC_THINKING, GENERIC)
