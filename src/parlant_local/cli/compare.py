"""The verb compare: two models by what the examination found, else by their predictions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from parlant_local.cli.options import chat_format, complete_model, make_settings, model_options, read_text
from parlant_local.cli.printing import counted, emit_json, say
from parlant_local.stop_signals import as_interrupts

if TYPE_CHECKING:
    from parlant_local.catalog import LocalModelManager
    from parlant_local.evaluation.comparing import Comparison

__all__ = ["compare"]


@click.command()
@click.argument("first", metavar="MODEL", shell_complete=complete_model)
@click.argument("second", metavar="OTHER", shell_complete=complete_model)
@click.option("--text", metavar="FILE", help="Compare predictions on this text, whatever was examined.")
@click.option("--windows", type=click.IntRange(1), metavar="N", help="Only the first N windows of the text.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@model_options
def compare(first: str, second: str, text: str | None, windows: int | None, as_json: bool, **arguments: Any) -> None:
    """Compare OTHER with MODEL.

    Where `parlant-local evaluate` has examined both, their decisions in the cases that both were asked; else how far the
    predictions of OTHER are from those of MODEL on a text, which must be the larger type of the same model.
    """
    from parlant_local.catalog import LocalModelManager

    chat_format(arguments)
    settings = make_settings(arguments)
    manager = LocalModelManager(settings=settings)
    found = None if text is not None else _examined(manager, (first, second))
    if found is None:
        _diverging(manager, first, second, text, windows, as_json=as_json)
    elif as_json:
        emit_json(_told(first, second, found))
    else:
        _show(first, second, found)


def _examined(manager: LocalModelManager, models: Sequence[str]) -> Comparison | None:
    from parlant_local.backends.described import digest_of
    from parlant_local.evaluation.comparing import compared
    from parlant_local.gguf_info import sha256_file

    identities = []
    for found in map(manager.find_adapted, models):
        record = found.record
        digest = digest_of(record, found.on(manager.settings.engine))
        digest = digest or (sha256_file(record.path) if record.path is not None else None)
        identities.append(digest or found.id)
    return compared(manager.settings.home, identities[0], identities[1])


def _diverging(
    manager: LocalModelManager, base: str, model: str, text: str | None, windows: int | None, *, as_json: bool
) -> None:
    from parlant_local.cli.perplexity import kept_windows, loaded, say_unkept, show_divergence, window_of
    from parlant_local.engine.measuring.divergence import measure_divergence
    from parlant_local.shipped import shipped_text

    read = shipped_text() if text is None else read_text(text)
    engine = manager.settings.engine
    with loaded(manager, model) as ours, loaded(manager, base) as theirs, as_interrupts():
        tokens, n_ctx = ours.tokenize(read), window_of(engine, ours)
        kept = kept_windows(manager, [ours, theirs], tokens, n_ctx)
        found = measure_divergence(ours, theirs, engine, tokens, n_ctx=n_ctx, max_windows=windows, kept=kept)
    say_unkept(kept)
    show_divergence(model, base, found, as_json=as_json)


def _show(first: str, second: str, found: Comparison) -> None:
    from parlant_local.evaluation.rows import percent

    say(f"decisions right in the {counted(found.cases, 'case')} that both were examined on: {first}, {second}")
    for family, (ours, theirs) in found.families.items():
        say(f"  {family:<10} {percent(ours.value):>6} {percent(theirs.value):>6}  of {ours.whole}")
    say(f"{second} against {first}: {found.change}")


def _told(first: str, second: str, found: Comparison) -> dict[str, Any]:
    families = {
        family: {"first": ours.as_dict(), "second": theirs.as_dict()}
        for family, (ours, theirs) in found.families.items()
    }
    change = dataclasses.asdict(found.change) | {"chance": found.change.chance}
    return {"first": first, "second": second, "cases": found.cases, "families": families, "change": change}
