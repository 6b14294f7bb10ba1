"""Streamed messages: a few words or characters at a time, then ``None``, as the host expects."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from parlant.core.engines.alpha.prompt_builder import PromptBuilder
from parlant.core.nlp.generation import BaseStreamingTextGenerator
from parlant.core.nlp.generation_info import UsageInfo
from typing_extensions import override

from parlant_local.backends.base import ChatOptions
from parlant_local.messages import ChatChunk, Message, Timings, Usage
from parlant_local.nlp.calls import Core, as_text, usage_info
from parlant_local.nlp.counted import counted
from parlant_local.nlp.levers import levers_for
from parlant_local.nlp.pieces import Pieces
from parlant_local.nlp.tokenizer import BackendTokenizer
from parlant_local.switching.asking import ask_stream
from parlant_local.switching.ladder import Leeway
from parlant_local.switching.question import Question

__all__ = ["LocalStreamingTextGenerator"]

_PURPOSE = "streaming"
_SECONDS_PER_PIECE = 0.4


class LocalStreamingTextGenerator(BaseStreamingTextGenerator):
    def __init__(self, core: Core) -> None:
        super().__init__(**core.host.arguments_for(BaseStreamingTextGenerator, model_name=core.model_id))
        self._core = core
        self._tokenizer = BackendTokenizer(core.backend)

    @property
    @override
    def id(self) -> str:
        return self._core.model_id

    @property
    @override
    def tokenizer(self) -> BackendTokenizer:
        return self._tokenizer

    @override
    async def do_generate(
        self, prompt: str | PromptBuilder, hints: Mapping[str, Any] = {}
    ) -> tuple[AsyncIterator[str | None], Callable[[], UsageInfo]]:
        levers = levers_for(_PURPOSE, self._core.settings.generation.calls, self._core.model_id)
        text = levers.text(prompt, as_text(levers.prompt(prompt)))
        options = self._core.options(_PURPOSE, prompt, hints, levers.options)
        tally = _Tally()

        async def chunks() -> AsyncIterator[str | None]:
            recorded = self._core.recorder.record(_PURPOSE, options.get("session"), self._core.model_id)
            with (
                counted(self._core, _PURPOSE, self.logger, "failed to stream a complete message"),
                recorded as call,
            ):
                try:
                    async for piece in _in_pieces(self._texts(text, options, tally)):
                        call.begun()
                        yield piece
                finally:
                    call.take(tally.usage, tally.timings)
            self._core.counters.add_answer(_PURPOSE, tally.usage, tally.timings)
            await self._core.record(_PURPOSE, tally.usage)
            yield None

        return chunks(), lambda: usage_info(tally.usage)

    async def _texts(self, text: str, options: ChatOptions, tally: _Tally) -> AsyncGenerator[str, None]:
        """Text as it arrives, without leading whitespace. Until the first text, the call may be retried."""
        question: Question[None] = Question(
            messages=lambda _change: (Message.user(text),),
            options=lambda change: change.fitted(options),
            judge=lambda _reply: None,
            leeway=Leeway(options.get("max_tokens")),
            counts=lambda chunk: bool(chunk.delta.content.strip()),
            failed=lambda *_: self._core.counters.add(_PURPOSE, retried=1),
        )
        async with aclosing(ask_stream(self._core.backend, question, self._core.settings.switcher)) as chunks:
            async for chunk in chunks:
                tally.take(chunk)
                if piece := chunk.delta.content if tally.delivered else chunk.delta.content.lstrip():
                    tally.delivered = True
                    yield piece
                if chunk.finish_reason == "length":
                    self.logger.warning(
                        f"A streamed message of {self._core.model_id} was truncated at {options['max_tokens']} tokens. "
                        "Raise generation.max_tokens."
                    )


class _Tally:
    """The usage of one streamed message."""

    def __init__(self) -> None:
        self.usage = Usage()
        self.timings = Timings()
        self.delivered = False

    def take(self, chunk: ChatChunk) -> None:
        if chunk.usage is not None:
            self.usage += chunk.usage
        if chunk.timings is not None:
            self.timings = chunk.timings


async def _in_pieces(texts: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    """A few words at a time, as they come."""
    pieces = Pieces()
    last = time.monotonic()
    async with aclosing(texts) as stream:
        async for text in stream:
            if piece := pieces.feed(text, hurry=time.monotonic() - last >= _SECONDS_PER_PIECE):
                yield piece
                last = time.monotonic()
    if rest := pieces.finish():
        yield rest
