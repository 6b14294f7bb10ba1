"""Control tokens in user text are plain text: marked before rendering, and tokenised as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count, groupby, takewhile

from parlant_local.messages import Message, ToolCall

__all__ = ["CONTINUE_MARK", "ControlTexts", "split_at_media"]

# Private-use characters, stripped from user text so that a mark can't be forged.
_START, _END = "\U000f0000", "\U000f0001"
_MARKS = re.compile(f"[{_START}{_END}]")
CONTINUE_MARK = "\U000f0002"
"""Placed after the message that the model continues: the prompt ends there."""
_MEDIA = "\U000f0003"
"""On both sides of a number: the place of that picture or sound."""
_MEDIA_PLACE = re.compile(f"{_MEDIA}([0-9]+){_MEDIA}")
_FORGED = re.compile(f"[{_START}{_END}{CONTINUE_MARK}{_MEDIA}]")
# Every control token of every known vocabulary contains one of these; most texts don't, which skips the check.
_SUSPICIOUS = re.compile(r"[<\[]")


class ControlTexts:
    """The control tokens of one vocabulary, as text."""

    def __init__(self, texts: Iterable[str]) -> None:
        known = sorted({text for text in texts if text})
        self._pattern = re.compile(_one_of(known) if known else "(?!)")

    @staticmethod
    def suspected(messages: Iterable[Message]) -> bool:
        """Whether any message may contain a control token; cheap."""
        return any(
            _SUSPICIOUS.search(text) is not None or _FORGED.search(text) is not None
            for message in messages
            for text in _texts(message)
        ) or any(message.media for message in messages)

    def mark(self, messages: Iterable[Message]) -> tuple[Message, ...]:
        """The messages with every control token in them between marks, and a mark in the place of each picture and sound."""
        number = count()
        return tuple(
            replace(
                message,
                name=None if message.name is None else self._marked(message.name),
                content=self._content(message, number),
                reasoning=None if message.reasoning is None else self._marked(message.reasoning),
                tool_calls=tuple(
                    ToolCall(call.id, self._marked(call.name), self._marked(call.arguments))
                    for call in message.tool_calls
                ),
            )
            for message in messages
        )

    def _content(self, message: Message, number: Iterator[int]) -> str | None:
        if not message.media:
            return None if message.content is None else self._marked(message.content)
        return "".join(
            self._marked(part) if isinstance(part, str) else f"{_MEDIA}{next(number)}{_MEDIA}" for part in message.parts
        )

    def _marked(self, text: str) -> str:
        return self._pattern.sub(lambda found: f"{_START}{found[0]}{_END}", _FORGED.sub("", text))

    @staticmethod
    def pieces(prompt: str) -> Sequence[tuple[str, bool]]:
        """The rendered prompt in pieces: text, and whether control tokens in it are plain text.

        A template may split a marked text; an unpaired mark still separates its neighbours.
        """
        pieces: list[tuple[str, bool]] = []
        position, inside = 0, False
        for mark in _MARKS.finditer(prompt):
            if mark.start() > position:
                pieces.append((prompt[position : mark.start()], inside))
            inside = mark[0] == _START
            position = mark.end()
        if position < len(prompt):
            pieces.append((prompt[position:], inside))
        return pieces


def split_at_media(prompt: str) -> list[str | int]:
    """A rendered prompt in pieces: text, and the numbers of pictures and sounds."""
    return [int(piece) if index % 2 else piece for index, piece in enumerate(_MEDIA_PLACE.split(prompt))]


def _one_of(texts: Sequence[str]) -> str:
    """A trie-shaped pattern of the longest of ``texts`` (sorted): some vocabularies have thousands, and text that consists of
    their prefixes would be compared with each of them at every position."""
    pairs = zip(texts[0], texts[-1], strict=False)
    shared = sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs)
    )  # sorted: a prefix of the first and the last is a prefix of all
    beginning = re.escape(texts[0][:shared])
    rests = [text[shared:] for text in texts]
    groups = [list(group) for letter, group in groupby(rests, key=lambda rest: rest[:1]) if letter]
    if not groups:
        return beginning
    longer = f"(?:{'|'.join(map(_one_of, groups))})"
    return f"{beginning}{longer}{'' if rests[0] else '?'}"


def _texts(message: Message) -> Iterable[str]:
    yield message.name or ""
    yield message.content or ""
    yield message.reasoning or ""
    for call in message.tool_calls:
        yield call.name
        yield call.arguments
