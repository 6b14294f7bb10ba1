"""One conversation in the terminal: the model that answers, and what it has cost."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from parlant_local.cli.chat_conversation import Conversation
from parlant_local.cli.chat_input import in_terminal
from parlant_local.cli.chat_markdown import MarkdownOutput
from parlant_local.cli.chat_output import AnswerOutput, PlainOutput, WrappedOutput
from parlant_local.cli.echo import echoing
from parlant_local.cli.loading import loaded
from parlant_local.cli.options import open_backend
from parlant_local.cli.printing import counted, echo_dim, say
from parlant_local.errors import ContextOverflowError
from parlant_local.messages import Message, Timings, Usage
from parlant_local.shipped import is_shipped

if TYPE_CHECKING:
    from parlant_local.backends import Backend
    from parlant_local.settings import Settings

__all__ = ["ChatSession", "SessionOptions"]


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """Options of a session."""

    options: dict[str, Any] = field(default_factory=dict)
    """Sampling and other call options, for every answer."""
    show_stats: bool = False
    markdown: bool = False


@dataclass(slots=True)
class _Answer:
    """An answer so far."""

    content: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    usage: Usage | None = None
    timings: Timings | None = None
    finish_reason: str | None = None


class ChatSession:
    """Keeps the conversation whatever happens to an answer. Use as a context manager."""

    def __init__(
        self,
        settings: Settings,
        session_options: SessionOptions,
        *,
        model: str | None = None,
        chat_format: str | None = None,
        system: str | None = None,
    ) -> None:
        self.conversation = Conversation(system)
        self.options = dict(session_options.options)
        self._settings = settings
        self._session_options = session_options
        self._model = model
        self._chat_format = chat_format
        self._total = Usage()
        self._last = _Answer()
        self._runner = asyncio.Runner()
        self._backend: Backend | None = None

    def __enter__(self) -> ChatSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._backend is not None:
            self._runner.run(self._backend.close())
        self._runner.close()

    def open(self) -> None:
        """Loads the model."""
        self._backend = open_backend(self._model, self._settings, self._chat_format)
        self._runner.run(loaded(self._backend))
        info = self._backend.model_info()
        context = f", context of {info.n_ctx:,} tokens" if info.n_ctx else ""
        echo_dim(f"{info.id}{context}. /help lists commands.", err=True)
        self._warn_if_bundled()

    def _warn_if_bundled(self) -> None:
        from parlant_local.catalog.shipped import shipped_model

        shipped = shipped_model()
        if shipped is not None and self._backend is not None and is_shipped(self._backend.model_info().id):
            echo_dim(f"{shipped.reason} `parlant-local recommend` suggests real models.", err=True)

    def load(self, path: Path) -> None:
        """Goes on with a saved conversation."""
        self.conversation.load(path)
        say(f"{counted(len(self.conversation), 'message')} loaded from {path}.")

    def confirmed(self, question: str) -> bool:
        """The answer to a yes-or-no question; no where nobody is there to ask."""
        with echoing(True):
            return in_terminal() and click.confirm(question)

    # -- answers ------------------------------------------------------------------------------------------------------

    def ask(self, question: str, *, instead: bool = False) -> None:
        """Shows the answer while it comes, and keeps it. ``instead``: of the last question and its answer. Ctrl-C keeps what was
        said until then."""
        answer = self._last = _Answer()
        output = _output(markdown=self._session_options.markdown)
        with self.conversation.asking(question, instead=instead) as answers:
            try:
                # The runner turns Ctrl-C into the cancellation of this answer, and of nothing else.
                self._runner.run(self._stream(answer, output))
            except ContextOverflowError as error:
                error.hint += " /clear clears the conversation."
                raise
            finally:
                output.end()
                if said := "".join(answer.content):
                    answers.append(Message("assistant", said, reasoning="".join(answer.reasoning) or None))
        if answer.finish_reason == "length":
            echo_dim("(truncated by max_tokens or the context)")
        if self._session_options.show_stats and answer.usage is not None:
            echo_dim(self._speed(answer))

    async def _stream(self, answer: _Answer, output: AnswerOutput) -> None:
        assert self._backend is not None
        async for chunk in self._backend.chat_stream(self.conversation.messages, **self.options):
            if chunk.delta.reasoning:
                answer.reasoning.append(chunk.delta.reasoning)
                output.reasoning(chunk.delta.reasoning)
            if chunk.delta.content:
                answer.content.append(chunk.delta.content)
                output.content(chunk.delta.content)
            if chunk.finish_reason is not None:
                answer.finish_reason = chunk.finish_reason
                answer.usage, answer.timings = chunk.usage, chunk.timings
        if answer.usage is not None:
            self._total += answer.usage

    def stats(self) -> Iterator[str]:
        total = self._total
        yield (
            f"This session: {total.prompt_tokens} prompt tokens ({total.cached_tokens} of them cached), "
            f"{total.completion_tokens} answer tokens."
        )
        if self._last.usage is not None:
            yield f"Last answer: {self._speed(self._last)}"

    def _speed(self, answer: _Answer) -> str:
        assert answer.usage is not None
        usage, timings = answer.usage, answer.timings or Timings()
        thoughts = f", {usage.reasoning_tokens} of them reasoning" if usage.reasoning_tokens else ""
        told = [f"{counted(usage.completion_tokens, 'token')}{thoughts}"]
        if timings.decode:  # an endpoint doesn't tell
            told.append(f"{usage.completion_tokens / timings.decode:.1f} tokens/s")
        if timings.first_token:
            told.append(f"first token after {timings.first_token:.2f} s")
        context = self._backend.model_info().n_ctx if self._backend is not None else None
        of = f" of {context}" if context else ""
        return f"[{', '.join(told)}; context {usage.total_tokens}{of}]"

    # -- models -------------------------------------------------------------------------------------------------------

    def model_line(self) -> str:
        assert self._backend is not None
        info = self._backend.model_info()
        known = [info.architecture, info.quantization, f"context of {info.n_ctx} tokens" if info.n_ctx else None]
        return f"{info.id}: {', '.join(item for item in known if item) or 'nothing more is known about it'}"

    def switch(self, model: str) -> None:
        """Goes on with another model, which is loaded before the first is closed: a wrong name must not end the conversation."""
        other = open_backend(model, self._settings)
        try:
            self._runner.run(loaded(other))
        except BaseException:
            self._runner.run(other.close())
            raise
        previous, self._backend = self._backend, other
        if previous is not None:
            self._runner.run(previous.close())
        echo_dim(f"Switched to {other.model_info().id}.")
        self._warn_if_bundled()

    def models(self) -> list[str]:
        """Those that are here."""
        from parlant_local.catalog import LocalModelManager

        return [model.id for model in LocalModelManager(settings=self._settings).list_models()]


def _output(*, markdown: bool) -> AnswerOutput:
    """The output for standard output: Markdown only in a terminal with styles."""
    if not sys.stdout.isatty():
        return PlainOutput()
    from rich.console import Console

    console = Console(highlight=False)
    return (
        MarkdownOutput(console)
        if markdown and not console.no_color and not console.is_dumb_terminal
        else WrappedOutput()
    )
