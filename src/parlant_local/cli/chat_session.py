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
from parlant_local.cli.printing import say, show_text, whisper
from parlant_local.errors import BadRequestError, ContextOverflowError, ParlantLocalError, StateFileError
from parlant_local.messages import Message, Timings, Usage, as_messages
from parlant_local.observability import redact
from parlant_local.paths import user_path
from parlant_local.storage import read_json, write_whole

if TYPE_CHECKING:
    from parlant_local.backends import Backend
    from parlant_local.settings import Settings

__all__ = ["ChatSession", "Manner"]

_MAX_CONVERSATION = 64 << 20  # bytes of a file that /load takes


@dataclass(frozen=True, slots=True)
class Manner:
    """How the session behaves."""

    options: Mapping[str, Any] = field(default_factory=dict)
    """Sampling and the like, for every answer."""
    input_prefix: str = ""
    show_stats: bool = False


@dataclass(slots=True)
class _Answer:
    """What has come of an answer so far."""

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
        manner: Manner,
        *,
        model: str | None = None,
        chat_format: str | None = None,
        system: str | None = None,
    ) -> None:
        self._settings = settings
        self._manner = manner
        self._model = model
        self._chat_format = chat_format
        self._system = system
        self._turns: list[Message] = []
        self._total = Usage()
        self._last = _Answer()
        self._runner = asyncio.Runner()
        self._backend: Backend | None = None
        self._commands: dict[str, tuple[str, Callable[[str], None]]] = {
            "/help": ("what you can type", self._help),
            "/system": ("TEXT  set the system message; without TEXT, show it", self._set_system),
            "/model": ("MODEL  go on with another model; without MODEL, show this one", self._set_model),
            "/clear": ("forget the conversation, keep the system message", self._clear),
            "/save": ("FILE  write the conversation as JSON", self._save),
            "/load": ("FILE  go on with a conversation that was saved", self._load),
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
        """Loads the model, and the conversation to go on with."""
        self._backend = open_backend(self._model, self._settings, self._chat_format)
        self._runner.run(self._backend.load())
        info = self._backend.model_info()
        context = f", context of {info.n_ctx} tokens" if info.n_ctx else ""
        whisper(f"{info.id}{context}. /help lists commands.", err=True)
        self._tell_proof_of_life()
        if saved is not None:
            self._load(saved)

    def _tell_proof_of_life(self) -> None:
        from parlant_local.catalog.shipped import shipped_model

        shipped = shipped_model()
        if shipped is not None and self._backend is not None and self._backend.model_info().id == shipped.id:
            whisper(f"{shipped.reason} `parlant-local recommend` names real ones.", err=True)

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
                except KeyboardInterrupt:  # between two steps, where nothing was under way to be stopped
                    self._drop_unanswered()
                    whisper("\n(stopped)")
        except _Quit:
            pass
        finally:
            typed.close()

    # -- answers ------------------------------------------------------------------------------------------------------

    def _turn(self, text: str) -> None:
        self._turns.append(Message.user(self._manner.input_prefix + text))
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
                error.hint += " /clear forgets the conversation."
            raise
        finally:
            answer.seconds = time.monotonic() - began
            if answer.content or answer.reasoning:
                click.echo()
            if said := "".join(answer.content):
                self._turns.append(Message("assistant", said, reasoning="".join(answer.reasoning) or None))
            elif interrupted:
                self._drop_unanswered()
        if interrupted:
            whisper("(stopped)")
        elif answer.finish_reason == "length":
            whisper("(cut by max_tokens or the context)")
        if self._manner.show_stats and answer.usage is not None:
            whisper(self._speed(answer))

    def _drop_unanswered(self) -> None:
        if self._turns and self._turns[-1].role == "user":
            self._turns.pop()

    async def _stream(self, answer: _Answer) -> None:
        assert self._backend is not None
        async for chunk in self._backend.chat_stream(self._messages, **self._manner.options):
            if chunk.delta.reasoning:
                answer.reasoning.append(chunk.delta.reasoning)
                whisper(chunk.delta.reasoning, nl=False)
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
        thoughts = f", {usage.reasoning_tokens} of them thoughts" if usage.reasoning_tokens else ""
        context = self._backend.model_info().n_ctx if self._backend is not None else None
        return (
            f"[{usage.completion_tokens} tokens{thoughts}, {rate:.1f} tokens/s, first after {timings.first_token:.2f} s; "
            f"context {usage.total_tokens} of {context}]"
        )

    # -- commands -----------------------------------------------------------------------------------------------------

    def _command(self, text: str) -> None:
        name, _, rest = text.strip().partition(" ")
        if name not in self._commands:
            raise BadRequestError(f"There is no command {name}.", hint="/help lists them.")
        self._commands[name][1](rest.strip())

    def _help(self, _rest: str) -> None:
        for name, (what, _) in self._commands.items():
            click.echo(f"{name:<8} {what}")
        click.echo('A line that ends with \\ goes on in the next one; so does all between two lines of """.')
        click.echo("Ctrl-C stops an answer and keeps the session.")

    def _set_system(self, rest: str) -> None:
        if rest:
            self._system = rest
            whisper("System message set.")
        else:
            show_text(self._system or "(none)")

    def _set_model(self, rest: str) -> None:
        assert self._backend is not None
        if not rest:
            info = self._backend.model_info()
            known = [info.architecture, info.quantization, f"context of {info.n_ctx} tokens" if info.n_ctx else None]
            say(f"{info.id}: {', '.join(item for item in known if item) or 'nothing else is known of it'}")
            return
        # Loaded before the other is closed: a name that is wrong must not end the conversation.
        other = open_backend(rest, self._settings)
        try:
            self._runner.run(other.load())
        except BaseException:
            self._runner.run(other.close())
            raise
        previous, self._backend = self._backend, other
        self._runner.run(previous.close())
        whisper(f"Now with {other.model_info().id}.")
        self._tell_proof_of_life()

    def _clear(self, _rest: str) -> None:
        self._turns.clear()
        whisper("Conversation forgotten.")

    def _save(self, rest: str) -> None:
        path = _file(rest, "/save")
        data = json.dumps([message.to_openai() for message in self._messages], ensure_ascii=False, indent=2)
        try:
            write_whole(path, data + "\n")
        except StateFileError as error:
            raise BadRequestError(str(error)) from None
        whisper(f"{len(self._turns)} messages saved to {path}.")

    def _load(self, rest: str) -> None:
        path = _file(rest, "/load")
        try:
            messages = as_messages(read_json(path, _MAX_CONVERSATION))
        except FileNotFoundError:
            raise BadRequestError(f"There is no file {path}.") from None
        except StateFileError as error:
            raise BadRequestError(f"{path} holds no conversation: {error.reason}.") from None
        except (ValueError, TypeError) as error:
            raise BadRequestError(f"{path} holds no conversation: {error}.") from None
        turns = list(messages)
        if turns and turns[0].role == "system":
            self._system = turns.pop(0).content
        self._turns = turns
        whisper(f"{len(turns)} messages loaded from {path}.")

    def _stats(self, _rest: str) -> None:
        total = self._total
        click.echo(
            f"This session: {total.prompt_tokens} prompt tokens ({total.cached_tokens} of them not computed again), "
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
