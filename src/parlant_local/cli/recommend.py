"""``recommend``: models that suit this machine."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from parlant_local.cli.catalogue import catalogue_options, make_manager
from parlant_local.cli.printing import emit_json, say
from parlant_local.cli.records import evaluations
from parlant_local.errors import ConfigurationError

if TYPE_CHECKING:
    from parlant_local.catalog.speed import MachineSpeed
    from parlant_local.settings import Settings

__all__ = ["recommend"]


@click.command()
@click.option("--limit", type=click.IntRange(1, 50), help="Maximum number of models. Default: 5, embedding models all.")
@click.option("--no-measure", is_flag=True, help="Don't measure this machine's speed if it has not been measured yet.")
@click.option("--embeddings", is_flag=True, help="Recommend embedding models instead, by language, size and licence.")
@click.option("--again", is_flag=True, help="Repeat the measurement, in case the machine was busy the first time.")
@catalogue_options
def recommend(
    limit: int | None, no_measure: bool, embeddings: bool, again: bool, as_json: bool, **catalogue: Any
) -> None:
    """Recommend models that fit this machine's memory (a GPU's, where it has one), with the time that a Parlant turn on them takes.

    Times are for the prefill of one turn's prompts: about 45,000 tokens the first time, a tenth of that once prefixes are
    cached. They are based on a measured rate; generating the answers takes additional time.
    """
    from parlant_local.catalog.disk import human_bytes
    from parlant_local.gguf_info import available_memory

    if embeddings:
        _embedders(limit, as_json)
        return
    manager = make_manager(**catalogue, level="info")
    on_gpu = _gpu_memory(manager.settings)
    found = manager.recommend(limit or 5, measure=not no_measure, again=again, memory=on_gpu)
    speed = manager.machine_speed(measure=False)  # None as well where the measurement could not be saved
    free = available_memory()
    evaluated = evaluations(manager, manager.list_models())
    if as_json:
        measured = speed and {
            "measured_on": speed.measured_on and speed.measured_on.isoformat(),
            "others_share": speed.others_share,
        }
        emit_json(
            {
                "available_memory": free,
                "gpu_memory": on_gpu,
                "speed": measured,
                "models": [asdict(item) for item in found],
                "evaluated": [asdict(score) for score in evaluated.values()],
            }
        )
        return
    memory = (
        f"{human_bytes(free)} of memory available."
        if on_gpu is None
        else f"{human_bytes(on_gpu)} of GPU memory for models."
    )
    say(memory + _measured(speed))
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
    elif not found[-1].responsive:
        say(f"{found[-1].name} is the largest that the memory holds; its turns take long on this machine.")


def _measured(speed: MachineSpeed | None) -> str:
    if speed is None:
        return ""
    when = f"on {speed.measured_on}" if speed.measured_on else "at an unknown date"
    if not speed.disturbed:
        return f" Speed measured {when}."
    return (
        f" Speed measured {when}, while other programs took {speed.others_share:.0%} of the processor: these times are too "
        "long. To measure again on a quiet machine: parlant-local recommend --again"
    )


def _embedders(limit: int | None, as_json: bool) -> None:
    from parlant_local.catalog.disk import human_bytes
    from parlant_local.catalog.recommend import recommend_embedders
    from parlant_local.gguf_info import available_memory

    free = available_memory()
    found = recommend_embedders(free)[:limit]
    if as_json:
        emit_json({"available_memory": free, "models": [asdict(item) | {"size": item.size} for item in found]})
        return
    say(f"{human_bytes(free)} of memory available.")
    if not found:
        say("That is not enough for any known embedding model; embedding.model=lexical needs none.")
        return
    names = {item: item.name + ("*" if item.prefixed else "") for item in found}
    width = max(map(len, names.values()))
    say(f"{'MODEL':<{width}}  {'LANGUAGES':<10} {'SIZE':>9} {'DIMENSIONS':>10} {'CONTEXT':>8}  LICENCE")
    for item in found:
        say(
            f"{names[item]:<{width}}  {item.languages:<10} {human_bytes(item.size):>9} {item.dimensions:>10} "
            f"{item.context:>8}  {item.license}"
        )
    if any(item.prefixed for item in found):
        say(
            "* Made for texts with a prefix that says what they are, which parlant-local does not add: less accurate than promised."
        )
    say("To use one: `parlant-local pull MODEL`, then set embedding.model. Parlant embeds a home's texts anew for it.")


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
