"""`parlant-local generate`: answers one prompt."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Any

import click

from parlant_local.call_options import OPTIONS
from parlant_local.cli.loading import loaded
from parlant_local.cli.options import (
    make_backend,
    model_argument,
    model_options,
    read_json,
    read_media,
    read_text,
    run,
    sampling_options,
    sampling_values,
)
from parlant_local.cli.printing import echo_dim, emit_json, show_text
from parlant_local.errors import BadRequestError
from parlant_local.messages import MediaPart, Message

if TYPE_CHECKING:
    from parlant_local.backends import Backend
    from parlant_local.messages import ChatReply

__all__ = ["generate", "stream_answer"]

_N = OPTIONS["n"]


@click.command()
@model_argument
@click.argument("prompt", required=False)
@click.option("--file", "-f", metavar="FILE", help="Read the prompt from a file; - is standard input.")
@click.option("--system", "-s", metavar="TEXT", help="A system message.")
@click.option(
    "--image", "images", multiple=True, metavar="FILE", help="A picture or sound before the prompt (may be repeated)."
)
@click.option("--raw", is_flag=True, help="Continue the prompt as it is, without a chat template.")
@click.option("--schema", metavar="FILE", help="Constrain the answer to this JSON schema.")
@click.option("--json-object", is_flag=True, help="Constrain the answer to any JSON object.")
@click.option("--grammar", metavar="FILE", help="Constrain the answer to this GBNF or Lark grammar.")
@click.option("--tools", metavar="FILE", help="A JSON list of tools that the model may call.")
@click.option("--tool-choice", metavar="CHOICE", help="auto, none, required, or a tool's name.")
@click.option("--n", type=click.IntRange(int(_N.low), int(_N.high)), default=1, help=_N.help)
@click.option(
    "--stream/--no-stream",
    default=None,
    help="Print the answer as it is generated (default: with one answer and no --json).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the whole reply as JSON: content, usage, timings …")
@sampling_options
@model_options
def generate(
    model: str,
    prompt: str | None,
    file: str | None,
    system: str | None,
    images: tuple[str, ...],
    raw: bool,
    n: int,
    stream: bool | None,
    as_json: bool,
    **arguments: Any,
) -> None:
    """Answer one prompt from an argument, a file or standard input.

    MODEL is a catalogue id, a reference, a GGUF path, or another backend's: ollama/NAME, ENDPOINT/NAME.
    """
    text = _prompt(prompt, file)
    options = sampling_values(arguments) | _format_options(arguments)
    if n > 1:
        options["n"] = n
    if raw and system:
        raise BadRequestError("--raw continues a text, so it can't be combined with --system.")
    if stream and (as_json or n > 1):
        raise BadRequestError("--stream prints one plain answer, so it can't be combined with --json or --n.")
    if raw and images:
        raise BadRequestError("--raw continues a text, so it can't be combined with --image.")
    media = tuple(map(read_media, images))
    streaming = not as_json and n == 1 if stream is None else stream
    backend = make_backend(model, arguments)

    async def work() -> None:
        async with backend:
            await loaded(backend)
            if streaming:
                await stream_answer(backend, text, options, system=system, raw=raw, media=media)
            else:
                _show(await _whole(backend, text, system, raw, options, media), as_json=as_json)

    run(work())


def _prompt(prompt: str | None, file: str | None) -> str:
    if prompt is not None and file is not None:
        raise BadRequestError("Give a prompt or --file, not both.")
    if prompt is not None and prompt != "-":
        return prompt
    if prompt is None and file is None and sys.stdin.isatty():
        raise BadRequestError("No prompt was given.", hint="Pass it as an argument, use --file, or pipe it in.")
    return read_text(file or "-")


def _format_options(arguments: dict[str, Any]) -> dict[str, Any]:
    """The options that constrain the answer's format."""
    schema, grammar = arguments.pop("schema"), arguments.pop("grammar")
    tools, choice = arguments.pop("tools"), arguments.pop("tool_choice")
    any_object = arguments.pop("json_object")
    if sum(map(bool, (schema, grammar, any_object))) > 1:
        raise BadRequestError("Give one of --schema, --json-object and --grammar.")
    options: dict[str, Any] = {}
    if schema:
        options["response_format"] = {"type": "json_schema", "json_schema": {"schema": read_json(schema)}}
    if any_object:
        options["response_format"] = {"type": "json_object"}
    if grammar:
        options["grammar"] = read_text(grammar)
    if tools:
        options["tools"] = read_json(tools)
    if choice:
        options["tool_choice"] = choice
    return options


def _conversation(text: str, system: str | None, media: tuple[MediaPart, ...]) -> list[Message]:
    head = [Message.system(system)] if system else []
    return [*head, Message.user(text, *media)]


async def _whole(
    backend: Backend,
    text: str,
    system: str | None,
    raw: bool,
    options: dict[str, Any],
    media: tuple[MediaPart, ...],
) -> ChatReply:
    if raw:
        return await backend.complete(text, **options)
    return await backend.chat(_conversation(text, system, media), **options)


async def stream_answer(
    backend: Backend,
    text: str,
    options: dict[str, Any],
    *,
    system: str | None = None,
    raw: bool = False,
    media: tuple[MediaPart, ...] = (),
) -> None:
    """Content goes to standard output, reasoning and everything else to standard error."""
    chunks = (
        backend.complete_stream(text, **options)
        if raw
        else backend.chat_stream(_conversation(text, system, media), **options)
    )
    calls: dict[int, list[str]] = {}
    reason, answered = None, False
    async for chunk in chunks:
        if chunk.delta.reasoning:
            echo_dim(chunk.delta.reasoning, nl=False, err=True)
        if chunk.delta.content:
            show_text(chunk.delta.content, nl=False)
            sys.stdout.flush()
            answered = True
        for call in chunk.delta.tool_calls:
            calls.setdefault(call.index, []).append((f"{call.name} " if call.name else "") + call.arguments)
        reason = chunk.finish_reason or reason
    if answered or not calls:
        click.echo()
    for pieces in calls.values():
        show_text("".join(pieces))
    if reason == "length":
        click.echo("warning: the answer was truncated by max_tokens or the context", err=True)


def _show(reply: ChatReply, *, as_json: bool) -> None:
    if as_json:
        emit_json(_plain(reply) | {"alternatives": [_plain(other) for other in reply.alternatives]})
        return
    for number, choice in enumerate(reply.choices):
        if number:
            click.echo("---")
        if choice.content or not choice.tool_calls:
            show_text(choice.content)
        for call in choice.tool_calls:
            show_text(f"{call.name} {call.arguments}")
        if choice.finish_reason == "length":
            click.echo("warning: the answer was truncated by max_tokens or the context", err=True)


def _plain(reply: ChatReply) -> dict[str, Any]:
    data: dict[str, Any] = {
        "model": reply.model,
        "content": reply.content,
        "reasoning": reply.reasoning,
        "tool_calls": [call.to_openai() for call in reply.tool_calls],
        "finish_reason": reply.finish_reason,
        "usage": reply.usage.to_openai(),
        "timings": dataclasses.asdict(reply.timings),
        "warnings": list(reply.warnings),
    }
    if reply.logprobs is not None:
        data["logprobs"] = [dataclasses.asdict(item) for item in reply.logprobs]
    return data
