"""Grammars in which marks of a vocabulary stand: as tokens where they are such, else as text."""

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
    """Writes Lark for texts of one vocabulary, each under a rule of its own."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._ends = model.end_tokens
        self._rules: dict[tuple[Any, ...], str] = {}
        self.lines: list[str] = []

    def literal(self, text: str) -> str:
        """A rule for exactly ``text``, up to a token that would end the answer; empty where nothing is left."""
        parts = list(self._parts(text))
        if not parts:
            return ""
        if len(parts) == 1 and parts[0].startswith("<["):
            return parts[0]
        return self._rule(("literal", text), "m", " ".join(parts))

    def up_to(self, patterns: Sequence[str], closer: str) -> str:
        """A rule for a text that matches all ``patterns`` and is ended by ``closer``, which it doesn't hold."""
        key = ("text", *patterns, closer)
        if key in self._rules:
            return self._rules[key]
        parts = list(self._parts(closer))
        mark = closer.strip() or closer
        body = [f"/({pattern})/" for pattern in patterns]
        if parts and parts[0].startswith("<["):
            body.append(f"~/(?s:.*){regex_of(mark)}(?s:.*)/")
            return self._text(key, body, parts)
        # Up to the first special token the closer is text, and part of the lexeme: only so it is told from the value.
        first = str(json.loads(parts[0])) if parts else ""
        ended = [f"/({pattern}){regex_of(first)}/" for pattern in patterns]
        ended.append(
            f"~/(?s:.*){regex_of(first.strip() or first)}(?s:.+)/" if first.strip() == first else self._once(first)
        )
        return self._text(key, ended, parts[1:])

    @staticmethod
    def _once(closer: str) -> str:
        """No second mark before the one that ends the text; white space around it doesn't count."""
        mark = regex_of(closer.strip() or closer)
        return f"~/(?s:.*){mark}(?s:.*){mark}(?s:.*)/"

    def _text(self, key: tuple[Any, ...], terminals: list[str], parts: list[str]) -> str:
        terminal = f"T{len(self._rules)}"
        self.lines.append(f"{terminal}: {' & '.join(terminals)}")
        return self._rule(key, "v", " ".join([terminal, *parts]))

    def _rule(self, key: tuple[Any, ...], letter: str, body: str) -> str:
        if key not in self._rules:
            name = f"{letter}{len(self._rules)}"
            self._rules[key] = name
            self.lines.append(f"{name}: {body}")
        return self._rules[key]

    def _parts(self, text: str) -> Iterator[str]:
        """``text`` as quoted strings and special tokens."""
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
            if token in self._ends:
                return
            yield f"<[{token}]>"
            position = at + len(piece)
        if position < len(text):
            yield json.dumps(text[position:], ensure_ascii=False)
