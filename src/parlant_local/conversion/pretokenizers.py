"""Which of llama.cpp's pre-tokenizers cuts a text as a ``tokenizer.json`` of byte-level BPE does.

As llama.cpp's own conversion: by a digest of the tokens of one text, which identifies published vocabularies; else by the rule that
is written in the file, which identifies their relatives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from parlant_local.errors import InvalidModelError

__all__ = ["CHECK_TEXT", "pretokenizer_named"]

CHECK_TEXT = (
    "\n \n\n \n\n\n \t \t\t \t\n  \n   \n    \n     \n🚀 (normal) 😶\u200d🌫️ (multiple emojis concatenated) ✅ 🦙🦙 3 33 333 3333 "
    "33333 333333 3333333 33333333 3.3 3..3 3...3 កាន់តែពិសេសអាច😁 ?我想在apple工作1314151天～ ------======= нещо на Български "
    "''''''```````\"\"\"\"......!!!!!!?????? I've been 'told he's there, 'RE you sure? 'M not sure I'll make it, "
    "'D you like some tea? We'Ve a'lL"
)
"""llama.cpp's, whose digests these are."""

_DIGESTS: Mapping[str, str] = {
    "0ef9807a4087ebef797fc749390439009c3b9eda9ad1a097abbe738f486c01e5": "llama-bpe",
    "d4540891389ea895b53b399da6ac824becc30f2fba0e9ddbb98f92e55ca0e97c": "qwen2",
    "e636dc30a262dcc0d8c323492e32ae2b70728f4df7dfe9737d9f920a282b8aea": "qwen2",
    "855059429035d75a914d1eda9f10a876752e281a054a7a3d421ef0533e5b6249": "smollm",
    "0fe1cf6eda062318a1af7270f3331a85c539a01778ff948e24388e949c5282f4": "gpt-2",
    "3ce83efda5659b07b1ad37ca97ca5797ea4285d9b9ab0dc679e4a720c9da7454": "gpt-2",
    "63b97e4253352e6f357cc59ea5b583e3a680eaeaf2632188c2b952de2588485e": "tekken",
}
_END = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|"
    r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_PATTERNS: Mapping[str, str] = {
    _WORDS + r"\p{N}{1,3}" + _END: "llama-bpe",
    _WORDS + r"\p{N}" + _END: "qwen2",
    _TEKKEN: "tekken",
}


def pretokenizer_named(ids: Sequence[int], rule: Any) -> str:
    """``ids``: of :data:`CHECK_TEXT`; ``rule``: the file's ``pre_tokenizer``. Raises :class:`InvalidModelError` naming what it has."""
    digest = hashlib.sha256(str(list(ids)).encode()).hexdigest()
    found = _DIGESTS.get(digest) or _of_rule(rule)
    if found is None:
        raise InvalidModelError(
            f"The pre-tokenizer of tokenizer.json is not known: {_described(rule)} (digest {digest[:12]}).",
            hint=f"Known are {', '.join(sorted({*_DIGESTS.values()}))}; llama.cpp's convert_hf_to_gguf.py knows more.",
        )
    return found


def _of_rule(rule: Any) -> str | None:
    steps = rule.get("pretokenizers", []) if _kind(rule) == "Sequence" else [rule]
    kinds = [_kind(step) for step in steps]
    if kinds == ["ByteLevel"] and steps[0].get("use_regex", True):
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits") and steps[1].get("use_regex", True):
        return "smollm"
    if (
        kinds == ["Split", "ByteLevel"]
        and steps[0].get("behavior") == "Isolated"
        and not steps[1].get("use_regex", True)
    ):
        pattern = steps[0].get("pattern")
        return _PATTERNS.get(pattern.get("Regex", "")) if isinstance(pattern, dict) else None
    return None


def _kind(rule: Any) -> str | None:
    return rule.get("type") if isinstance(rule, dict) else None


def _described(rule: Any) -> str:
    text = str(rule)
    return text if len(text) <= 200 else text[:200] + "…"
