"""Lark rules for marks: as special tokens where the vocabulary has them, otherwise as text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from parlant_local.engine.constraint.vocabulary import stands_apart
from parlant_local.engine.model import LoadedModel

__all__ = ["Marks", "regex_of"]

_SPECIAL = re.compile(r"([\\.+*?()|\[\]{}^$/#&~\-])")
_CONTROL = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def regex_of(text: str) -> str:
    """A regular expression of exactly ``text``, as Lark takes it between slashes."""
    return "".join(_CONTROL.get(part, part) for part in re.split(r"([\n\r\t])", _SPECIAL.sub(r"\\\1", text)))


class Marks:
    """Writes Lark for the texts of one vocabulary, a rule for each."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._end_tokens = model.end_tokens
        self._rules: dict[tuple[Any, ...], str] = {}
        self.lines: list[str] = []

    def literal(self, text: str) -> str:
        """A rule for exactly ``text``, up to an end-of-generation token; empty where nothing is left."""
        parts = list(self._parts(text))
        if not parts:
            return ""
        if len(parts) == 1 and parts[0].startswith("<["):
            return parts[0]
        return self._rule(("literal", text), "m", " ".join(parts))

    def literal_text(self, text: str) -> str:
        """The part of ``text`` that :meth:`literal` covers."""
        parts = list(self._parts(text))
        return "".join(
            self._model.piece(int(part[2:-2]), special=True).decode("utf-8", "replace")
            if part.startswith("<[")
            else str(json.loads(part))
            for part in parts
        )

    def text_up_to(
        self, patterns: Sequence[str], closer: str, never: Sequence[str] = (), *, loose: bool = False
    ) -> str:
        """A rule for text that matches all ``patterns``, none of ``never``, and is ended by the first ``closer``.

        The lexeme is lazy, so that the mark need not be excluded from the text, which would multiply the automaton's states by
        the text's length. ``loose``: white space before the mark is optional, as some models leave it out.
        """
        key = ("text", *patterns, None, *never, closer, loose)
        if key in self._rules:
            return self._rules[key]
        parts = list(self._parts(closer))
        space = ""
        if parts and not parts[0].startswith("<["):
            first = str(json.loads(parts[0]))
            space = first[: len(first) - len(first.lstrip())]
            parts[:1] = [json.dumps(first[len(space) :], ensure_ascii=False)] if first != space else []
        before = f"({regex_of(space)}){'?' if loose else ''}" if space else ""
        if not parts:  # only white space
            return self._rule(key, "v", self._lexeme(patterns, never, regex_of(space), lazy=True))
        if parts[0].startswith("<["):
            token_text = self._model.piece(int(parts[0][2:-2]), special=True).decode("utf-8", "replace")
            text = self._lexeme(patterns, never, before)
            lookalike = self._lexeme(
                patterns, never, before + regex_of(token_text), lazy=True
            )  # the token's text spelled out ends it, too
            return self._rule(key, "v", f"{text} {' '.join(parts)} | {' '.join([lookalike, *parts[1:]])}")
        mark = str(json.loads(parts[0]))
        body = mark.rstrip()
        rest = [json.dumps(mark[len(body) :], ensure_ascii=False)] if mark != body else []
        text = self._lexeme(patterns, never, before + regex_of(body), lazy=True)
        return self._rule(key, "v", " ".join([text, *rest, *parts[1:]]))

    def _lexeme(self, patterns: Sequence[str], never: Sequence[str], ended: str, *, lazy: bool = False) -> str:
        terms = [f"/({pattern}){ended}/" for pattern in patterns] + [f"~/({pattern}){ended}/" for pattern in never]
        key = ("lexeme", *terms, lazy)
        if key not in self._rules:
            name = self._rules[key] = f"t{len(self._rules)}"
            self.lines.append(f"{name.upper()}: {' & '.join(terms)}")
            self.lines.append(f"{name}{'[lazy]' if lazy else ''}: {name.upper()}")
        return self._rules[key]

    def _rule(self, key: tuple[Any, ...], letter: str, body: str) -> str:
        if key not in self._rules:
            name = f"{letter}{len(self._rules)}"
            self._rules[key] = name
            self.lines.append(f"{name}: {body}")
        return self._rules[key]

    def _parts(self, text: str) -> Iterator[str]:
        """``text`` split into quoted strings and special tokens."""
        position = 0
        for token in self._model.tokenize(text, parse_special=True):
            if not stands_apart(self._model, token):
                continue
            piece = self._model.piece(token, special=True).decode("utf-8", "replace")
            at = text.find(piece, position)
            if at < 0:
                continue
            if at > position:
                yield json.dumps(text[position:at], ensure_ascii=False)
            if token in self._end_tokens:
                return
            yield f"<[{token}]>"
            position = at + len(piece)
        if position < len(text):
            yield json.dumps(text[position:], ensure_ascii=False)
