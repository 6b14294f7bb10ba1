"""`parlant-local chat`: a conversation in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from parlant_local.cli.options import (
    chat_format,
    complete_model,
    make_settings,
    model_options,
    read_text,
    sampling_options,
    sampling_values,
)
from parlant_local.paths import user_path

if TYPE_CHECKING:
    from parlant_local.cli.chat_input import Input
    from parlant_local.cli.chat_session import ChatSession
    from parlant_local.settings import Settings

__all__ = ["chat", "chat_input"]


@click.command()
@click.argument("model", metavar="[MODEL]", required=False, shell_complete=complete_model)
@click.option("--system", "-s", metavar="TEXT", help="A system message.")
@click.option("--system-file", metavar="FILE", help="A system message from a file.")
@click.option("--load", "saved", metavar="FILE", help="Continue a conversation saved with /save.")
@click.option("--input-prefix", default="", metavar="TEXT", help="Text to insert before everything you type.")
@click.option(
    "--reverse-prompt", "-r", multiple=True, metavar="TEXT", help="A text at which the model stops and it is your turn."
)
@click.option("--multiline", is_flag=True, help="Enter starts a new line; an empty line sends.")
@click.option("--plain", is_flag=True, help="Show answers as they are, not as Markdown (so does NO_COLOR).")
@click.option("--no-history", is_flag=True, help="Neither recall nor keep what is typed (chat.history: never).")
@click.option(
    "--stats/--no-stats", default=None, help="Show tokens per second after each answer (default: in a terminal)."
)
@sampling_options
@model_options
def chat(
    model: str | None,
    system: str | None,
    system_file: str | None,
    saved: str | None,
    input_prefix: str,
    reverse_prompt: tuple[str, ...],
    multiline: bool,
    plain: bool,
    no_history: bool,
    stats: bool | None,
    **arguments: Any,
) -> None:
    """Talk to a model; /help lists what you can type. Ctrl-C stops an answer, twice ends the session, and so does Ctrl-D.

    MODEL is a catalogue id, a reference or a GGUF path. Without it, you choose where there are several; else the best
    available one is taken.
    """
    from parlant_local.cli.chat_input import in_terminal
    from parlant_local.cli.chat_session import ChatSession, SessionOptions
    from parlant_local.cli.picker import picked_model

    options = sampling_values(arguments)
    if stops := [*options.get("stop", ()), *reverse_prompt]:
        options["stop"] = stops
    template = chat_format(arguments)
    settings = make_settings(arguments)
    if system_file is not None:
        system = read_text(system_file).strip()
    session_options = SessionOptions(
        options=options,
        input_prefix=input_prefix,
        show_stats=in_terminal() if stats is None else stats,
        markdown=settings.chat.markdown and not plain,
    )
    chosen = picked_model(model, settings)
    with ChatSession(settings, session_options, model=chosen, chat_format=template, system=system) as session:
        typed = chat_input(settings, session, multiline=multiline, history=not no_history)
        session.open()
        if saved is not None:
            session.load(user_path(saved))
        session.talk(typed)


def chat_input(settings: Settings, session: ChatSession, *, multiline: bool = False, history: bool = True) -> Input:
    """Messages from the terminal, or from a pipe."""
    from parlant_local.cli.chat_input import PipedInput, TerminalInput, in_terminal

    if not in_terminal():
        return PipedInput(multiline=multiline)
    from parlant_local.cli.chat_completion import CommandCompleter
    from parlant_local.cli.chat_lines import ChatHistory

    kept = settings.chat.history and history
    return TerminalInput(
        history=ChatHistory(settings.home / "chat_history", settings.chat.history_messages) if kept else None,
        completer=CommandCompleter(session.commands.values, session.commands.files),
        multiline=multiline,
    )
