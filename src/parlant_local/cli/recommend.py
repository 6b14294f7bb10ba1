"""``recommend``: models that suit this machine."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from parlant_local.cli.catalogue import catalogue_options, make_manager
from parlant_local.cli.printing import emit_json, say
from parlant_local.cli.records import evaluations

__all__ = ["recommend"]


@click.command()
@click.option("--limit", type=click.IntRange(1, 50), default=5, show_default=True, help="Maximum number of models.")
@click.option("--no-measure", is_flag=True, help="Don't measure this machine's speed if it has not been measured yet.")
@click.option("--again", is_flag=True, help="Repeat the measurement, in case the machine was busy the first time.")
@catalogue_options
def recommend(limit: int, no_measure: bool, again: bool, as_json: bool, **catalogue: Any) -> None:
    """Recommend models that fit this machine's memory, with the time that a Parlant turn on them takes.

    Times are for the prefill of one turn's prompts: about 45,000 tokens the first time, a tenth of that once prefixes are
    cached. They are based on a measured rate; generating the answers takes additional time.
    """
    from parlant_local.catalog.disk import human_bytes
    from parlant_local.gguf_info import available_memory

    manager = make_manager(**catalogue)
    found = manager.recommend(limit, measure=not no_measure, again=again)
    free = available_memory()
    evaluated = evaluations(manager, manager.list_models())
    if as_json:
        scores = [asdict(score) for score in evaluated.values()]
        emit_json({"available_memory": free, "models": [asdict(item) for item in found], "evaluated": scores})
        return
    say(f"{human_bytes(free)} of memory available.")
    if not found:
        say("That is not enough for any known model; a remote model may be an option (see switcher.allow_cloud).")
        return
    width = max(len(item.name) for item in found)
    say(f"{'MODEL':<{width}}  {'PARAMS':>7} {'DOWNLOAD':>9} {'MEMORY':>9} {'FIRST TURN':>11} {'WARM TURN':>10}")
    for item in found:
        say(
            f"{item.name:<{width}}  {item.parameters:>6.1f}B {human_bytes(item.size):>9} {human_bytes(item.memory):>9} "
            f"{_seconds(item.cold_turn_seconds):>11} {_seconds(item.warm_turn_seconds):>10}"
            + ("  reasoning" if item.reasoning else "")
        )
    say(f"To download one: parlant-local pull {found[0].name}   (or, from the hub: {found[0].hub})")
    for score in sorted(evaluated.values(), key=lambda item: -item.score):
        say(f"Evaluated here: {score.model}, {100 * score.score:.0f} %. {score.verdict}")
    if not evaluated:
        say("To find out whether one follows your agent's rules: parlant-local evaluate MODEL")
    if not found[0].responsive:
        say("No model answers quickly on this machine; a GPU build may help: see `parlant-local doctor`.")


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.0f} min"
