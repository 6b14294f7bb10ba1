"""Input of a chat: whole messages, from a terminal with editing and history, or line by line from a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import click

from parlant_local.cli.chat_lines import MessageLines, typed_message

if TYPE_CHECKING:
    from prompt_toolkit.completion import Completer
    from prompt_toolkit.history import History
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

__all__ = ["Input", "PipedInput", "TerminalInput", "in_terminal"]


def in_terminal() -> bool:
    """Whether a person types and reads here."""
    return sys.stdin.isatty() and sys.stdout.isatty()


class Input(Protocol):
    terminal: bool

    def messages(self) -> Iterator[str]:
        """Until the input ends."""
        ...

    def interrupted(self) -> None:
        """Ctrl-C has just stopped an answer: the next one, before anything is typed, ends the session."""
        ...


class PipedInput:
    """Messages from standard input, which is no terminal."""

    terminal = False

    def __init__(self, *, multiline: bool = False) -> None:
        self._lines = MessageLines(multiline=multiline)

    def messages(self) -> Iterator[str]:
        for line in sys.stdin:
            if (message := self._lines.add(line.rstrip("\n"))) is not None:
                yield message
        if (rest := self._lines.rest()) is not None:
            yield rest

    def interrupted(self) -> None:
        """A signal to a program that reads a pipe: it ends here as any other does."""
        raise KeyboardInterrupt


class TerminalInput:
    """Messages typed in a terminal: Enter sends, Alt-Enter starts a new line, Up recalls whole messages, Tab completes.

    Ctrl-C drops what was typed; a second one, or Ctrl-D, ends the session.
    """

    terminal = True

    def __init__(self, *, history: History | None, completer: Completer, multiline: bool = False) -> None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.history import InMemoryHistory
        from prompt_toolkit.output.plain_text import PlainTextOutput
        from prompt_toolkit.utils import is_dumb_terminal

        self._multiline = multiline
        self._had_text = False
        self._interrupts = 0
        self._session: PromptSession[str] = PromptSession(
            "> ",
            multiline=True,
            prompt_continuation="… ",
            history=history or InMemoryHistory(),
            completer=completer,
            complete_while_typing=False,
            key_bindings=self._keys(),
            enable_open_in_editor=True,
            enable_suspend=True,
            tempfile_suffix=".md",
            output=PlainTextOutput(sys.stdout) if is_dumb_terminal() else None,
        )

    def messages(self) -> Iterator[str]:
        while True:
            try:
                typed = self._session.prompt()
            except KeyboardInterrupt:
                if self._had_text:
                    self._interrupts = 0
                self._interrupts += 1
                if self._interrupts > 1:
                    return
                click.echo("(Ctrl-C again, Ctrl-D or /bye ends the session)")
                continue
            except EOFError:
                return
            self._interrupts = 0
            yield typed if (message := typed_message(typed, multiline=self._multiline)) is None else message

    def interrupted(self) -> None:
        self._interrupts = 1

    def _keys(self) -> KeyBindings:
        from prompt_toolkit.key_binding import KeyBindings

        keys = KeyBindings()

        @keys.add("enter")
        def _(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            if buffer.complete_state is not None and buffer.complete_state.current_completion is not None:
                buffer.complete_state = None  # Enter takes the completion; the next one sends
            elif typed_message(buffer.text, multiline=self._multiline) is None:
                if buffer.document.text_before_cursor.endswith("\\"):
                    buffer.delete_before_cursor()
                buffer.newline(copy_margin=False)
            else:
                buffer.validate_and_handle()

        @keys.add("escape", "enter")
        def _(event: KeyPressEvent) -> None:
            event.current_buffer.newline(copy_margin=False)

        @keys.add("c-c")
        def _(event: KeyPressEvent) -> None:
            self._had_text = bool(event.current_buffer.text)
            event.app.exit(exception=KeyboardInterrupt, style="class:aborting")

        return keys
