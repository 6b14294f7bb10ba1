"""Zhipu's GLM-4: calls with a key and a value element for each argument; 4.5 and later think unless told not to."""

from __future__ import annotations

from parlant_local.profiles.base import Profile, ReasoningTags, SamplingAdvice

# Sampling: the model cards of GLM-4.6 and GLM-4.7 (temperature 1.0, top_p 0.95); the switch: their chat templates.
GLM_THINKING = Profile(
    name="glm",
    reasoning=ReasoningTags("<think>", "</think>"),
    thinks_unasked=True,
    thinking_on={"enable_thinking": True},
    thinking_off={"enable_thinking": False},
    sampling=SamplingAdvice(temperature=1.0, top_p=0.95),
    template_marks=(("[gMASK]", "<|observation|>", "<think>"),),
    architectures=frozenset({"glm4moe", "glm4_moe", "deepseek2-glm"}),
    names=("glm-4.5", "glm-4.6", "glm-4.7"),
)

GLM = Profile(
    name="glm",
    template_marks=(("[gMASK]", "<|observation|>"), ("[gMASK]", "<sop>")),
    architectures=frozenset({"glm4", "chatglm"}),
    names=("glm", "chatglm"),
)

PROFILES = (GLM_THINKING, GLM)
