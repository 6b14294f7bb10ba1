"""`parlant-local parse`: parses a model's output, the inverse of `render`. It doesn't load the model's weights."""

from __future__ import annotations

import json
from typing import Any

import click

from parlant_local.cli.options import (
    chat_format,
    make_settings,
    model_argument,
    model_options,
    read_json,
    read_text,
)
from parlant_local.cli.printing import emit_json, say, show_text
from parlant_local.errors import BadRequestError

__all__ = ["parse"]


@click.command()
@model_argument
@click.option("--file", "-f", required=True, metavar="FILE", help="The model's output; - is standard input.")
@click.option("--tools", metavar="FILE", help="A JSON list of the tools that it was given.")
@click.option(
    "--stream", type=click.IntRange(1), metavar="N", help="Feed N characters at a time; the result is the same."
)
@click.option("--json", "as_json", is_flag=True, help='Print {"content": …, "reasoning": …, "tool_calls": […]}.')
@model_options
def parse(model: str, file: str, tools: str | None, stream: int | None, as_json: bool, **arguments: Any) -> None:
    """Parse a text as MODEL's answer: reasoning, content and tool calls.

    MODEL is a catalogue id, a reference or a GGUF path. Without --tools, calls of any name are parsed.
    """
    from parlant_local.backends.llama_cpp.parsing import parse_text
    from parlant_local.backends.llama_cpp.vocabulary import open_vocabulary
    from parlant_local.messages import as_tools

    text = read_text(file)
    listed = read_json(tools) if tools is not None else None
    if isinstance(listed, dict) and "tools" in listed:
        listed = listed["tools"]
    if not isinstance(listed, list | None):
        raise BadRequestError("Tools must be a JSON list of tools.")
    known = None if listed is None else as_tools(listed)
    template = chat_format(arguments)
    vocabulary, encoder = open_vocabulary(model, make_settings(arguments), template)
    vocabulary.release()
    parsed = parse_text(encoder.template, text, known, step=stream)
    for warning in (*encoder.template.warnings, *parsed.warnings):
        say(f"warning: {warning}", err=True)
    if as_json:
        emit_json(parsed.to_json())
        return
    if parsed.reasoning:
        show_text(f"reasoning: {parsed.reasoning}")
    for call in parsed.tool_calls:
        show_text(f"call: {call.name} {json.dumps(json.loads(call.arguments), ensure_ascii=False)}")
    if parsed.content:
        show_text(parsed.content)
