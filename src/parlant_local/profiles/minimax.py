"""MiniMax: M2 and M3 think first and write calls as elements of a namespace; M1 writes lists of JSON."""

from __future__ import annotations

from parlant_local.profiles.base import Profile, ReasoningTags, SamplingAdvice

# M2's prompt opens its thoughts always; M3's template takes thinking_mode. Sampling: their model cards.
MINIMAX_M3 = Profile(
    name="minimax",
    reasoning=ReasoningTags("<mm:think>", "</mm:think>"),
    thinking_on={"thinking_mode": "enabled"},
    thinking_off={"thinking_mode": "disabled"},
    sampling=SamplingAdvice(temperature=1.0, top_p=0.95, top_k=40),
    template_marks=(("mm:think", "minimax"),),
    architectures=frozenset({"minimax-m3"}),
    names=("minimax-m3",),
)

MINIMAX_M2 = Profile(
    name="minimax",
    reasoning=ReasoningTags("<think>", "</think>"),
    thinks_unasked=True,
    sampling=SamplingAdvice(temperature=1.0, top_p=0.95, top_k=40),
    template_marks=(("minimax:tool_call",), ("]~b]ai",)),
    architectures=frozenset({"minimax-m2"}),
    names=("minimax-m2",),
)

MINIMAX = Profile(
    name="minimax",
    template_marks=(("<beginning_of_sentence>", "<end_of_sentence>"),),
    names=("minimax",),
)

PROFILES = (MINIMAX_M3, MINIMAX_M2, MINIMAX)
