"""One conversation in the terminal: its messages, its model, and the commands that change them."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from parlant_local.cli.chat_input import Input
from parlant_local.cli.options import open_backend
from parlant_local.cli.printing import echo_dim, say, show_text
from parlant_local.errors import BadRequestError, ContextOverflowError, ParlantLocalError, StateFileError
from parlant_local.messages import Message, Timings, Usage, as_messages
from parlant_local.observability import redact
from parlant_local.paths import user_path
from parlant_local.storage import read_json, write_whole

if TYPE_CHECKING:
    from parlant_local.backends import Backend
    from parlant_local.settings import Settings

__all__ = ["ChatSession", "SessionOptions"]

_MAX_CONVERSATION = 64 << 20  # bytes of a file that /load takes


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """Options of a session."""

    options: Mapping[str, Any] = field(default_factory=dict)
    """Sampling and other call options, for every answer."""
    input_prefix: str = ""
    show_stats: bool = False


@dataclass(slots=True)
class _Answer:
    """An answer so far."""

    content: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    usage: Usage | None = None
    timings: Timings | None = None
    seconds: float = 0.0
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
        self._settings = settings
        self._session_options = session_options
        self._model = model
        self._chat_format = chat_format
        self._system = system
        self._turns: list[Message] = []
        self._total = Usage()
        self._last = _Answer()
        self._runner = asyncio.Runner()
        self._backend: Backend | None = None
        self._commands: dict[str, tuple[str, Callable[[str], None]]] = {
            "/help": ("list the commands", self._help),
            "/system": ("TEXT  set the system message; without TEXT, show it", self._set_system),
            "/model": ("MODEL  switch to another model; without MODEL, show the current one", self._set_model),
            "/clear": ("clear the conversation, keep the system message", self._clear),
            "/save": ("FILE  save the conversation as JSON", self._save),
            "/load": ("FILE  continue a saved conversation", self._load),
            "/stats": ("tokens and speed", self._stats),
            "/quit": ("end the session (so does Ctrl-D)", self._quit),
        }

    def __enter__(self) -> ChatSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._backend is not None:
            self._runner.run(self._backend.close())
        self._runner.close()

    def open(self, saved: str | None = None) -> None:
        """Loads the model, and the saved conversation."""
        self._backend = open_backend(self._model, self._settings, self._chat_format)
        self._runner.run(self._backend.load())
        info = self._backend.model_info()
        context = f", context of {info.n_ctx} tokens" if info.n_ctx else ""
        echo_dim(f"{info.id}{context}. /help lists commands.", err=True)
        self._warn_if_bundled()
        if saved is not None:
            self._load(saved)

    def _warn_if_bundled(self) -> None:
        from parlant_local.catalog.shipped import shipped_model

        shipped = shipped_model()
        if shipped is not None and self._backend is not None and self._backend.model_info().id == shipped.id:
            echo_dim(f"{shipped.reason} `parlant-local recommend` suggests real models.", err=True)

    def talk(self, typed: Input) -> None:
        """Until the input ends, or /quit."""
        try:
            for text in typed.messages():
                if not text.strip():
                    continue
                try:
                    if text.startswith("/"):
                        self._command(text)
                    else:
                        self._turn(text)
                except ParlantLocalError as error:
                    say(f"error: {redact(str(error))}", err=True)
                except KeyboardInterrupt:  # between two steps, where no answer is in progress
                    self._drop_unanswered()
                    echo_dim("\n(stopped)")
        except _Quit:
            pass
        finally:
            typed.close()

    # -- answers ------------------------------------------------------------------------------------------------------

    def _turn(self, text: str) -> None:
        self._turns.append(Message.user(self._session_options.input_prefix + text))
        answer = self._last = _Answer()
        began = time.monotonic()
        interrupted = False
        try:
            # The runner turns Ctrl-C into the cancellation of this answer, and of nothing else.
            self._runner.run(self._stream(answer))
        except KeyboardInterrupt:
            interrupted = True
        except ParlantLocalError as error:
            if not answer.content:
                self._drop_unanswered()
            if isinstance(error, ContextOverflowError):
                error.hint += " /clear clears the conversation."
            raise
        finally:
            answer.seconds = time.monotonic() - began
            if answer.content or answer.reasoning:
                click.echo()
            if answered := "".join(answer.content):
                self._turns.append(Message("assistant", answered, reasoning="".join(answer.reasoning) or None))
            elif interrupted:
                self._drop_unanswered()
        if interrupted:
            echo_dim("(stopped)")
        elif answer.finish_reason == "length":
            echo_dim("(truncated by max_tokens or the context)")
        if self._session_options.show_stats and answer.usage is not None:
            echo_dim(self._speed(answer))

    def _drop_unanswered(self) -> None:
        if self._turns and self._turns[-1].role == "user":
            self._turns.pop()

    async def _stream(self, answer: _Answer) -> None:
        assert self._backend is not None
        async for chunk in self._backend.chat_stream(self._messages, **self._session_options.options):
            if chunk.delta.reasoning:
                answer.reasoning.append(chunk.delta.reasoning)
                echo_dim(chunk.delta.reasoning, nl=False)
            if chunk.delta.content:
                if answer.reasoning and not answer.content:
                    click.echo("\n")
                answer.content.append(chunk.delta.content)
                show_text(chunk.delta.content, nl=False)
            sys.stdout.flush()
            if chunk.finish_reason is not None:
                answer.finish_reason = chunk.finish_reason
                answer.usage, answer.timings = chunk.usage, chunk.timings
        if answer.usage is not None:
            self._total += answer.usage

    @property
    def _messages(self) -> list[Message]:
        return [Message.system(self._system), *self._turns] if self._system else list(self._turns)

    def _speed(self, answer: _Answer) -> str:
        assert answer.usage is not None
        usage, timings = answer.usage, answer.timings or Timings()
        rate = usage.completion_tokens / timings.decode if timings.decode else 0.0
        thoughts = f", {usage.reasoning_tokens} of them reasoning" if usage.reasoning_tokens else ""
        context = self._backend.model_info().n_ctx if self._backend is not None else None
        return (
            f"[{usage.completion_tokens} tokens{thoughts}, {rate:.1f} tokens/s, first token after {timings.first_token:.2f} s; "
            f"context {usage.total_tokens} of {context}]"
        )

    # -- commands -----------------------------------------------------------------------------------------------------

    def _command(self, text: str) -> None:
        name, _, rest = text.strip().partition(" ")
        if name not in self._commands:
            raise BadRequestError(f"Unknown command {name}.", hint="/help lists the commands.")
        self._commands[name][1](rest.strip())

    def _help(self, _rest: str) -> None:
        for name, (what, _) in self._commands.items():
            click.echo(f"{name:<8} {what}")
        click.echo('A line that ends with \\ continues on the next one; so does everything between two lines of """.')
        click.echo("Ctrl-C stops an answer but keeps the session.")

    def _set_system(self, rest: str) -> None:
        if rest:
            self._system = rest
            echo_dim("System message set.")
        else:
            show_text(self._system or "(none)")

    def _set_model(self, rest: str) -> None:
        assert self._backend is not None
        if not rest:
            info = self._backend.model_info()
            known = [info.architecture, info.quantization, f"context of {info.n_ctx} tokens" if info.n_ctx else None]
            say(f"{info.id}: {', '.join(item for item in known if item) or 'nothing more is known about it'}")
            return
        # Loaded before the other is closed: a wrong name must not end the conversation.
        other = open_backend(rest, self._settings)
        try:
            self._runner.run(other.load())
        except BaseException:
            self._runner.run(other.close())
            raise
        previous, self._backend = self._backend, other
        self._runner.run(previous.close())
        echo_dim(f"Switched to {other.model_info().id}.")
        self._warn_if_bundled()

    def _clear(self, _rest: str) -> None:
        self._turns.clear()
        echo_dim("Conversation cleared.")

    def _save(self, rest: str) -> None:
        path = _file(rest, "/save")
        data = json.dumps([message.to_openai() for message in self._messages], ensure_ascii=False, indent=2)
        try:
            write_whole(path, data + "\n")
        except StateFileError as error:
            raise BadRequestError(str(error)) from None
        echo_dim(f"{len(self._turns)} messages saved to {path}.")

    def _load(self, rest: str) -> None:
        path = _file(rest, "/load")
        try:
            messages = as_messages(read_json(path, _MAX_CONVERSATION))
        except FileNotFoundError:
            raise BadRequestError(f"{path} does not exist.") from None
        except StateFileError as error:
            raise BadRequestError(f"{path} is not a saved conversation: {error.reason}.") from None
        except (ValueError, TypeError) as error:
            raise BadRequestError(f"{path} is not a saved conversation: {error}.") from None
        turns = list(messages)
        if turns and turns[0].role == "system":
            self._system = turns.pop(0).content
        self._turns = turns
        echo_dim(f"{len(turns)} messages loaded from {path}.")

    def _stats(self, _rest: str) -> None:
        total = self._total
        click.echo(
            f"This session: {total.prompt_tokens} prompt tokens ({total.cached_tokens} of them cached), "
            f"{total.completion_tokens} answer tokens."
        )
        if self._last.usage is not None:
            click.echo(f"Last answer: {self._speed(self._last)}")

    def _quit(self, _rest: str) -> None:
        raise _Quit


class _Quit(Exception):
    pass


def _file(text: str, command: str) -> Path:
    if not text:
        raise BadRequestError(f"{command} needs a file name.")
    return user_path(text)
