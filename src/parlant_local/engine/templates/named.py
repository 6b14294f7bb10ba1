"""Chat templates by name, for ``chat_format`` and for models that bring none."""

from __future__ import annotations

import difflib

from parlant_local.errors import ConfigurationError

__all__ = ["DEFAULT_TEMPLATE", "NAMED_TEMPLATES", "template_name", "template_source"]

_FIRST_SYSTEM = (
    "{%- if messages and messages[0].role == 'system' -%}"
    "{%- set system = messages[0].content -%}{%- set rest = messages[1:] -%}"
    "{%- else -%}{%- set system = '' -%}{%- set rest = messages -%}{%- endif -%}"
)

_CHATML = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)

_LLAMA2 = (
    _FIRST_SYSTEM + "{%- for message in rest -%}"
    "{%- if message.role == 'user' -%}"
    "{%- set head = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' if loop.first and system else '' -%}"
    "{{- bos_token + '[INST] ' + head + message.content + ' [/INST]' -}}"
    "{%- else -%}{{- ' ' + message.content + ' ' + eos_token -}}{%- endif -%}"
    "{%- endfor -%}"
)

_LLAMA3 = (
    "{{- bos_token -}}{%- for message in messages -%}"
    "{{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' + message.content | trim + '<|eot_id|>' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}{%- endif -%}"
)

_MISTRAL = (
    _FIRST_SYSTEM + "{{- bos_token -}}{%- for message in rest -%}"
    "{%- if message.role == 'user' -%}"
    "{%- set head = system + '\\n\\n' if loop.first and system else '' -%}"
    "{{- '[INST] ' + head + message.content + ' [/INST]' -}}"
    "{%- else -%}{{- ' ' + message.content + eos_token -}}{%- endif -%}"
    "{%- endfor -%}"
)

_GEMMA = (
    _FIRST_SYSTEM + "{{- bos_token -}}{%- for message in rest -%}"
    "{%- set head = system + '\\n\\n' if loop.first and system else '' -%}"
    "{{- '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\\n' "
    "+ head + message.content | trim + '<end_of_turn>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<start_of_turn>model\\n' -}}{%- endif -%}"
)

_PHI3 = (
    "{%- for message in messages -%}"
    "{{- '<|' + message.role + '|>\\n' + message.content + '<|end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>\\n' -}}{%- endif -%}"
)

_ZEPHYR = (
    "{%- for message in messages -%}"
    "{{- '<|' + message.role + '|>\\n' + message.content + eos_token + '\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>\\n' -}}{%- endif -%}"
)

_VICUNA = (
    _FIRST_SYSTEM + "{%- if system -%}{{- system + '\\n\\n' -}}{%- endif -%}"
    "{%- for message in rest -%}"
    "{%- if message.role == 'user' -%}{{- 'USER: ' + message.content + '\\n' -}}"
    "{%- else -%}{{- 'ASSISTANT: ' + message.content + eos_token + '\\n' -}}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- 'ASSISTANT:' -}}{%- endif -%}"
)

_ALPACA = (
    _FIRST_SYSTEM + "{%- if system -%}{{- system + '\\n\\n' -}}{%- endif -%}"
    "{%- for message in rest -%}"
    "{%- if message.role == 'user' -%}{{- '### Instruction:\\n' + message.content + '\\n\\n' -}}"
    "{%- else -%}{{- '### Response:\\n' + message.content + eos_token + '\\n\\n' -}}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '### Response:\\n' -}}{%- endif -%}"
)

_DEEPSEEK = (
    _FIRST_SYSTEM + "{{- bos_token + system -}}{%- for message in rest -%}"
    "{%- if message.role == 'user' -%}{{- '<｜User｜>' + message.content -}}"
    "{%- else -%}{{- '<｜Assistant｜>' + message.content + eos_token -}}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<｜Assistant｜>' -}}{%- endif -%}"
)

_PHI4 = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message.role + '<|im_sep|>' + message.content + '<|im_end|>' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant<|im_sep|>' -}}{%- endif -%}"
)

_LLAMA4 = (
    "{{- bos_token -}}{%- for message in messages -%}"
    "{{- '<|header_start|>' + message.role + '<|header_end|>\\n\\n' + message.content | trim + '<|eot|>' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|header_start|>assistant<|header_end|>\\n\\n' -}}{%- endif -%}"
)

_GRANITE = (
    "{%- for message in messages -%}"
    "{{- '<|start_of_role|>' + message.role + '<|end_of_role|>' + message.content + '<|end_of_text|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|start_of_role|>assistant<|end_of_role|>' -}}{%- endif -%}"
)

_COMMAND = (
    "{{- bos_token -}}{%- for message in messages -%}"
    "{%- set role = {'user': 'USER', 'system': 'SYSTEM', 'assistant': 'CHATBOT'}[message.role] -%}"
    "{{- '<|START_OF_TURN_TOKEN|><|' + role + '_TOKEN|>' + message.content + '<|END_OF_TURN_TOKEN|>' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' -}}{%- endif -%}"
)

_GLM4 = (
    "{{- '[gMASK]<sop>' -}}{%- for message in messages -%}"
    "{{- '<|' + message.role + '|>\\n' + message.content -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>\\n' -}}{%- endif -%}"
)

NAMED_TEMPLATES: dict[str, str] = {
    "alpaca": _ALPACA,
    "chatml": _CHATML,
    "command-r": _COMMAND,
    "deepseek": _DEEPSEEK,
    "gemma": _GEMMA,
    "glm4": _GLM4,
    "granite": _GRANITE,
    "llama2": _LLAMA2,
    "llama3": _LLAMA3,
    "llama4": _LLAMA4,
    "mistral": _MISTRAL,
    "phi3": _PHI3,
    "phi4": _PHI4,
    "vicuna": _VICUNA,
    "zephyr": _ZEPHYR,
}

DEFAULT_TEMPLATE = "chatml"
"""What a model gets that has no template and no family that is known, with a warning."""

_ALIASES = {
    "llama-2": "llama2",
    "llama-3": "llama3",
    "mistral-instruct": "mistral",
    "phi-3": "phi3",
    "phi-4": "phi4",
    "llama-4": "llama4",
}


def template_name(chat_format: str) -> str | None:
    """The name of the template that ``chat_format`` means; None where it is a template's text, or unknown."""
    name = chat_format.strip().lower()
    name = _ALIASES.get(name, name)
    return name if name in NAMED_TEMPLATES else None


def template_source(chat_format: str) -> str:
    """The template that ``chat_format`` means: a name, or a template's own text (anything with a brace in it)."""
    if "{" in chat_format:
        return chat_format
    if (known := template_name(chat_format)) is not None:
        return NAMED_TEMPLATES[known]
    name = chat_format.strip().lower()
    near = difflib.get_close_matches(name, NAMED_TEMPLATES, n=1)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    raise ConfigurationError(
        f"Unknown chat_format {chat_format!r}.{guess}",
        hint=f"Known: {', '.join(NAMED_TEMPLATES)}; or give a Jinja template's text.",
    )
