"""The template of a model that brings none: its family's, as far as vocabulary or metadata tell, and what ends an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from parlant_local.engine.templates.named import DEFAULT_TEMPLATE

__all__ = ["MARKS", "family_template"]

MARKS: Mapping[str, tuple[str, ...]] = {
    "alpaca": ("### Instruction:",),
    "chatml": ("<|im_end|>", "<|im_start|>"),
    "command-r": ("<|END_OF_TURN_TOKEN|>", "<|START_OF_TURN_TOKEN|>"),
    "deepseek": ("<｜end▁of▁sentence｜>", "<｜User｜>"),
    "gemma": ("<end_of_turn>", "<start_of_turn>"),
    "glm4": ("<|user|>", "<|observation|>"),
    "granite": ("<|end_of_text|>", "<|start_of_role|>"),
    "llama2": ("[INST]",),
    "llama3": ("<|eot_id|>", "<|start_header_id|>"),
    "llama4": ("<|eot|>", "<|header_start|>"),
    "mistral": ("[INST]",),
    "phi3": ("<|end|>", "<|user|>"),
    "phi4": ("<|im_end|>", "<|im_start|>"),
    "vicuna": ("USER:",),
    "zephyr": ("<|user|>", "<|system|>"),
}
"""What a named template writes behind an answer or before the next message: an answer ends where it says one of these."""

# The tokens that only one family's vocabulary has together.
_VOCABULARIES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("phi4", ("<|im_start|>", "<|im_sep|>", "<|im_end|>")),
    ("chatml", ("<|im_start|>", "<|im_end|>")),
    ("llama3", ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")),
    ("llama4", ("<|header_start|>", "<|header_end|>", "<|eot|>")),
    ("gemma", ("<start_of_turn>", "<end_of_turn>")),
    ("deepseek", ("<｜User｜>", "<｜Assistant｜>")),
    ("granite", ("<|start_of_role|>", "<|end_of_role|>")),
    ("command-r", ("<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>")),
    ("glm4", ("[gMASK]", "<|user|>", "<|assistant|>")),
    ("phi3", ("<|user|>", "<|assistant|>", "<|end|>")),
    ("mistral", ("[INST]", "[/INST]")),
)

# Vocabularies from before chat tokens; what the model is called tells.
_NAMES: tuple[tuple[str, str], ...] = (
    ("vicuna", "vicuna"),
    ("zephyr", "zephyr"),
    ("tinyllama", "zephyr"),
    ("alpaca", "alpaca"),
    ("mistral", "mistral"),
    ("mixtral", "mistral"),
    ("codellama", "llama2"),
    ("llama-2", "llama2"),
    ("llama 2", "llama2"),
    ("llama2", "llama2"),
    ("deepseek", "deepseek"),
)
_ARCHITECTURES = {"gemma": "gemma", "gemma2": "gemma", "gemma3": "gemma", "phi3": "phi3", "command-r": "command-r", "cohere2": "command-r", "granite": "granite", "llama4": "llama4", "chatglm": "glm4", "glm4": "glm4"}  # fmt: skip


def family_template(metadata: Mapping[str, str], knows: Callable[[str], bool]) -> str:
    """The name of the template that a model without one was taught with, or else the default one.

    ``knows``: whether a text is one token of the vocabulary.
    """
    for name, tokens in _VOCABULARIES:
        if all(knows(token) for token in tokens):
            return name
    called = " ".join(metadata.get(key, "") for key in ("general.basename", "general.name")).lower()
    for part, name in _NAMES:
        if part in called:
            return name
    return _ARCHITECTURES.get(metadata.get("general.architecture", ""), DEFAULT_TEMPLATE)
