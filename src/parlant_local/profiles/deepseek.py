"""DeepSeek: R1 and its distillations (on Qwen and Llama bodies), and the V3 line with its thinking switch."""

from __future__ import annotations

from parlant_local.profiles.base import Profile, ReasoningTags, SamplingAdvice

_THINK = ReasoningTags("<think>", "</think>")

# V3.2 and V4 write calls as DSML, which their templates show. Sampling: the model card of V3.2.
DEEPSEEK_V32 = Profile(
    name="deepseek",
    tools="deepseek",
    reasoning=_THINK,
    thinking_on={"thinking": True, "enable_thinking": True},
    thinking_off={"thinking": False, "enable_thinking": False},
    sampling=SamplingAdvice(temperature=1.0, top_p=0.95),
    template_marks=(("<｜Assistant｜>", "DSML"), ("｜DSML｜",)),
    names=("deepseek-v3.2", "deepseek-v4"),
)

# V3.1 and later answer at once unless the template is told otherwise.
DEEPSEEK_V3 = Profile(
    name="deepseek",
    tools="deepseek",
    reasoning=_THINK,
    thinking_on={"thinking": True, "enable_thinking": True},
    thinking_off={"thinking": False, "enable_thinking": False},
    sampling=SamplingAdvice(temperature=0.6, top_p=0.95),
    template_marks=(("<｜Assistant｜>", "not thinking"), ("<｜Assistant｜>", "thinking is defined")),
    architectures=frozenset({"deepseek2", "deepseek3"}),
)

# R1 is made to think, but templates edited for inference engines close its thoughts unless `enable_thinking` is given.
DEEPSEEK_R1 = Profile(
    name="deepseek",
    tools="deepseek",
    reasoning=_THINK,
    thinks_unasked=True,
    thinking_on={"enable_thinking": True},
    thinking_off={"enable_thinking": False},
    sampling=SamplingAdvice(temperature=0.6, top_p=0.95),
    template_marks=(("<｜Assistant｜>", "think>"),),
    names=("deepseek-r1", "deepseek r1"),
)

DEEPSEEK = Profile(
    name="deepseek",
    tools="deepseek",
    sampling=SamplingAdvice(temperature=0.3, top_p=0.95),
    template_marks=(("<｜Assistant｜>",), ("<｜tool▁call▁begin｜>",)),
    architectures=frozenset({"deepseek"}),
    names=("deepseek",),
)

PROFILES = (DEEPSEEK_V32, DEEPSEEK_V3, DEEPSEEK_R1, DEEPSEEK)
