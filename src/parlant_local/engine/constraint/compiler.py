"""Constraints compiled once per (constraint, vocabulary) and copied for each request."""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from dataclasses import dataclass
from itertools import chain
from typing import Any

from parlant_local.engine.constraint.calls import call_grammar
from parlant_local.engine.constraint.closing import any_object, close_schema
from parlant_local.engine.constraint.keywords import OWN
from parlant_local.engine.constraint.matcher import ConstraintMatcher
from parlant_local.engine.constraint.shortest import longest_way_home
from parlant_local.engine.constraint.vocabulary import grammar_tokenizer
from parlant_local.engine.model import LoadedModel
from parlant_local.engine.requests import AnyJson, CallOf, Choices, Constraint, Grammar, JsonSchema, Regex
from parlant_local.errors import SchemaError

__all__ = ["CompiledConstraint", "ConstraintCompiler"]

_CACHED = 256
_MARGIN = 16  # tokens
_COMPACT: Any = {"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"}
_SPACED: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


@dataclass(frozen=True, slots=True)
class CompiledConstraint:
    """A grammar that compiled against one vocabulary."""

    pristine: Any
    """A matcher in its initial state; requests get deep copies."""
    json: bool
    """Whether it speaks JSON, so that it can be landed when tokens run out."""
    landing_tokens: int
    """About what it takes at most to end an answer from anywhere within."""
    open_keys: bool = False
    """Whether it has dictionaries, whose keys could repeat."""


class ConstraintCompiler:
    """Compiles for one model. Thread-safe; slow calls belong off the event loop."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._lock = threading.Lock()
        self._tokenizer: Any = None
        self._cache: OrderedDict[str, CompiledConstraint] = OrderedDict()

    def matcher(self, constraint: Constraint) -> ConstraintMatcher:
        """A fresh matcher of ``constraint``. Raises :class:`SchemaError` naming the keyword at fault."""
        compiled = self.compile(constraint)
        return ConstraintMatcher(
            compiled.pristine.deep_copy(),
            compiled.landing_tokens if compiled.json else None,
            open_keys=compiled.open_keys,
        )

    def compile(self, constraint: Constraint) -> CompiledConstraint:
        key = _key(constraint)
        with self._lock:
            if (known := self._cache.get(key)) is not None:
                self._cache.move_to_end(key)
                return known
            compiled = self._compile(constraint)
            self._cache[key] = compiled
            while len(self._cache) > _CACHED:
                self._cache.popitem(last=False)
            return compiled

    def _compile(self, constraint: Constraint) -> CompiledConstraint:
        from llguidance import LLMatcher

        match constraint:
            case JsonSchema(schema, limits, spaced):
                return self._compile_json(close_schema(schema, limits), spaced=spaced)
            case AnyJson(limits):
                return self._compile_json(any_object(limits))
            case Regex(pattern):
                return self._checked(LLMatcher.grammar_from_regex(pattern), "pattern")
            case Grammar(text):
                return self._checked(_lark(text), "grammar")
            case CallOf():
                return self._compile_call(constraint)
            case Choices(texts):
                if not texts:
                    raise SchemaError("A list of choices needs at least one.", keyword="choices")
                options = " | ".join(json.dumps(text, ensure_ascii=False) for text in texts)
                return self._checked(LLMatcher.grammar_from_lark(f"start: {options}"), "choices")

    def _compile_json(self, closed: dict[str, Any], *, spaced: bool = False) -> CompiledConstraint:
        from llguidance import LLMatcher

        try:
            text = json.dumps(closed, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise SchemaError(f"The schema is not JSON: {error}.", keyword="enum") from None
        grammar = LLMatcher.grammar_from_json_schema(text, overrides=_SPACED if spaced else _COMPACT)
        compiled = self._checked(grammar, "")
        home = len(self._model.tokenize(longest_way_home(closed)))
        return CompiledConstraint(compiled.pristine, True, home + home // 4 + _MARGIN, _has_open_keys(closed))

    def _compile_call(self, constraint: CallOf) -> CompiledConstraint:
        from llguidance import LLMatcher

        text, way = call_grammar(constraint, self._model)
        compiled = self._checked(LLMatcher.grammar_from_lark(text), "")
        if way is None:
            return compiled
        home = len(self._model.tokenize(way))
        return CompiledConstraint(compiled.pristine, True, home + home // 4 + _MARGIN)

    def _checked(self, grammar: str, keyword: str) -> CompiledConstraint:
        from llguidance import LLMatcher

        tokenizer = self.tokenizer
        failed, messages = LLMatcher.validate_grammar_with_warnings(grammar, tokenizer)
        if failed:
            raise _schema_error(messages[0], keyword)
        matcher = LLMatcher(tokenizer, grammar, log_level=0)
        if matcher.is_error():
            raise _schema_error(matcher.get_error(), keyword)
        return CompiledConstraint(matcher, False, 0)

    @property
    def tokenizer(self) -> Any:
        """llguidance's view of the vocabulary; 0.2-0.9 s to make, once."""
        if self._tokenizer is None:
            self._tokenizer = grammar_tokenizer(self._model)
        return self._tokenizer


def _key(constraint: Constraint) -> str:
    if isinstance(constraint, JsonSchema):
        # Key order matters: it is the order of the answer.
        return f"schema {constraint.limits} {constraint.spaced} {json.dumps(constraint.schema, ensure_ascii=False, default=str)}"
    return repr(constraint)


def _has_open_keys(schema: Any) -> bool:
    if isinstance(schema, list):
        return any(_has_open_keys(item) for item in schema)
    if not isinstance(schema, dict) or "enum" in schema:
        return False
    if "patternProperties" in schema or isinstance(schema.get("additionalProperties"), dict):
        return True
    return any(
        _has_open_keys(list(value.values()) if key in ("properties", "$defs") else value)
        for key, value in schema.items()
    )


def _lark(text: str) -> str:
    from llguidance import LLMatcher
    from llguidance.gbnf_to_lark import any_to_lark

    if "::=" in text:
        try:
            text = any_to_lark(text)
        except Exception as error:  # the converter raises whatever its parser meets
            raise SchemaError(f"The GBNF grammar can't be read: {error}.", keyword="grammar") from None
    grammar: str = LLMatcher.grammar_from_lark(text)
    return grammar


def _schema_error(message: str, keyword: str) -> SchemaError:
    line = " ".join(message.split())
    if not keyword:
        _, _, listed = line.partition("Unimplemented keys:")
        keyword = listed.strip().strip("[]").split(",")[0].strip(' "') if listed else _mentioned(line)
    return SchemaError(f"The schema or grammar can't be compiled: {line.rstrip('.')}.", keyword=keyword)


_SIGNS = {"regex parse error": "pattern", "Regex is empty": "pattern", "multiple of": "multipleOf", "oneOf": "oneOf"}


def _mentioned(line: str) -> str:
    """The first keyword that an error of llguidance names, quoted or not."""
    for sign, keyword in _SIGNS.items():
        if sign in line:
            return keyword
    words = sorted(
        {*chain.from_iterable(OWN.values()), "enum", "const", "allOf", "type", "$ref"}, key=len, reverse=True
    )
    found = re.search("|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in words), line)
    return found.group() if found else ""
