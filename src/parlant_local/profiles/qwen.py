"""Alibaba's Qwen: 2.5 answers, QwQ always thinks, 3 does either, but for its coder."""

from __future__ import annotations

from parlant_local.profiles.base import Profile, ReasoningTags, SamplingAdvice

_THINK = ReasoningTags("<think>", "</think>")

# Qwen3-Coder and the Instruct models of July 2025 don't think; calls of Qwen3-Coder and Qwen3.5 are in tags, which their
# templates show. Sampling: the model cards.
QWEN3_CODER = Profile(
    name="qwen",
    tools="hermes",
    sampling=SamplingAdvice(temperature=0.7, top_p=0.8, top_k=20),
    template_marks=(("<|im_start|>", "You are Qwen", "<parameter="),),
    names=("qwen3-coder", "qwen3 coder"),
)

QWEN3 = Profile(
    name="qwen",
    tools="hermes",
    reasoning=_THINK,
    thinks_unasked=True,
    thinking_on={"enable_thinking": True},
    thinking_off={"enable_thinking": False},
    sampling=SamplingAdvice(temperature=0.7, top_p=0.8, top_k=20, min_p=0.0),
    sampling_thinking=SamplingAdvice(temperature=0.6, top_p=0.95, top_k=20, min_p=0.0),
    template_marks=(
        ("<|im_start|>", "<tools>", "enable_thinking is defined", "reasoning_content"),
        ("<|im_start|>", "<tools>", "reasoning_content", "last_query_index"),
    ),
    architectures=frozenset({"qwen3", "qwen3moe", "qwen3next", "qwen35", "qwen35moe"}),
)

# QwQ is made to think, but templates edited for inference engines close its thoughts unless `enable_thinking` is given.
QWQ = Profile(
    name="qwen",
    tools="hermes",
    reasoning=_THINK,
    thinks_unasked=True,
    thinking_on={"enable_thinking": True},
    thinking_off={"enable_thinking": False},
    sampling=SamplingAdvice(temperature=0.6, top_p=0.95, top_k=40, min_p=0.0),
    template_marks=(("<|im_start|>", "<tools>", "<think>"), ("<|im_start|>", "<tools>", "</think>")),
    names=("qwq",),
)

QWEN = Profile(
    name="qwen",
    tools="hermes",
    sampling=SamplingAdvice(temperature=0.7, top_p=0.8, top_k=20),
    template_marks=(("<|im_start|>", "You are Qwen"),),
    architectures=frozenset({"qwen", "qwen2", "qwen2moe"}),
    names=("qwen",),
)

PROFILES = (QWEN3_CODER, QWEN3, QWQ, QWEN)
