"""`parlant-local embed` and `parlant-local rerank`."""

from __future__ import annotations

import sys
from typing import Any

import click

from parlant_local.cli.options import make_backend, model_argument, model_options, read_text, run
from parlant_local.cli.printing import emit_json, say
from parlant_local.errors import BadRequestError

__all__ = ["embed", "rerank"]


def _texts(given: tuple[str, ...], file: str | None) -> list[str]:
    """Texts from the command line, or from the lines of a file or standard input."""
    if given and file is not None:
        raise BadRequestError("Give texts or --file, not both.")
    if given:
        return list(given)
    if file is None and sys.stdin.isatty():
        raise BadRequestError(
            "No texts were given.", hint="Pass them as arguments, use --file, or pipe them in, one per line."
        )
    lines = [line for line in read_text(file or "-").splitlines() if line.strip()]
    if not lines:
        raise BadRequestError(f"{file or 'Standard input'} is empty.")
    return lines


@click.command()
@model_argument
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option("--file", "-f", metavar="FILE", help="Read texts from a file, one per line; - is standard input.")
@click.option("--truncate", is_flag=True, help="Truncate texts that are too long instead of rejecting them.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of one JSON list per line.")
@model_options
def embed(
    model: str, texts: tuple[str, ...], file: str | None, truncate: bool, as_json: bool, **arguments: Any
) -> None:
    """Embed texts into unit-length vectors, one per line.

    MODEL is a catalogue id, a reference or a GGUF path.
    """
    wanted = _texts(texts, file)
    backend = make_backend(model, arguments)

    async def work() -> None:
        async with backend:
            reply = await backend.embed(wanted, truncate=truncate)
        for index in reply.truncated:
            say(f"warning: text {index} was truncated", err=True)
        if as_json:
            emit_json(
                {
                    "model": reply.model,
                    "dimensions": reply.dimensions,
                    "embeddings": [list(vector) for vector in reply.vectors],
                    "truncated": list(reply.truncated),
                    "usage": {"prompt_tokens": reply.usage.prompt_tokens, "total_tokens": reply.usage.total_tokens},
                }
            )
        else:
            for vector in reply.vectors:
                emit_json([round(value, 6) for value in vector])

    run(work())


@click.command()
@model_argument
@click.argument("query")
@click.argument("documents", nargs=-1, metavar="[DOCUMENT]...")
@click.option("--file", "-f", metavar="FILE", help="Read documents from a file, one per line; - is standard input.")
@click.option("--top", type=click.IntRange(1), metavar="N", help="Print only the N best.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@model_options
def rerank(
    model: str,
    query: str,
    documents: tuple[str, ...],
    file: str | None,
    top: int | None,
    as_json: bool,
    **arguments: Any,
) -> None:
    """Rank documents by relevance to a query, the best first.

    MODEL is a catalogue id, a reference or a GGUF path: a ranking model, or any other (cosine of embeddings).
    """
    candidates = _texts(documents, file)
    backend = make_backend(model, arguments)

    async def work() -> None:
        async with backend:
            reply = await backend.rerank(query, candidates)
        order = sorted(range(len(candidates)), key=lambda index: -reply.scores[index])[:top]
        if as_json:
            emit_json(
                {
                    "model": reply.model,
                    "results": [
                        {"index": index, "score": reply.scores[index], "document": candidates[index]} for index in order
                    ],
                    "usage": {"total_tokens": reply.usage.total_tokens},
                }
            )
        else:
            for index in order:
                say(f"{reply.scores[index]:8.4f}  {candidates[index]}")

    run(work())
