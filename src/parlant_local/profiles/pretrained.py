"""Whether a model was only pretrained: it continues texts and was never taught to chat."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["is_base"]

# As makers name them: Qwen3-8B-Base, gemma-3-4b-pt, Llama-3.2-1B (no word at all, and no template).
_BASE = re.compile(
    r"(?:^|[\W_])(?:base|pretrain(?:ed)?|foundation)(?:$|[\W_])|gemma.*[\W_]pt(?:$|[\W_])", re.IGNORECASE
)
_TUNED = re.compile(
    r"instruct|chat|assistant"
    r"|(?:^|[\W_])(?:it|sft|dpo|rlhf|orpo|rl|tuned|finetuned?|thinking|reasoning|reasoner|think)(?:$|[\W_])",
    re.IGNORECASE,
)
# Lines of tuned models, whatever else their names say.
_LINES = re.compile(
    r"hermes|vicuna|alpaca|wizard|zephyr|dolphin|guanaco|tulu|orca|starling|distill|magistral|devstral|qwq|command|gpt-oss|"
    r"functionary|nemotron|parlant",
    re.IGNORECASE,
)


def is_base(names: Iterable[str | None], *, has_template: bool) -> bool:
    """By what it is called (``general.name``, ``general.finetune``, its file), and whether it brings a chat template.

    A base model may bring one all the same, made for its tuned sibling: then only its name tells.
    """
    known = [name for name in names if name]
    if any(_TUNED.search(name) for name in known):
        return False
    if any(_BASE.search(name) for name in known):
        return True
    return not has_template and not any(_LINES.search(name) for name in known)
