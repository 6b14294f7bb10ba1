"""From a conversation to the tokens that the model reads."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from parlant_local.backends.in_process import RenderedPrompt
from parlant_local.engine.templates import ChatTemplate, Speech
from parlant_local.engine.templates.control import CONTINUE_MARK, ControlTexts, split_at_media
from parlant_local.errors import TemplateError
from parlant_local.messages import Message, Tool

# One complete tag at the beginning of a text.
WHOLE_MARK = re.compile(r"<[^<>\s]+>")

__all__ = ["PromptEncoder", "RenderedPrompt", "Vocabulary"]


class Vocabulary(Protocol):
    """What encoding needs of a loaded model."""

    @property
    def n_vocab(self) -> int: ...
    @property
    def bos(self) -> int: ...
    @property
    def add_bos(self) -> bool: ...
    @property
    def bos_text(self) -> str: ...
    @property
    def end_tokens(self) -> frozenset[int]: ...
    def is_control(self, token: int) -> bool: ...
    def piece(self, token: int, *, special: bool = False) -> bytes: ...
    def tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = False) -> list[int]: ...


class PromptEncoder:
    """Renders and tokenises for one model. Its methods take milliseconds and run off the event loop."""

    def __init__(self, template: ChatTemplate, vocabulary: Vocabulary) -> None:
        self.template = template
        self._vocabulary = vocabulary
        self._control: ControlTexts | None = None

    def encodes_for(self, vocabulary: Vocabulary) -> bool:
        return self._vocabulary is vocabulary

    async def chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        *,
        add_generation_prompt: bool = True,
        arguments: Mapping[str, Any] | None = None,
        continued: bool = False,
    ) -> str:
        """The rendered conversation, control tokens that a user typed wrapped in marks (see :meth:`encode`).

        ``continued``: it ends with the text of the last message, which the model continues.
        """

        def work() -> str:
            marked = self._marked(messages)
            if not continued:
                return self.template.render(
                    marked, tools, add_generation_prompt=add_generation_prompt, arguments=arguments
                )
            last = replace(marked[-1], content=f"{marked[-1].content or ''}{CONTINUE_MARK}")
            prompt = self.template.render([*marked[:-1], last], tools, add_generation_prompt=False, arguments=arguments)
            before, found, _ = prompt.partition(CONTINUE_MARK)
            if not found:
                raise TemplateError(
                    "The chat template does not show the last message, so it can't be continued.",
                    hint="End the conversation with a user's message, or set continue_final to false.",
                )
            return before

        return await asyncio.to_thread(work)

    async def speech(self, tools: Sequence[Tool] = ()) -> Speech:
        """How answers to such a conversation are to be read; the first call takes some 60 ms."""
        return await asyncio.to_thread(self.template.speech, tools)

    def stops(self, speech: Speech) -> tuple[str, ...]:
        """Marks that end an answer though the vocabulary has no such end: of a template that is not the model's own, or
        that writes an end which its makers forgot to declare."""
        first = WHOLE_MARK.match(speech.turn_end)
        marks = (*self.template.ends, *((first[0],) if first else ()))
        return tuple(mark for mark in dict.fromkeys(marks) if not self._ends(mark))

    def _ends(self, mark: str) -> bool:
        tokens = self._vocabulary.tokenize(mark, parse_special=True)
        return len(tokens) == 1 and tokens[0] in self._vocabulary.end_tokens

    async def encode(self, prompt: str) -> RenderedPrompt:
        """Tokens of a rendered prompt, without its pictures and sounds; control tokens count as such, except between marks. BOS is
        never doubled."""
        text = "".join(piece for piece in split_at_media(prompt) if isinstance(piece, str))
        return await asyncio.to_thread(self._encode, text)

    async def encode_parts(self, prompt: str) -> list[tuple[int, ...] | int]:
        """As :meth:`encode`, in pieces: tokens, and the numbers of pictures and sounds."""

        def work() -> list[tuple[int, ...] | int]:
            pieces = split_at_media(prompt)
            return [
                piece if isinstance(piece, int) else self._encode(piece, first=index == 0).tokens
                for index, piece in enumerate(pieces)
            ]

        return await asyncio.to_thread(work)

    def _marked(self, messages: Sequence[Message]) -> Sequence[Message]:
        if not ControlTexts.suspected(messages):
            return messages
        if self._control is None:
            vocabulary = self._vocabulary
            self._control = ControlTexts(
                vocabulary.piece(token, special=True).decode("utf-8", "replace")
                for token in range(vocabulary.n_vocab)
                if vocabulary.is_control(token)
            )
        return self._control.mark(messages)

    def _encode(self, prompt: str, *, first: bool = True) -> RenderedPrompt:
        vocabulary = self._vocabulary
        pieces = list(ControlTexts.pieces(prompt))
        text = "".join(piece for piece, _ in pieces)
        tokens: list[int] = []
        if first and vocabulary.add_bos and vocabulary.bos >= 0:
            tokens.append(vocabulary.bos)
            # The template wrote it too (some do twice): keep one.
            while pieces and vocabulary.bos_text and not pieces[0][1] and pieces[0][0].startswith(vocabulary.bos_text):
                pieces[0] = (pieces[0][0].removeprefix(vocabulary.bos_text), False)
        for index, (piece, literal) in enumerate(pieces):
            tokens += self._piece(piece, literal=literal, first=first and index == 0)
        return RenderedPrompt(text, tuple(tokens))

    def _piece(self, text: str, *, literal: bool, first: bool) -> list[int]:
        if not text:
            return []
        if first:
            return self._vocabulary.tokenize(text, parse_special=not literal)
        # After a line break, so that vocabularies which put a space before a text's first word don't do so here.
        line = self._vocabulary.tokenize("\n")
        tokens = self._vocabulary.tokenize("\n" + text, parse_special=not literal)
        if tokens[: len(line)] == line:
            return tokens[len(line) :]
        return self._vocabulary.tokenize(text, parse_special=not literal)
