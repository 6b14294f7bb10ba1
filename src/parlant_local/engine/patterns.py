"""Matches texts against untrusted patterns with the decoder's own automata, in time linear in the text.

llguidance compiles patterns for decoding anyway, so validation here and sampling there agree. Its automata never backtrack,
and its limits bound time and memory; where one is hit the result is an error, never a guess.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from parlant_local.engine.pattern_syntax import translated
from parlant_local.errors import SchemaError
from parlant_local.settings.constraints import ConstraintSettings

__all__ = ["AllPatterns", "matches", "problem_of", "problem_of_grammar"]

_CACHE_SIZE = 512
_CHUNK = 4096  # bytes per native call, which holds the GIL
_LIMITS: Any = {"max_lexer_states": 20_000, "initial_lexer_fuel": 300_000, "step_lexer_fuel": 200_000}
_END = 256
_EMPTY = "Regex is empty"


class AllPatterns(str):
    """Several patterns as one; a text has to match all of them."""

    parts: tuple[str, ...]

    @classmethod
    def of(cls, *patterns: str) -> AllPatterns:
        parts = dict.fromkeys(
            part for pattern in patterns for part in (pattern.parts if isinstance(pattern, AllPatterns) else (pattern,))
        )
        made = cls(" and ".join(parts))
        made.parts = tuple(parts)
        return made

    @staticmethod
    def within(pattern: str) -> tuple[str, ...]:
        return pattern.parts if isinstance(pattern, AllPatterns) else (pattern,)


def matches(pattern: str, text: str, bounds: ConstraintSettings) -> bool:
    """Whether ``text`` contains a match of ``pattern``, as in JSON Schema. Raises :class:`SchemaError`."""
    if isinstance(pattern, AllPatterns):
        return all(matches(part, text, bounds) for part in pattern.parts)
    rule = translated(pattern, bounds)
    if any(not _found(one, text) for one in (rule.pattern, *rule.also)):
        return False
    return not any(_found(one, text) for one in rule.never)


def _found(pattern: str, text: str) -> bool:
    pristine = _compiled(pattern)
    if pristine is None:
        return False
    # As JSON, which llguidance's string grammar matches; unpaired surrogates are replaced.
    written = json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f").encode("utf-8", "replace")
    matcher = pristine.deep_copy()
    for start in range(0, len(written), _CHUNK):
        chunk = list(written[start : start + _CHUNK])
        taken = matcher.try_consume_tokens(chunk)
        if matcher.is_error():
            raise _undecidable(pattern, matcher.get_error())
        if taken < len(chunk):
            return False
    return bool(matcher.is_accepting())


@lru_cache(maxsize=_CACHE_SIZE)
def _compiled(pattern: str) -> Any:
    """A matcher in its initial state; None for a pattern that matches nothing."""
    matcher = _matcher({"type": "string", "pattern": pattern})
    if not matcher.is_error():
        return matcher
    if _EMPTY in matcher.get_error():
        return None
    raise _undecidable(pattern, matcher.get_error())


def problem_of(schema: Mapping[str, Any]) -> str:
    """llguidance's error for a small schema; empty where it compiles."""
    return str(_matcher(schema).get_error())


def problem_of_grammar(lark: str) -> str:
    """llguidance's error for a small grammar; empty where it compiles."""
    from llguidance import LLMatcher

    return str(_matcher_of(LLMatcher.grammar_from_lark(lark)).get_error())


def _matcher(schema: Mapping[str, Any]) -> Any:
    from llguidance import LLMatcher

    return _matcher_of(LLMatcher.grammar_from_json_schema(json.dumps(schema)))


def _matcher_of(grammar: str) -> Any:
    from llguidance import LLMatcher, LLParserLimits

    limits = LLParserLimits(verbose_errors=False, **_LIMITS)
    return LLMatcher(_tokenizer(), grammar, log_level=0, limits=limits)


def _undecidable(pattern: str, problem: str) -> SchemaError:
    reason = " ".join(problem.split()).rpartition("error: ")[2]
    return SchemaError(
        f"The schema's pattern {pattern[:80]!r} can't be decided: {reason[:200].rstrip('.')}.", keyword="pattern"
    )


class _Bytes:
    """A vocabulary of single bytes."""

    eos_token_id = _END
    bos_token_id = None
    tokens = (*(bytes([value]) for value in range(_END)), b"\xff<end>")
    special_token_ids = (_END,)

    def __call__(self, text: bytes | str) -> list[int]:
        return list(text.encode() if isinstance(text, str) else text)


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    from llguidance import LLTokenizer, TokenizerWrapper

    return LLTokenizer(TokenizerWrapper(_Bytes()), n_vocab=_END + 1, eos_token=_END, slices=[])
