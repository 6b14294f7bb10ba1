"""Meta's Llama 3 and 4: header tokens, JSON calls with ``parameters``, and the python tag."""

from __future__ import annotations

from parlant_local.profiles.base import Family, KnownModel, Profile, SamplingAdvice
from parlant_local.profiles.templates import FIRST_SYSTEM, NamedTemplate

LLAMA4 = Profile(
    name="llama",
    source="sampling: generation_config.json of Llama-4-Scout-17B-16E-Instruct",
    tools="llama",
    sampling=SamplingAdvice(temperature=0.6, top_p=0.9),
    template_marks=(("<|header_start|>", "<|eot|>"),),
    architectures=frozenset({"llama4"}),
    names=("llama-4",),
)

# Its template lists calls after a keyword of its own, and expects the functions as text and the time.
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

KNOWN = (
    KnownModel("llama3.2:1b", "bartowski/Llama-3.2-1B-Instruct-GGUF", 1.24, 0.81, 16, 1024, 131072),
    KnownModel("llama3.2:3b", "bartowski/Llama-3.2-3B-Instruct-GGUF", 3.21, 2.02, 28, 2048, 131072),
    KnownModel("llama3.1:8b", "bartowski/Meta-Llama-3.1-8B-Instruct-GGUF", 8.03, 4.92, 32, 2048, 131072),
    KnownModel("llama3.3:70b", "bartowski/Llama-3.3-70B-Instruct-GGUF", 70.6, 42.5, 80, 2048, 131072),
)

TEMPLATES = (
    NamedTemplate(
        "llama3",
        "{{- bos_token -}}{%- for message in messages -%}"
        "{{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' + message.content | trim + '<|eot_id|>' -}}"
        "{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}{%- endif -%}",
        ends=("<|eot_id|>", "<|start_header_id|>"),
        tokens=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        aliases=("llama-3",),
    ),
    NamedTemplate(
        "llama4",
        "{{- bos_token -}}{%- for message in messages -%}"
        "{{- '<|header_start|>' + message.role + '<|header_end|>\\n\\n' + message.content | trim + '<|eot|>' -}}"
        "{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{- '<|header_start|>assistant<|header_end|>\\n\\n' -}}{%- endif -%}",
        ends=("<|eot|>", "<|header_start|>"),
        tokens=("<|header_start|>", "<|header_end|>", "<|eot|>"),
        architectures=("llama4",),
        aliases=("llama-4",),
    ),
    NamedTemplate(
        "llama2",
        FIRST_SYSTEM + "{%- for message in rest -%}"
        "{%- if message.role == 'user' -%}"
        "{%- set head = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' if loop.first and system else '' -%}"
        "{{- bos_token + '[INST] ' + head + message.content + ' [/INST]' -}}"
        "{%- else -%}{{- ' ' + message.content + ' ' + eos_token -}}{%- endif -%}"
        "{%- endfor -%}",
        ends=("[INST]",),
        called=("codellama", "llama-2", "llama 2", "llama2"),
        aliases=("llama-2",),
    ),
)

FAMILY = Family(
    "llama", PROFILES, rank=4, type="llama", called=r"llama", bodies=("llama",), known=KNOWN, templates=TEMPLATES
)
