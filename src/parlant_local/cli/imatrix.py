"""The verb imatrix."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from parlant_local.cli.options import model_argument, read_text
from parlant_local.cli.printing import emit_json, say
from parlant_local.cli.workshop_options import job_options, run_job, workshop_manager

__all__ = ["imatrix"]


@click.command()
@model_argument
@click.argument("file")
@click.option("--messages", is_flag=True, help="FILE has a conversation on each line, in JSON, as `render` takes them.")
@click.option("--chunk", "chunk_size", type=click.IntRange(16), default=512, metavar="TOKENS", help="Default: 512.")
@click.option("--chunks", "max_chunks", type=click.IntRange(1), metavar="N", help="Only the first N chunks.")
@click.option("--process-output", is_flag=True, help="The output matrix as well.")
@click.option("--threads", type=click.IntRange(1), metavar="N", help="Threads. Default: this machine's cores.")
@click.option("--output", metavar="OUTPUT", help="File to write. Default: MODEL.imatrix.gguf in this folder.")
@job_options
def imatrix(
    model: str, file: str, messages: bool, output: str | None, quiet: bool, as_json: bool, **arguments: Any
) -> None:
    """Make an importance matrix: have MODEL, best in F16, read a text FILE (- is standard input) like those it is for.

    `parlant-local quantize --imatrix` then spends its bits where they matter. The more text, the better: 100 chunks or so.
    What was read is kept beside OUTPUT now and then: after an interruption the same command goes on.
    """
    from parlant_local import workshop

    manager = workshop_manager(arguments)
    text = read_text(file)
    given = {"conversations": workshop.conversations_in(text)} if messages else {"text": text}
    made = run_job(
        lambda control: workshop.imatrix(
            model, **given, dataset=file, output=output, manager=manager, control=control, **arguments
        ),
        quiet=quiet,
    )
    if as_json:
        emit_json(dataclasses.asdict(made) | {"path": str(made.path)})
    else:
        before = f", {made.resumed} of them before it was interrupted" if made.resumed else ""
        say(f"{made.path}: {made.entries} weights, from {made.chunks} chunk{'s' if made.chunks > 1 else ''}{before}")
