"""DeepSeek: R1 and its distillations (on Qwen and Llama base models), and the V3 line with its thinking switch."""

from __future__ import annotations

from parlant_local.profiles.base import Family, KnownModel, Profile, ReasoningTags, SamplingAdvice
from parlant_local.profiles.templates import FIRST_SYSTEM, NamedTemplate

_THINK = ReasoningTags("<think>", "</think>")

# V3.2 and V4 write calls as DSML, which their templates show; V4's calls are <tool_calls>, V3.2's <function_calls>.
DEEPSEEK_V32 = Profile(
    name="deepseek",
    source="sampling: generation_config.json and model card of DeepSeek-V3.2; switch: its chat template",
    tools="deepseek",
    reasoning=_THINK,
    thinking_on={"thinking": True, "enable_thinking": True},
    thinking_off={"thinking": False, "enable_thinking": False},
    sampling=SamplingAdvice(temperature=1.0, top_p=0.95),
    template_marks=(("DSML", "function_calls"),),
    architectures=frozenset({"deepseek32"}),
    names=("deepseek-v3.2",),
)

DEEPSEEK_V4 = Profile(
    name="deepseek",
    source="sampling: model cards of DeepSeek-V4-Flash and -Pro; switch: their chat templates in llama.cpp",
    tools="deepseek",
    reasoning=_THINK,
    thinking_on={"thinking": True, "enable_thinking": True},
    thinking_off={"thinking": False, "enable_thinking": False},
    sampling=SamplingAdvice(temperature=1.0, top_p=1.0),
    template_marks=(("<｜Assistant｜>", "DSML"), ("｜DSML｜",)),
    architectures=frozenset({"deepseek4"}),
    names=("deepseek-v4",),
)

# V3.1 and later answer at once unless the template is told otherwise.
DEEPSEEK_V3 = Profile(
    name="deepseek",
    source="sampling: generation_config.json of DeepSeek-V3.1; switch: its chat template",
    tools="deepseek",
    reasoning=_THINK,
    thinking_on={"thinking": True, "enable_thinking": True},
    thinking_off={"thinking": False, "enable_thinking": False},
    sampling=SamplingAdvice(temperature=0.6, top_p=0.95),
    template_marks=(("<｜Assistant｜>", "not thinking"), ("<｜Assistant｜>", "thinking is defined")),
    architectures=frozenset({"deepseek2"}),
)

# R1 always thinks, but templates edited for inference engines close its thoughts unless `enable_thinking` is set.
DEEPSEEK_R1 = Profile(
    name="deepseek",
    source="sampling: generation_config.json of DeepSeek-R1, model card of DeepSeek-R1-0528; marks: their chat template",
    tools="deepseek",
    reasoning=_THINK,
    thinks_unasked=True,
    thinking_on={"enable_thinking": True},
    thinking_off={"enable_thinking": False},
    sampling=SamplingAdvice(temperature=0.6, top_p=0.95),
    template_marks=(("<｜Assistant｜>", "think>"),),
    names=("deepseek-r1",),
)

DEEPSEEK = Profile(
    name="deepseek",
    source="sampling: model card of DeepSeek-V3-0324",
    tools="deepseek",
    sampling=SamplingAdvice(temperature=0.3),
    template_marks=(("<｜Assistant｜>",), ("<｜tool▁call▁begin｜>",)),
    architectures=frozenset({"deepseek"}),
    names=("deepseek",),
)

PROFILES = (DEEPSEEK_V32, DEEPSEEK_V4, DEEPSEEK_V3, DEEPSEEK_R1, DEEPSEEK)

KNOWN = (
    KnownModel(
        "deepseek-r1:1.5b", "bartowski/DeepSeek-R1-Distill-Qwen-1.5B-GGUF", 1.78, 1.12, 28, 512, 131072, reasoning=True
    ),
    KnownModel(
        "deepseek-r1:7b", "bartowski/DeepSeek-R1-Distill-Qwen-7B-GGUF", 7.62, 4.68, 28, 1024, 131072, reasoning=True
    ),
    KnownModel(
        "deepseek-r1:8b", "bartowski/DeepSeek-R1-Distill-Llama-8B-GGUF", 8.03, 4.92, 32, 2048, 131072, reasoning=True
    ),
    KnownModel(
        "deepseek-r1:14b", "bartowski/DeepSeek-R1-Distill-Qwen-14B-GGUF", 14.8, 8.99, 48, 2048, 131072, reasoning=True
    ),
    KnownModel(
        "deepseek-r1:32b", "bartowski/DeepSeek-R1-Distill-Qwen-32B-GGUF", 32.8, 19.9, 64, 2048, 131072, reasoning=True
    ),
)

TEMPLATES = (
    NamedTemplate(
        "deepseek",
        FIRST_SYSTEM + "{{- bos_token + system -}}{%- for message in rest -%}"
        "{%- if message.role == 'user' -%}{{- '<｜User｜>' + message.content -}}"
        "{%- else -%}{{- '<｜Assistant｜>' + message.content + eos_token -}}{%- endif -%}"
        "{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{- '<｜Assistant｜>' -}}{%- endif -%}",
        ends=("<｜end▁of▁sentence｜>", "<｜User｜>"),
        tokens=("<｜User｜>", "<｜Assistant｜>"),
        called=("deepseek",),
    ),
)

FAMILY = Family(
    "deepseek", PROFILES, type="deepseek", called=r"deepseek", bodies=("deepseek",), known=KNOWN, templates=TEMPLATES
)
