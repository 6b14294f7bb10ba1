"""Alibaba's Qwen: 2.5 answers, QwQ always thinks, 3 does either, but for its coder."""

from __future__ import annotations

from dataclasses import replace

from parlant_local.profiles.base import Profile, ReasoningTags, SamplingAdvice

_THINK = ReasoningTags("<think>", "</think>")
_ANSWERING = SamplingAdvice(temperature=0.7, top_p=0.8, top_k=20, min_p=0.0)

# Qwen3-Coder and the Instruct models of July 2025 don't think; calls of Qwen3-Coder and Qwen3.5 are in tags, which their
# templates show.
QWEN3_CODER = Profile(
    name="qwen",
    source="sampling: model card of Qwen3-Coder-480B-A35B-Instruct, generation_config.json of Qwen3-Coder-30B-A3B-Instruct",
    tools="hermes",
    sampling=SamplingAdvice(temperature=0.7, top_p=0.8, top_k=20),
    template_marks=(("<|im_start|>", "You are Qwen", "<parameter="),),
    names=("qwen3-coder",),
)

QWEN3_CODER_NEXT = replace(
    QWEN3_CODER,
    source="sampling: model card and generation_config.json of Qwen3-Coder-Next",
    sampling=SamplingAdvice(temperature=1.0, top_p=0.95, top_k=40),
    named=True,
    names=("qwen3-coder-next",),
)

QWEN3 = Profile(
    name="qwen",
    source="sampling: model cards of Qwen3-32B, Qwen3-235B-A22B-Instruct-2507 and -Thinking-2507; switch: their chat templates",
    tools="hermes",
    reasoning=_THINK,
    thinks_unasked=True,
    thinking_on={"enable_thinking": True},
    thinking_off={"enable_thinking": False},
    sampling=_ANSWERING,
    sampling_thinking=SamplingAdvice(temperature=0.6, top_p=0.95, top_k=20, min_p=0.0),
    template_marks=(
        ("<|im_start|>", "<tools>", "enable_thinking is defined", "reasoning_content"),
        ("<|im_start|>", "<tools>", "reasoning_content", "last_query_index"),
    ),
    architectures=frozenset({"qwen3", "qwen3moe", "qwen3next", "qwen3vl", "qwen3vlmoe"}),
)

QWEN35 = replace(
    QWEN3,
    source="sampling: model cards of Qwen3.5-27B and Qwen3.6-27B (general tasks); switch: chat template of Qwen3.5-4B",
    sampling_thinking=SamplingAdvice(temperature=1.0, top_p=0.95, top_k=20, min_p=0.0),
    template_marks=(("<|im_start|>", "<tools>", "enable_thinking is defined", "<parameter=", "last_query_index"),),
    architectures=frozenset({"qwen35", "qwen35moe"}),
    names=("qwen3.5", "qwen3.6"),
)

# QwQ is made to think, but templates edited for inference engines close its thoughts unless `enable_thinking` is given.
QWQ = Profile(
    name="qwen",
    source="sampling: model card of QwQ-32B (top_k between 20 and 40)",
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
    source="sampling: generation_config.json of Qwen2.5-7B-Instruct",
    tools="hermes",
    sampling=SamplingAdvice(temperature=0.7, top_p=0.8, top_k=20),
    template_marks=(("<|im_start|>", "You are Qwen"),),
    architectures=frozenset({"qwen", "qwen2", "qwen2moe", "qwen2vl"}),
    names=("qwen",),
)

PROFILES = (QWEN3_CODER_NEXT, QWEN3_CODER, QWEN35, QWEN3, QWQ, QWEN)
