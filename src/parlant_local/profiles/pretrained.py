"""Whether a model is a base model: pretrained only, it continues text and was not tuned to chat."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["is_base", "lays_out_turns", "says_base"]

_WORD = r"(?:^|[\W_])(?:{})(?:$|[\W_])"
# As makers name them: Qwen3-8B-Base, gemma-3-4b-pt, Ollama's llama3:8b-text. "knowledge base" doesn't count.
_BASE = re.compile(
    r"(?<!knowledge)(?<!data)(?<!code)(?<!rule)" + _WORD.format("base|pretrain(?:ed)?|foundation")
    + "|gemma.*" + _WORD.format("pt")
    + r"|[\W_]text(?:$|[\W_](?:q\d|fp?\d))",
    re.IGNORECASE,
)  # fmt: skip
_TUNED = re.compile(
    r"instruct|chat(?!glm)|assistant|"
    + _WORD.format(
        "it|sft|dpo|rlhf|orpo|rl|tuned|finetuned?|thinking|reasoning|reasoner|think|flan|q?lora|qa"
    ),
    re.IGNORECASE,
)  # fmt: skip
# Model lines that are always tuned, whatever else their names contain.
_TUNED_LINES = re.compile(
    r"hermes|vicuna|alpaca|wizard|zephyr|dolphin|guanaco|tulu|orca|starling|distill|magistral|devstral|qwq|command|gpt-oss|"
    r"functionary|nemotron|chatglm|parlant",
    re.IGNORECASE,
)
# Lines whose tuned models are always marked: a name and size alone is the base model, which may bring their template.
_NAME_AND_SIZE = re.compile(
    r"(?:meta[\W_])?(?:llama[\W_]?[23](?:[.\W_]\d)?|qwen[\W_]?(?:1\.5|2|2\.5)(?:[\W_](?:coder|math))?|code[\W_]?llama"
    r"|mistral|gemma(?:[\W_]?(?:2|3|3n))?|smollm2?|falcon3|olmo[\W_]?2|yi(?:[\W_]1\.5)?|granite[\W_]3\.\d)"
    r"[\W_]\d+(?:\.\d+)?[mb](?:[\W_]v0\.\d)?(?:[\W_](?:i?q\d\w*|b?f\d\d|fp16))?",
    re.IGNORECASE,
)


def says_base(names: Iterable[str | None]) -> bool | None:
    """Whether the names mark a base model; None where they don't tell."""
    known = [name for name in names if name]
    if any(_TUNED.search(name) for name in known):
        return False
    if any(_BASE.search(name) for name in known):
        return True
    return False if any(_TUNED_LINES.search(name) for name in known) else None


def is_base(names: Iterable[str | None], *, has_template: bool) -> bool:
    """Decides by its names (``general.name``, ``general.finetune``, its file), and by whether it brings a chat template.

    A base model may bring its tuned sibling's template: then only the name decides.
    """
    known = [name for name in names if name]
    if (named_base := says_base(known)) is not None:
        return named_base
    return not has_template or (bool(known) and all(_NAME_AND_SIZE.fullmatch(name) for name in known))


def lays_out_turns(template: str | None) -> bool:
    """Whether an Ollama template (Go syntax) renders conversations, not only text."""
    return any(mark in template for mark in (".Messages", ".System", ".Role")) if template else False
