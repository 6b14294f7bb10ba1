"""Constraints compiled once per (constraint, vocabulary) and copied for each request."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import chain
from typing import Any

from parlant_local.engine.constraint.bounds import check_json, exceeded
from parlant_local.engine.constraint.call_marks import CallMarks
from parlant_local.engine.constraint.calls import call_grammar
from parlant_local.engine.constraint.closing import ClosedSchema, closed_schema
from parlant_local.engine.constraint.closing_cost import worst_case_closing
from parlant_local.engine.constraint.grammars import grammar_of
from parlant_local.engine.constraint.keywords import KEYWORDS_BY_TYPE
from parlant_local.engine.constraint.matcher import ConstraintMatcher
from parlant_local.engine.constraint.objects import ANY_KEY
from parlant_local.engine.constraint.vocabulary import grammar_tokenizer
from parlant_local.engine.constraint.workers import in_compile_thread
from parlant_local.engine.future_cache import FutureCache
from parlant_local.engine.model import LoadedModel
from parlant_local.engine.pattern_syntax import ending
from parlant_local.engine.requests import AnyJson, CallOf, Constraint, JsonSchema
from parlant_local.errors import SchemaError
from parlant_local.settings.constraints import DEFAULT_BOUNDS, ConstraintSettings

__all__ = ["CompiledConstraint", "ConstraintCompiler"]

_MARGIN = 16  # tokens
_MARKED_FACTOR = 2  # times what JSON takes: each value is between marks instead of quotes
_MAX_BEGUN = 64
_DRY_RUN_STEPS = 4  # steps
_MAX_ENDINGS = 16  # patterns whose endings early closing knows
_COMPACT: Any = {"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"}
_SPACED: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}

# Measured so that no mask takes a quarter of a second or 256 MB. A JSON schema needs 4 items for each optional property;
# client grammars may be ambiguous, where time grows with the square of the items.
_JSON_LIMITS: Any = {"max_items_in_row": 7_000, "step_max_items": 20_000}
_GRAMMAR_LIMITS: Any = {"max_items_in_row": 2_000, "step_max_items": 8_000}
_LEXER_LIMITS: Any = {"max_lexer_states": 25_000, "initial_lexer_fuel": 1_000_000, "step_lexer_fuel": 200_000}


# Approximate memory of a compiled constraint, measured: per byte of its grammar, per state of a multipleOf automaton, and for
# the lexer states that answers build up over time; patterns may build up as many as the limit allows.
_BYTES_PER_GRAMMAR_BYTE, _BYTES_PER_STATE, _LEXER_BYTES, _PATTERN_LEXER_BYTES = (
    200,
    160,
    2 * 1024 * 1024,
    20 * 1024 * 1024,
)


@dataclass(frozen=True, slots=True)
class CompiledConstraint:
    """A grammar that compiled against one vocabulary."""

    pristine: Any
    """A matcher in its initial state; requests get deep copies."""
    closes_early: bool
    """Whether it can be closed early when tokens run low: it is JSON, or its marks are known."""
    closing_budget: int
    """Roughly the most tokens that ending an answer may take, from any position."""
    open_keys: bool = False
    """Whether it has dictionaries, whose keys could repeat."""
    endings: tuple[str, ...] = ()
    """Characters that its patterns require at the end, tried when an answer is closed early."""
    unbound: frozenset[str] = frozenset()
    """Keywords of its schema that the decoder does not enforce: the answer has to be validated."""
    marks: CallMarks | None = None
    """The marks around a call's arguments."""


class ConstraintCompiler:
    """Compiles for one model. Thread-safe; slow calls belong off the event loop."""

    def __init__(self, model: LoadedModel, bounds: ConstraintSettings = DEFAULT_BOUNDS) -> None:
        self._model = model
        self._bounds = bounds
        self._lock = threading.Lock()
        self._tokenizer_lock = threading.Lock()
        self._tokenizer: Any = None
        self._begun: OrderedDict[int, tuple[Constraint, Future[CompiledConstraint]]] = OrderedDict()
        self._cache: FutureCache[CompiledConstraint] = FutureCache(
            bounds.cached, bounds.cached_mb * 1024 * 1024, cached_errors=SchemaError
        )

    def matcher(self, constraint: Constraint) -> ConstraintMatcher:
        """A fresh matcher of ``constraint``. Raises :class:`SchemaError` naming the keyword at fault."""
        compiled = self.compile(constraint)
        return ConstraintMatcher(
            compiled.pristine.deep_copy(),
            compiled.closing_budget if compiled.closes_early else None,
            open_keys=compiled.open_keys,
            endings=compiled.endings,
            unbound=compiled.unbound,
            marks=compiled.marks,
        )

    def compile(self, constraint: Constraint) -> CompiledConstraint:
        """Blocks until the constraint is compiled."""
        with self._lock:
            _, future = self._begun.pop(id(constraint), (None, None))
        try:
            return (future or self._start(constraint)).result()
        except SchemaError as error:  # cached and shared: each caller gets a copy of its own
            raise SchemaError(error.message, keyword=error.keyword, hint=error.hint) from None

    def begin(self, constraint: Constraint) -> Future[CompiledConstraint]:
        """Starts compiling, unless it is cached or under way: each constraint once, different ones concurrently.

        Raises :class:`SchemaError` at once for a schema beyond the size limits.
        """
        future = self._start(constraint)
        with self._lock:  # the compile() that follows need not hash the schema again
            self._begun[id(constraint)] = (constraint, future)
            if len(self._begun) > _MAX_BEGUN:
                self._begun.popitem(last=False)
        return future

    def _start(self, constraint: Constraint) -> Future[CompiledConstraint]:
        if isinstance(constraint, JsonSchema):
            check_json(constraint.schema, self._bounds)
        if isinstance(constraint, CallOf):
            check_json([schema for _, schema in constraint.tools], self._bounds)
        key = _key(constraint)

        def start(future: Future[CompiledConstraint]) -> None:
            def run() -> None:
                try:
                    with self._model.held():
                        future.set_result(self._compile(constraint, key))
                except BaseException as error:  # raised in every caller that waits
                    future.set_exception(error)

            future.set_running_or_notify_cancel()  # a caller that cancels must not cancel it for the others
            in_compile_thread(run)

        return self._cache.get(key, start)

    def _compile(self, constraint: Constraint, key: str) -> CompiledConstraint:
        try:
            match constraint:
                case JsonSchema(schema, limits, spaced):
                    return self._compile_json(closed_schema(schema, limits, self._bounds), key, spaced=spaced)
                case AnyJson(limits):
                    return self._compile_json(closed_schema({"type": "object"}, limits, self._bounds), key)
                case CallOf():
                    return self._compile_call(constraint, key)
        except RecursionError:
            raise exceeded("The schema nests more than {} levels", "max_depth", self._bounds.max_depth) from None
        grammar = grammar_of(constraint, self._bounds)
        keyword = {"Regex": "pattern", "Choices": "choices"}.get(type(constraint).__name__, "grammar")
        compiled = CompiledConstraint(self._matcher(grammar, keyword, _GRAMMAR_LIMITS), False, 0)
        self._cache.set_size(
            key,
            _BYTES_PER_GRAMMAR_BYTE * len(grammar) + (_LEXER_BYTES if keyword == "choices" else _PATTERN_LEXER_BYTES),
        )
        return compiled

    def _compile_json(self, closed: ClosedSchema, key: str, *, spaced: bool = False) -> CompiledConstraint:
        from llguidance import LLMatcher

        schema = closed.schema
        try:
            text = json.dumps(schema, ensure_ascii=False, allow_nan=False)
            grammar = LLMatcher.grammar_from_json_schema(text, overrides=_SPACED if spaced else _COMPACT)
        except (TypeError, ValueError) as error:
            raise SchemaError(f"The schema is not JSON: {error}.", keyword="enum") from None
        matcher = self._matcher(grammar, "", _JSON_LIMITS)
        patterns = _patterns(schema)
        states = _BYTES_PER_STATE * closed.multiples + (_PATTERN_LEXER_BYTES if patterns else _LEXER_BYTES)
        self._cache.set_size(key, _BYTES_PER_GRAMMAR_BYTE * len(grammar) + states)
        worst_case = worst_case_closing(schema, self._count)
        endings = tuple(dict.fromkeys(filter(None, map(ending, patterns[:_MAX_ENDINGS]))))
        return CompiledConstraint(
            matcher, True, worst_case + worst_case // 4 + _MARGIN, _has_open_keys(schema), endings, closed.unbound
        )

    def _compile_call(self, constraint: CallOf, key: str) -> CompiledConstraint:
        from llguidance import LLMatcher

        grammar = call_grammar(constraint, self._model, self._bounds)
        matcher = self._matcher(LLMatcher.grammar_from_lark(grammar.text), "", _JSON_LIMITS)
        self._cache.set_size(key, _BYTES_PER_GRAMMAR_BYTE * len(grammar.text) + _PATTERN_LEXER_BYTES)
        around = max(self._count(text) for text in grammar.around)
        worst_case = max(worst_case_closing(schema, self._count) for schema in grammar.schemas)
        if grammar.marks is not None:
            worst_case = (
                _MARKED_FACTOR * worst_case
                + sum(map(self._count, grammar.marks.opening))
                + max(map(self._count, grammar.marks.closing))
            )
        return CompiledConstraint(
            matcher, True, around + worst_case + worst_case // 4 + _MARGIN, unbound=grammar.unbound, marks=grammar.marks
        )

    def _count(self, text: str) -> int:
        return len(self._model.tokenize(text))

    def _matcher(self, grammar: str, keyword: str, limits: Any) -> Any:
        from llguidance import LLMatcher, LLParserLimits

        allowed = LLParserLimits(verbose_errors=False, **_LEXER_LIMITS, **limits)
        matcher = LLMatcher(self.tokenizer, grammar, log_level=0, limits=allowed)
        if not matcher.is_error():
            _dry_run(ConstraintMatcher(matcher.deep_copy(), None))
            return matcher
        raise _schema_error(matcher.get_error(), keyword)

    @property
    def tokenizer(self) -> Any:
        """llguidance's view of the vocabulary; 0.2-0.9 s to make, once."""
        with self._tokenizer_lock:
            if self._tokenizer is None:
                self._tokenizer = grammar_tokenizer(self._model)
            return self._tokenizer


def _dry_run(matcher: ConstraintMatcher) -> None:
    """Runs a few steps, so that a grammar that exceeds a limit at once is refused here, not during an answer."""
    for _ in range(_DRY_RUN_STEPS):
        allowed = matcher.mask(0).nonzero()[0]
        if matcher.finished or not allowed.size:
            return
        matcher.accept([int(allowed[0])])
        matcher.forced()


def _key(constraint: Constraint) -> str:
    if isinstance(constraint, JsonSchema):
        # Key order matters: it is the order of the answer.
        text = f"schema {constraint.limits} {constraint.spaced} {json.dumps(constraint.schema, ensure_ascii=False, default=str)}"
    else:
        text = repr(constraint)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _patterns(schema: Any) -> list[str]:
    """The schema's patterns, without the one that bounds open keys."""
    found: list[str] = []
    stack = [schema]
    while stack:
        part = stack.pop()
        if isinstance(part, list):
            stack += part
        elif isinstance(part, dict) and "enum" not in part:
            pattern = part.get("pattern")
            found += [pattern] if isinstance(pattern, str) else []
            found += [key for key in part.get("patternProperties", ()) if not key.startswith(ANY_KEY)]
            stack += part.values()
    return found


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


def _schema_error(message: str, keyword: str) -> SchemaError:
    line = " ".join(message.split())
    if not keyword:
        _, _, listed = line.partition("Unimplemented keys:")
        keyword = listed.strip().strip("[]").split(",")[0].strip(' "') if listed else _keyword_in(line)
    return SchemaError(f"The schema or grammar can't be compiled: {line.rstrip('.')}.", keyword=keyword)


_ERROR_KEYWORDS = {
    "regex parse error": "pattern",
    "Regex is empty": "pattern",
    "multiple of": "multipleOf",
    "oneOf": "oneOf",
}


def _keyword_in(line: str) -> str:
    """The first keyword that an llguidance error mentions, quoted or not."""
    for sign, keyword in _ERROR_KEYWORDS.items():
        if sign in line:
            return keyword
    words = sorted(
        {*chain.from_iterable(KEYWORDS_BY_TYPE.values()), "enum", "const", "allOf", "type", "$ref"},
        key=len,
        reverse=True,
    )
    found = re.search("|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in words), line)
    return found.group() if found else ""
