"""Alibaba's Qwen: 2.5 does not think, QwQ always does, 3 does either, except for its coder."""

from __future__ import annotations

from dataclasses import replace

from parlant_local.profiles.base import Family, KnownModel, Profile, ReasoningTags, SamplingAdvice

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

# QwQ always thinks, but templates edited for inference engines close its thoughts unless `enable_thinking` is set.
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

KNOWN = (
    KnownModel("qwen2.5:0.5b", "bartowski/Qwen2.5-0.5B-Instruct-GGUF", 0.49, 0.4, 24, 256, 32768),
    KnownModel("qwen2.5:1.5b", "bartowski/Qwen2.5-1.5B-Instruct-GGUF", 1.54, 0.99, 28, 512, 32768),
    KnownModel("qwen2.5:3b", "bartowski/Qwen2.5-3B-Instruct-GGUF", 3.09, 1.93, 36, 512, 32768),
    KnownModel("qwen2.5:7b", "bartowski/Qwen2.5-7B-Instruct-GGUF", 7.62, 4.68, 28, 1024, 32768),
    KnownModel("qwen2.5:14b", "bartowski/Qwen2.5-14B-Instruct-GGUF", 14.8, 8.99, 48, 2048, 32768),
    KnownModel("qwen2.5:32b", "bartowski/Qwen2.5-32B-Instruct-GGUF", 32.8, 19.9, 64, 2048, 32768),
    KnownModel("qwen3:0.6b", "Qwen/Qwen3-0.6B-GGUF", 0.75, 0.48, 28, 2048, 40960, reasoning=True),
    KnownModel("qwen3:1.7b", "unsloth/Qwen3-1.7B-GGUF", 2.03, 1.28, 28, 2048, 40960, reasoning=True),
    KnownModel("qwen3:4b", "Qwen/Qwen3-4B-GGUF", 4.02, 2.5, 36, 2048, 40960, reasoning=True),
    KnownModel("qwen3:8b", "Qwen/Qwen3-8B-GGUF", 8.19, 5.03, 36, 2048, 40960, reasoning=True),
    KnownModel("qwen3:14b", "Qwen/Qwen3-14B-GGUF", 14.8, 9.0, 40, 2048, 40960, reasoning=True),
    KnownModel("qwen3:30b", "Qwen/Qwen3-30B-A3B-GGUF", 30.5, 18.6, 48, 1024, 40960, 3.3, reasoning=True),
)

FAMILY = Family("qwen", PROFILES, rank=1, type="qwen", called=r"qwen|\bqwq\b", bodies=("qwen",), known=KNOWN)
