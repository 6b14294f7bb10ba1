"""Formats from before chat tokens, identified by the model's name."""

from __future__ import annotations

from parlant_local.profiles.base import Family
from parlant_local.profiles.templates import FIRST_SYSTEM, NamedTemplate

TEMPLATES = (
    NamedTemplate(
        "alpaca",
        FIRST_SYSTEM + "{%- if system -%}{{- system + '\\n\\n' -}}{%- endif -%}"
        "{%- for message in rest -%}"
        "{%- if message.role == 'user' -%}{{- '### Instruction:\\n' + message.content + '\\n\\n' -}}"
        "{%- else -%}{{- '### Response:\\n' + message.content + eos_token + '\\n\\n' -}}{%- endif -%}"
        "{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{- '### Response:\\n' -}}{%- endif -%}",
        ends=("### Instruction:",),
        called=("alpaca",),
    ),
    NamedTemplate(
        "vicuna",
        FIRST_SYSTEM + "{%- if system -%}{{- system + '\\n\\n' -}}{%- endif -%}"
        "{%- for message in rest -%}"
        "{%- if message.role == 'user' -%}{{- 'USER: ' + message.content + '\\n' -}}"
        "{%- else -%}{{- 'ASSISTANT: ' + message.content + eos_token + '\\n' -}}{%- endif -%}"
        "{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{- 'ASSISTANT:' -}}{%- endif -%}",
        ends=("USER:",),
        called=("vicuna",),
    ),
    NamedTemplate(
        "zephyr",
        "{%- for message in messages -%}"
        "{{- '<|' + message.role + '|>\\n' + message.content + eos_token + '\\n' -}}"
        "{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{- '<|assistant|>\\n' -}}{%- endif -%}",
        ends=("<|user|>", "<|system|>"),
        called=("zephyr", "tinyllama"),
    ),
)

FAMILY = Family("early", rank=-1, templates=TEMPLATES)
