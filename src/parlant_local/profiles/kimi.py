"""Moonshot's Kimi: sections of calls whose ids name them; K3 puts every part of an answer between marks."""

from __future__ import annotations

from parlant_local.profiles.base import Family, Profile, ReasoningTags, SamplingAdvice

# K3 opens its thoughts in the prompt, so their mark can't be distinguished from the role's.
KIMI_K3 = Profile(
    name="kimi",
    source="sampling: evaluations in the model card of Kimi-K3 (one step); marks, switch and efforts: its chat template",
    reasoning=ReasoningTags("<|open|>think<|sep|>", "<|close|>think<|sep|>"),
    answer_tags=ReasoningTags("<|open|>response<|sep|>", "<|close|>response<|sep|>"),
    fixed_marks=True,
    thinks_unasked=True,
    thinking_on={"thinking": True},
    thinking_off={"thinking": False},
    efforts=((512, "low"), (8192, "high"), (32768, "max")),
    effort_argument="thinking_effort",
    sampling=SamplingAdvice(temperature=1.0, top_p=0.95),
    template_marks=(("<|open|>", "<|close|>", "<|sep|>", "think"),),
    architectures=frozenset({"kimi-k3"}),
    names=("kimi-k3",),
)

KIMI_THINKING = Profile(
    name="kimi",
    source="sampling: model card of Kimi-K2-Thinking; ids: docs/tool_call_guidance.md in MoonshotAI/Kimi-K2",
    call_ids="numbered",
    reasoning=ReasoningTags("<think>", "</think>"),
    thinks_unasked=True,
    sampling=SamplingAdvice(temperature=1.0),
    template_marks=(("<|im_middle|>", "<|im_assistant|>", "<think>"),),
    names=("kimi-k2-thinking",),
)

KIMI = Profile(
    name="kimi",
    source="sampling: README.md of MoonshotAI/Kimi-K2; ids: its docs/tool_call_guidance.md",
    call_ids="numbered",
    sampling=SamplingAdvice(temperature=0.6),
    template_marks=(("<|im_middle|>", "<|im_assistant|>"),),
    names=("kimi",),
)

PROFILES = (KIMI_K3, KIMI_THINKING, KIMI)

FAMILY = Family("kimi", PROFILES)
