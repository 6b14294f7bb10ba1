"""Baidu's ERNIE 4.5: plain roles between sentence marks; its thinking variant opens its thoughts in the prompt."""

from __future__ import annotations

from parlant_local.profiles.base import Family, Profile, ReasoningTags

ERNIE_THINKING = Profile(
    name="ernie",
    source="marks: vllm/reasoning/ernie45_reasoning_parser.py in vllm-project/vllm",
    reasoning=ReasoningTags("<think>", "</think>"),
    answer_tags=ReasoningTags("<response>", "</response>"),
    thinks_unasked=True,
    template_marks=(("<think>",),),
    named=True,
    names=("ernie-4.5-21b-a3b-thinking", "ernie-4.5-vl-28b-a3b-thinking"),
)

# No sampling recommendation of its makers could be found.
ERNIE = Profile(
    name="ernie",
    template_marks=(("<|begin_of_sentence|>", "<|end_of_sentence|>"),),
    architectures=frozenset({"ernie4_5", "ernie4_5-moe"}),
    names=("ernie",),
)

PROFILES = (ERNIE_THINKING, ERNIE)

FAMILY = Family("ernie", PROFILES)
