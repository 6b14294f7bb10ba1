"""``recommend``: models that suit this machine."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from parlant_local.cli.catalogue import catalogue_options, make_manager
from parlant_local.cli.printing import emit_json, say
from parlant_local.errors import ConfigurationError

if TYPE_CHECKING:
    from parlant_local.settings import Settings

__all__ = ["recommend"]


@click.command()
@click.option("--limit", type=click.IntRange(1, 50), default=5, show_default=True, help="Maximum number of models.")
@click.option("--no-measure", is_flag=True, help="Don't measure this machine's speed if it has not been measured yet.")
@click.option("--again", is_flag=True, help="Repeat the measurement, in case the machine was busy the first time.")
@catalogue_options
def recommend(limit: int, no_measure: bool, again: bool, as_json: bool, **catalogue: Any) -> None:
    """Recommend models that fit this machine's memory (a GPU's, where it has one), with the time that a Parlant turn on them takes.

    Times are for the prefill of one turn's prompts: about 45,000 tokens the first time, a tenth of that once prefixes are
    cached. They are based on a measured rate; generating the answers takes additional time.
    """
    from parlant_local.catalog.disk import human_bytes
    from parlant_local.gguf_info import available_memory

    manager = make_manager(**catalogue)
    on_gpu = _gpu_memory(manager.settings)
    found = manager.recommend(limit, measure=not no_measure, again=again, memory=on_gpu)
    free = available_memory()
    if as_json:
        emit_json({"available_memory": free, "gpu_memory": on_gpu, "models": [asdict(item) for item in found]})
        return
    say(
        f"{human_bytes(free)} of memory available."
        if on_gpu is None
        else f"{human_bytes(on_gpu)} of GPU memory for models."
    )
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
    if not found[0].responsive:
        say("No model answers quickly on this machine; a GPU build may help: see `parlant-local doctor`.")


def _gpu_memory(settings: Settings) -> int | None:
    """For models that are on the GPU as a whole; None without one, or without a library that could use it."""
    from parlant_local.engine.sizing import room_on_gpus

    try:
        return room_on_gpus(settings.engine)
    except ConfigurationError:
        return None


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.0f} min"
