"""`parlant-local chat`: a conversation in the terminal."""

from __future__ import annotations

from typing import Any

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

__all__ = ["chat"]


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
    stats: bool | None,
    **arguments: Any,
) -> None:
    """Talk to a model; /help lists what you can type. Ctrl-C stops an answer, Ctrl-D ends the session.

    MODEL is a catalogue id, a reference or a GGUF path; by default the best available one.
    """
    from parlant_local.cli.chat_input import Input
    from parlant_local.cli.chat_session import ChatSession, SessionOptions

    options = sampling_values(arguments)
    options["stop"] = [*options.get("stop", ()), *reverse_prompt] or None
    template = chat_format(arguments)
    settings = make_settings(arguments)
    if system_file is not None:
        system = read_text(system_file).strip()
    typed = Input(settings.home / "chat_history", multiline=multiline)
    session_options = SessionOptions(
        options=options,
        input_prefix=input_prefix,
        show_stats=typed.terminal if stats is None else stats,
    )
    with ChatSession(settings, session_options, model=model, chat_format=template, system=system) as session:
        session.open(saved)
        session.talk(typed)
