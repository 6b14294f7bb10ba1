"""`parlant-local chat`: a conversation in the terminal."""

from __future__ import annotations

from typing import Any

import click

from parlant_local.cli.options import (
    chat_format,
    complete_model,
    make_settings,
    model_options,
    read_media,
    read_text,
    sampling_options,
    sampling_values,
)
from parlant_local.paths import user_path

__all__ = ["chat"]


@click.command()
@click.argument("model", metavar="[MODEL]", required=False, shell_complete=complete_model)
@click.option("--system", "-s", metavar="TEXT", help="A system message.")
@click.option("--system-file", metavar="FILE", help="A system message from a file.")
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="FILE",
    help="A picture or sound that goes with your first message (may be repeated).",
)
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
    images: tuple[str, ...],
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
    from parlant_local.cli.chat_loop import converse
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
        show_stats=in_terminal() if stats is None else stats,
        markdown=settings.chat.markdown and not plain,
    )
    chosen = picked_model(model, settings)
    media = list(map(read_media, images))
    with ChatSession(settings, session_options, model=chosen, chat_format=template, system=system) as session:
        session.conversation.attached = media
        converse(
            session,
            settings,
            saved=None if saved is None else user_path(saved),
            prefix=input_prefix,
            multiline=multiline,
            history=not no_history,
        )
