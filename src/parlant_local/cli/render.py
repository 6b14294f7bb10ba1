"""`parlant-local render` and `parlant-local tokenize`: the exact input of a model. Neither loads its weights."""

from __future__ import annotations

from typing import Any

import click

from parlant_local.cli.options import (
    chat_format,
    make_settings,
    model_argument,
    model_options,
    read_json,
    read_text,
    run,
)
from parlant_local.cli.printing import counted, emit_json, say, show_text
from parlant_local.errors import BadRequestError

__all__ = ["render", "tokenize"]


@click.command()
@model_argument
@click.option("--messages", required=True, metavar="FILE", help="A JSON list of messages, or an object with one.")
@click.option("--tools", metavar="FILE", help="A JSON list of tools.")
@click.option("--no-generation-prompt", is_flag=True, help="Omit the start of the assistant's turn.")
@click.option("--json", "as_json", is_flag=True, help='Print {"prompt": …, "tokens": […]}.')
@model_options
def render(
    model: str, messages: str, tools: str | None, no_generation_prompt: bool, as_json: bool, **arguments: Any
) -> None:
    """Show the exact prompt and tokens of the conversation in a file.

    MODEL is a catalogue id, a reference or a GGUF path.
    """
    from parlant_local.backends.llama_cpp.vocabulary import open_vocabulary
    from parlant_local.messages import as_messages, as_tools

    conversation = read_json(messages)
    listed = read_json(tools) if tools is not None else None
    if isinstance(conversation, dict) and "messages" in conversation:
        listed = listed if listed is not None else conversation.get("tools")
        conversation = conversation["messages"]
    if not isinstance(conversation, list | dict) or not isinstance(listed, list | None):
        raise BadRequestError("Messages must be a JSON list of messages, tools a JSON list of tools.")
    parsed, known = as_messages(conversation), as_tools(listed)
    template = chat_format(arguments)
    vocabulary, encoder = open_vocabulary(model, make_settings(arguments), template)
    try:

        async def work() -> Any:
            text = await encoder.chat(
                parsed,
                known,
                add_generation_prompt=not no_generation_prompt,
            )
            return await encoder.encode(text)

        rendered = run(work())
    finally:
        vocabulary.release()
    for warning in encoder.template.warnings:
        say(f"warning: {warning}", err=True)
    if as_json:
        emit_json({"prompt": rendered.prompt, "tokens": list(rendered.tokens)})
    else:
        show_text(rendered.prompt)
        click.echo(f"\n{counted(len(rendered.tokens), 'token')}: {' '.join(map(str, rendered.tokens))}")


@click.command()
@model_argument
@click.argument("text", required=False)
@click.option("--file", "-f", metavar="FILE", help="Read the text from a file; - is standard input.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@model_options
def tokenize(model: str, text: str | None, file: str | None, as_json: bool, **arguments: Any) -> None:
    """Show the token ids of a text as typed: no BOS added, special tokens as text.

    MODEL is a catalogue id, a reference or a GGUF path.
    """
    from parlant_local.backends.llama_cpp.vocabulary import open_vocabulary

    if (text is None) == (file is None):
        raise BadRequestError("Give either a text or --file.")
    typed = text if text is not None else read_text(str(file))
    chat_format(arguments)
    vocabulary, _ = open_vocabulary(model, make_settings(arguments))
    try:
        tokens = vocabulary.tokenize(typed)
    finally:
        vocabulary.release()
    if as_json:
        emit_json(tokens)
    else:
        click.echo(" ".join(map(str, tokens)))
