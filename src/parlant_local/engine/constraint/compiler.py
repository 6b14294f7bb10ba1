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
from parlant_local.engine.constraint.grammars import grammar_of
from parlant_local.engine.constraint.keywords import OWN
from parlant_local.engine.constraint.matcher import ConstraintMatcher
from parlant_local.engine.constraint.objects import ANY_KEY
from parlant_local.engine.constraint.shortest import tokens_home
from parlant_local.engine.constraint.vocabulary import grammar_tokenizer
from parlant_local.engine.constraint.workers import in_compile_thread
from parlant_local.engine.kept import Kept
from parlant_local.engine.model import LoadedModel
from parlant_local.engine.pattern_syntax import ending
from parlant_local.engine.requests import AnyJson, CallOf, Constraint, JsonSchema
from parlant_local.errors import SchemaError
from parlant_local.settings.constraints import DEFAULT_BOUNDS, ConstraintSettings

__all__ = ["CompiledConstraint", "ConstraintCompiler"]

_MARGIN = 16  # tokens
_MARKED = 2  # times what JSON takes: marks around each value instead of a quote
_BEGUN = 64
_TRIED = 4  # steps
_ENDINGS = 16  # patterns that landing knows the end of
_COMPACT: Any = {"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"}
_SPACED: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}

# Measured so that no mask takes a quarter of a second or 256 MB. A JSON schema needs 4 items for each optional property;
# grammars of clients may be ambiguous, where time grows with the square of the items.
_JSON_LIMITS: Any = {"max_items_in_row": 7_000, "step_max_items": 20_000}
_GRAMMAR_LIMITS: Any = {"max_items_in_row": 2_000, "step_max_items": 8_000}
_LEXER_LIMITS: Any = {"max_lexer_states": 25_000, "initial_lexer_fuel": 1_000_000, "step_lexer_fuel": 200_000}


# About what a compiled constraint takes, measured: for each byte of its grammar, for each state of a multiple's automaton, and
# for the states of its lexer that answers need in time; patterns may need as many as the limit allows.
_BYTE, _STATE, _LEXER, _PATTERNS = 200, 160, 2 * 1024 * 1024, 20 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class CompiledConstraint:
    """A grammar that compiled against one vocabulary."""

    pristine: Any
    """A matcher in its initial state; requests get deep copies."""
    lands: bool
    """Whether it can be landed when tokens run out: it speaks JSON, or its marks are known."""
    landing_tokens: int
    """About what it takes at most to end an answer from anywhere within."""
    open_keys: bool = False
    """Whether it has dictionaries, whose keys could repeat."""
    endings: tuple[str, ...] = ()
    """Letters that its patterns want last, to be tried when an answer has to land."""
    unbound: frozenset[str] = frozenset()
    """Keywords of its schema that an answer may still break, and has to be checked for."""
    marks: CallMarks | None = None
    """Between which arguments of a call stand."""


class ConstraintCompiler:
    """Compiles for one model. Thread-safe; slow calls belong off the event loop."""

    def __init__(self, model: LoadedModel, bounds: ConstraintSettings = DEFAULT_BOUNDS) -> None:
        self._model = model
        self._bounds = bounds
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._tokenizer: Any = None
        self._begun: OrderedDict[int, tuple[Constraint, Future[CompiledConstraint]]] = OrderedDict()
        self._kept: Kept[CompiledConstraint] = Kept(bounds.cached, bounds.cached_mb * 1024 * 1024, lasting=SchemaError)

    def matcher(self, constraint: Constraint) -> ConstraintMatcher:
        """A fresh matcher of ``constraint``. Raises :class:`SchemaError` naming the keyword at fault."""
        compiled = self.compile(constraint)
        return ConstraintMatcher(
            compiled.pristine.deep_copy(),
            compiled.landing_tokens if compiled.lands else None,
            open_keys=compiled.open_keys,
            endings=compiled.endings,
            unbound=compiled.unbound,
            marks=compiled.marks,
        )

    def compile(self, constraint: Constraint) -> CompiledConstraint:
        """Waits for :meth:`begin`."""
        with self._lock:
            _, future = self._begun.pop(id(constraint), (None, None))
        try:
            return (future or self._start(constraint)).result()
        except SchemaError as error:  # kept, and asked for again by others: each gets one of its own
            raise SchemaError(error.message, keyword=error.keyword, hint=error.hint) from None

    def begin(self, constraint: Constraint) -> Future[CompiledConstraint]:
        """The constraint compiled, or being compiled: once, however many ask, and beside all others.

        Raises :class:`SchemaError` at once for what is too large to be looked at.
        """
        future = self._start(constraint)
        with self._lock:  # for the compile() that follows, which then need not look at the schema again
            self._begun[id(constraint)] = (constraint, future)
            if len(self._begun) > _BEGUN:
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
                except BaseException as error:  # whoever waits gets it
                    future.set_exception(error)

            future.set_running_or_notify_cancel()  # one caller who leaves must not take it from the others
            in_compile_thread(run)

        return self._kept.get(key, start)

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
        self._kept.weigh(key, _BYTE * len(grammar) + (_LEXER if keyword == "choices" else _PATTERNS))
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
        states = _STATE * closed.multiples + (_PATTERNS if patterns else _LEXER)
        self._kept.weigh(key, _BYTE * len(grammar) + states)
        home = tokens_home(schema, self._count)
        endings = tuple(dict.fromkeys(filter(None, map(ending, patterns[:_ENDINGS]))))
        return CompiledConstraint(
            matcher, True, home + home // 4 + _MARGIN, _has_open_keys(schema), endings, closed.unbound
        )

    def _compile_call(self, constraint: CallOf, key: str) -> CompiledConstraint:
        from llguidance import LLMatcher

        grammar = call_grammar(constraint, self._model, self._bounds)
        matcher = self._matcher(LLMatcher.grammar_from_lark(grammar.text), "", _JSON_LIMITS)
        self._kept.weigh(key, _BYTE * len(grammar.text) + _PATTERNS)
        around = max(self._count(text) for text in grammar.around)
        home = max(tokens_home(schema, self._count) for schema in grammar.ways)
        if grammar.marks is not None:
            home = (
                _MARKED * home
                + sum(map(self._count, grammar.marks.opening))
                + max(map(self._count, grammar.marks.closing))
            )
        return CompiledConstraint(
            matcher, True, around + home + home // 4 + _MARGIN, unbound=grammar.unbound, marks=grammar.marks
        )

    def _count(self, text: str) -> int:
        return len(self._model.tokenize(text))

    def _matcher(self, grammar: str, keyword: str, limits: Any) -> Any:
        from llguidance import LLMatcher, LLParserLimits

        allowed = LLParserLimits(verbose_errors=False, **_LEXER_LIMITS, **limits)
        matcher = LLMatcher(self.tokenizer, grammar, log_level=0, limits=allowed)
        if not matcher.is_error():
            _try_out(ConstraintMatcher(matcher.deep_copy(), None))
            return matcher
        raise _schema_error(matcher.get_error(), keyword)

    @property
    def tokenizer(self) -> Any:
        """llguidance's view of the vocabulary; 0.2-0.9 s to make, once."""
        with self._making:
            if self._tokenizer is None:
                self._tokenizer = grammar_tokenizer(self._model)
            return self._tokenizer


def _try_out(matcher: ConstraintMatcher) -> None:
    """Some steps: what exceeds a limit at once is refused here, not while answering."""
    for _ in range(_TRIED):
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
    """The schema's patterns, less the one that bounds keys."""
    found: list[str] = []
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict) and "enum" not in part:
            pattern = part.get("pattern")
            found += [pattern] if isinstance(pattern, str) else []
            found += [key for key in part.get("patternProperties", ()) if not key.startswith(ANY_KEY)]
            waiting += part.values()
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
