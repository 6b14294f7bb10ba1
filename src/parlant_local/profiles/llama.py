"""Meta's Llama 3 and 4: header tokens, JSON calls with ``parameters``, and the python tag."""

from __future__ import annotations

from parlant_local.profiles.base import Profile, SamplingAdvice

LLAMA4 = Profile(
    name="llama",
    source="sampling: generation_config.json of Llama-4-Scout-17B-16E-Instruct",
    tools="llama",
    sampling=SamplingAdvice(temperature=0.6, top_p=0.9),
    template_marks=(("<|header_start|>", "<|eot|>"),),
    architectures=frozenset({"llama4"}),
    names=("llama-4",),
)

# Its template lists calls after a word of its own, and wants the functions as text and the time.
FIREFUNCTION = Profile(
    name="llama",
    source="variables: chat template of llama-3-firefunction-v2",
    variables=frozenset({"functions", "datetime"}),
    template_marks=(("functools[", "+ functions"),),
    names=("firefunction",),
)

LLAMA = Profile(
    name="llama",
    source="sampling: generation_config.json of the Llama 3.1 and 3.2 Instruct models",
    tools="llama",
    sampling=SamplingAdvice(temperature=0.6, top_p=0.9),
    template_marks=(("<|start_header_id|>", "<|eot_id|>"),),
    architectures=frozenset({"llama"}),
    names=("llama", "meta-llama"),
)

PROFILES = (LLAMA4, FIREFUNCTION, LLAMA)
