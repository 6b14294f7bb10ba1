"""MiniMax: M2 and M3 think first and write calls as elements of a namespace; M1 writes lists of JSON."""

from __future__ import annotations

from parlant_local.profiles.base import Family, Profile, ReasoningTags, SamplingAdvice

MINIMAX_M3 = Profile(
    name="minimax",
    source="sampling: model card and generation_config.json of MiniMax-M3; marks and switch: its chat template",
    reasoning=ReasoningTags("<mm:think>", "</mm:think>"),
    thinking_on={"thinking_mode": "enabled"},
    thinking_off={"thinking_mode": "disabled"},
    sampling=SamplingAdvice(temperature=1.0, top_p=0.95),
    template_marks=(("mm:think", "minimax"),),
    architectures=frozenset({"minimax-m3"}),
    names=("minimax-m3",),
)

# Its prompt always opens its thoughts.
MINIMAX_M2 = Profile(
    name="minimax",
    source="sampling: README.md of MiniMax-AI/MiniMax-M2, generation_config.json of MiniMax-M2 and -M2.1",
    reasoning=ReasoningTags("<think>", "</think>"),
    thinks_unasked=True,
    sampling=SamplingAdvice(temperature=1.0, top_p=0.95, top_k=40),
    template_marks=(("minimax:tool_call",), ("]~b]ai",)),
    architectures=frozenset({"minimax-m2"}),
    names=("minimax-m2",),
)

MINIMAX = Profile(
    name="minimax",
    source="sampling: model card of MiniMax-M1-80k",
    sampling=SamplingAdvice(temperature=1.0, top_p=0.95),
    template_marks=(("<beginning_of_sentence>", "<end_of_sentence>"),),
    architectures=frozenset({"minimax-01"}),
    names=("minimax",),
)

PROFILES = (MINIMAX_M3, MINIMAX_M2, MINIMAX)

FAMILY = Family("minimax", PROFILES)
