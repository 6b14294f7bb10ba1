"""OpenAI's gpt-oss: harmony, with channels for thoughts, calls and answers."""

from __future__ import annotations

from parlant_local.profiles.base import Family, Profile, ReasoningTags, SamplingAdvice

GPT_OSS = Profile(
    name="gpt-oss",
    source="sampling: README.md of openai/gpt-oss; format: docs/format.md of openai/harmony; efforts: its chat template",
    tools="harmony",
    reasoning=ReasoningTags("<|start|>assistant<|channel|>analysis<|message|>", "<|end|>"),
    answer_tags=ReasoningTags("<|start|>assistant<|channel|>final<|message|>", "<|end|>"),
    begun="<|start|>assistant",
    fixed_marks=True,
    thinks_unasked=True,
    thinking_off={"reasoning_effort": "low"},
    efforts=((512, "low"), (2048, "medium"), (8192, "high")),
    sampling=SamplingAdvice(temperature=1.0, top_p=1.0),
    template_marks=(("<|channel|>", "<|start|>", "<|message|>", "analysis"),),
    architectures=frozenset({"gpt-oss"}),
    names=("gpt-oss",),
)

PROFILES = (GPT_OSS,)

FAMILY = Family("gpt-oss", PROFILES)
