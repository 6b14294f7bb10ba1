"""Moonshot's Kimi: sections of calls whose ids name them; K3 puts every part of an answer between marks."""

from __future__ import annotations

from parlant_local.profiles.base import Profile, ReasoningTags, SamplingAdvice

# K3 opens its thoughts in the prompt, so that their mark can't be told from the role's (chat template of the model).
KIMI_K3 = Profile(
    name="kimi",
    reasoning=ReasoningTags("<|open|>think<|sep|>", "<|close|>think<|sep|>"),
    answer_tags=ReasoningTags("<|open|>response<|sep|>", "<|close|>response<|sep|>"),
    fixed_marks=True,
    thinks_unasked=True,
    thinking_on={"thinking": True, "enable_thinking": True},
    thinking_off={"thinking": False, "enable_thinking": False},
    template_marks=(("<|open|>", "<|close|>", "<|sep|>", "think"),),
)

# Ids: docs/tool_call_guidance.md of Kimi-K2. Sampling: the model cards of Kimi-K2-Thinking (1.0) and Kimi-K2-Instruct (0.6).
KIMI_THINKING = Profile(
    name="kimi",
    call_ids="numbered",
    reasoning=ReasoningTags("<think>", "</think>"),
    thinks_unasked=True,
    sampling=SamplingAdvice(temperature=1.0),
    template_marks=(("<|im_middle|>", "<|im_assistant|>", "<think>"),),
    names=("kimi-k2-thinking", "kimi k2 thinking"),
)

KIMI = Profile(
    name="kimi",
    call_ids="numbered",
    sampling=SamplingAdvice(temperature=0.6),
    template_marks=(("<|im_middle|>", "<|im_assistant|>"),),
    names=("kimi",),
)

PROFILES = (KIMI_K3, KIMI_THINKING, KIMI)
