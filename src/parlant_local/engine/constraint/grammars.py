"""Converts clients' grammars, patterns and choices to llguidance's form, within bounds."""

from __future__ import annotations

import json
import re

from parlant_local.engine.constraint.bounds import check_text, exceeded
from parlant_local.engine.constraint.closing import closed_schema
from parlant_local.engine.pattern_syntax import translated
from parlant_local.engine.requests import Choices, Grammar, Limits, Regex
from parlant_local.errors import SchemaError
from parlant_local.settings.constraints import ConstraintSettings

__all__ = ["grammar_of"]

# Each alternative begins differently and is unambiguous, so scanning takes one pass.
_LITERAL = re.compile(r'"(?:[^"\\\n]|\\.)*"|/(?:[^/\\\n]|\\.)+/|//[^\n]*|#[^\n]*|%json\b|\{\d+|,\d+\}')
_JSON = re.compile(r"\s*")


def grammar_of(constraint: Regex | Grammar | Choices, bounds: ConstraintSettings) -> str:
    """The grammar in llguidance's form. Raises :class:`SchemaError` for syntax errors and grammars beyond ``bounds``."""
    from llguidance import LLMatcher

    match constraint:
        case Regex(pattern):
            check_text(pattern, bounds)
            translated(pattern, bounds)  # only checks the limits: these patterns are in the decoder's dialect already
            return str(LLMatcher.grammar_from_regex(pattern))
        case Grammar(text):
            check_text(text, bounds)
            return str(LLMatcher.grammar_from_lark(_within_bounds(_lark(text), bounds)))
        case Choices(texts):
            return str(LLMatcher.grammar_from_lark(_choices_grammar(texts, bounds)))


def _choices_grammar(texts: tuple[str, ...], bounds: ConstraintSettings) -> str:
    if not texts:
        raise SchemaError("A list of choices needs at least one.", keyword="choices")
    if len(texts) > bounds.max_values:
        raise exceeded("There are more than {} choices", "max_values", bounds.max_values, keyword="choices")
    if max(map(len, texts)) > bounds.max_text:
        raise exceeded("A choice has more than {} characters", "max_text", bounds.max_text, keyword="choices")
    options = " | ".join(json.dumps(text, ensure_ascii=False) for text in dict.fromkeys(texts))
    check_text(options, bounds.model_copy(update={"max_grammar_kb": bounds.max_kb}))
    return f"start: {options}"


def _lark(text: str) -> str:
    from llguidance.gbnf_to_lark import any_to_lark

    if "::=" not in text:
        return text
    try:
        return str(any_to_lark(text))
    except Exception as error:  # the converter raises arbitrary exceptions
        raise SchemaError(f"The GBNF grammar can't be read: {str(error)[:300]}.", keyword="grammar") from None


def _within_bounds(text: str, bounds: ConstraintSettings) -> str:
    """``text`` with its embedded JSON schemas closed, once its patterns and counts are within bounds."""
    parts: list[str] = []
    position = 0
    while (found := _LITERAL.search(text, position)) is not None:
        literal = found[0]
        parts.append(text[position : found.end()])
        position = found.end()
        if literal == "%json":
            try:
                schema, position = json.JSONDecoder().raw_decode(text, _JSON.match(text, position).end())  # type: ignore[union-attr]  # matches always
            except (ValueError, RecursionError):
                raise SchemaError("The grammar's %json is followed by no JSON.", keyword="grammar") from None
            closed = closed_schema(schema, Limits(), bounds)
            if closed.unbound:  # a part of an answer can't be validated
                keyword = min(closed.unbound)
                raise SchemaError(f"The grammar's %json has {keyword!r}, which can't be enforced.", keyword=keyword)
            parts.append(" " + json.dumps(closed.schema, ensure_ascii=False))
        elif literal[0] == "/" and literal[:2] != "//":
            translated(literal[1:-1].replace("\\/", "/"), bounds)
        elif literal[0] in "{," and int(literal.strip("{,}")[:10]) > bounds.max_repeat:
            raise exceeded("The grammar repeats more often than {}", "max_repeat", bounds.max_repeat, keyword="grammar")
    return "".join(parts) + text[position:]
