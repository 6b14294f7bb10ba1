"""A conversation from its first line to its last."""

from __future__ import annotations

from pathlib import Path

from parlant_local.cli.chat_commands import ChatCommands, Quit
from parlant_local.cli.chat_completion import CommandCompleter
from parlant_local.cli.chat_input import Input, PipedInput, TerminalInput, in_terminal
from parlant_local.cli.chat_lines import ChatHistory
from parlant_local.cli.chat_session import ChatSession
from parlant_local.cli.echo import echoing
from parlant_local.cli.printing import echo_dim, say
from parlant_local.errors import ParlantLocalError
from parlant_local.observability import redact
from parlant_local.settings import Settings

__all__ = ["converse"]


def converse(
    session: ChatSession,
    settings: Settings,
    *,
    saved: Path | None = None,
    prefix: str = "",
    multiline: bool = False,
    history: bool = True,
) -> None:
    """Loads the model and goes on until the input ends, or a command ends it. ``saved``: a conversation to continue.
    ``prefix``: inserted before every question."""
    commands = ChatCommands(session)
    typed = _input(commands, settings, multiline=multiline, history=history)
    with echoing(False):
        session.open()
        if saved is not None:
            session.load(saved)
        _talk(session, commands, typed, prefix)


def _talk(session: ChatSession, commands: ChatCommands, typed: Input, prefix: str) -> None:
    for text in typed.messages():
        if not text.strip():
            continue
        try:
            if text.startswith("/"):
                commands.run(text)
            else:
                session.ask(prefix + text)
        except Quit:
            return
        except ParlantLocalError as error:
            say(f"error: {redact(str(error))}", err=True)
        except KeyboardInterrupt:
            echo_dim("(stopped)")
            typed.interrupted()


def _input(commands: ChatCommands, settings: Settings, *, multiline: bool, history: bool) -> Input:
    if not in_terminal():
        return PipedInput(multiline=multiline)
    kept = settings.chat.history and history
    return TerminalInput(
        history=ChatHistory(settings.home / "chat_history", settings.chat.history_messages) if kept else None,
        completer=CommandCompleter(commands.values, commands.files),
        multiline=multiline,
    )
