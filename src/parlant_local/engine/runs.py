"""Splits texts with runs so long that llama.cpp would overflow the stack.

Some of its pre-tokenizers are C++ standard library regular expressions, which recurse once per character of a repetition:
16,000 to 32,000 letters without a space crash the process, at 8 MiB of stack. Meaningful text has no such runs; where one
occurs it is cut, and a token that would have continued may end at the cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise

__all__ = ["LONGEST_RUN", "pieces"]

LONGEST_RUN = 4000
_RUN = re.compile(r"\S+|\s+")
_LINE = re.compile(r"[^\n]+|\n+")
_SPACES = re.compile(r"\s{2,}")
_NO_SPACES = "whitespace"  # this tokenizer drops spaces, and asserts that no two are adjacent
_ACROSS_SPACES = frozenset({"exaone-moe"})  # one repetition matches words and the spaces between them
# Split by llama.cpp's own code, or character by character.
_WITHOUT_REGEX = frozenset(
    "gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 mellum modern-bert exaone4 roberta-bpe mpt olmo jais trillion granite-docling "
    "llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano dbrx smaug-bpe "
    "qwen2 deepseek-r1-qwen megrez stablelm2 hunyuan solar-open qwen35 kimi-k2 glm4 chatglm-bpe gemma4 sarvam-moe "
    "starcoder refact command-r smollm codeshell exaone minerva-7b".split()
)


def pieces(text: str, pre_tokenizer: str, special: Callable[[], re.Pattern[str]]) -> list[str]:
    """``text`` in parts with short enough runs; a single part where it is harmless. No part ends within a special token."""
    if pre_tokenizer == _NO_SPACES:
        text = _SPACES.sub(" ", text)
    if len(text) <= LONGEST_RUN or pre_tokenizer in _WITHOUT_REGEX:
        return [text]
    runs = _LINE if pre_tokenizer in _ACROSS_SPACES else _RUN
    cuts = [cut for run in runs.finditer(text) for cut in range(run.start() + LONGEST_RUN, run.end(), LONGEST_RUN)]
    if not cuts:
        return [text]
    places = sorted({0, len(text), *_outside_tokens(text, cuts, special())})
    return [text[begin:end] for begin, end in pairwise(places)]


def _outside_tokens(text: str, cuts: list[int], special: re.Pattern[str]) -> Iterator[int]:
    """The cuts, with those within special tokens moved to the token's start."""
    tokens = special.finditer(text)
    token = next(tokens, None)
    for cut in cuts:
        while token is not None and token.end() <= cut:
            token = next(tokens, None)
        yield token.start() if token is not None and token.start() < cut else cut
