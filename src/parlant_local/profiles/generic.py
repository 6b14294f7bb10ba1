"""Any other model: plain JSON calls on request, thoughts if its template knows the usual tags."""

from __future__ import annotations

from parlant_local.profiles.base import Family, Profile, ReasoningTags, SamplingAdvice
from parlant_local.profiles.templates import NamedTemplate

# Not a maker's recommendation: common values between greedy and erratic sampling.
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

TEMPLATES = (
    NamedTemplate(
        "chatml",
        "{%- for message in messages -%}"
        "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}"
        "{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}",
        ends=("<|im_end|>", "<|im_start|>"),
        tokens=("<|im_start|>", "<|im_end|>"),
    ),
)

FAMILY = Family("generic", PROFILES, rank=9, templates=TEMPLATES)
