"""Meta's Llama 3.x: header tokens, JSON calls with ``parameters``, and the python tag."""

from __future__ import annotations

from parlant_local.profiles.base import Profile, SamplingAdvice

LLAMA = Profile(
    name="llama",
    tools="llama",
    sampling=SamplingAdvice(temperature=0.6, top_p=0.9),
    template_marks=(("<|start_header_id|>", "<|eot_id|>"),),
    architectures=frozenset({"llama", "llama4"}),
    names=("llama", "meta-llama"),
)

PROFILES = (LLAMA,)
