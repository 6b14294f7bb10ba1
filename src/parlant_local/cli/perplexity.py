"""`parlant-local perplexity`: how well a model predicts a text, and how far it is from a larger type of itself."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from parlant_local.cli.options import chat_format, make_settings, model_argument, model_options, read_text
from parlant_local.cli.printing import emit_json, say
from parlant_local.stop_signals import as_interrupts

if TYPE_CHECKING:
    from parlant_local.catalog import LocalModelManager
    from parlant_local.engine import LoadedModel
    from parlant_local.engine.measuring.divergence import Divergence
    from parlant_local.engine.measuring.kept import KeptWindows
    from parlant_local.settings import EngineSettings

__all__ = ["kept_windows", "loaded", "perplexity", "say_unkept", "show_divergence", "window_of"]

_WINDOW = 512


@click.command()
@model_argument
@click.argument("file", metavar="[FILE]", required=False)
@click.option(
    "--kl-base", "base", metavar="BASE", help="Measure the divergence from BASE, a larger type of MODEL, too."
)
@click.option("--windows", type=click.IntRange(1), metavar="N", help="Only the first N windows of the text.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@model_options
def perplexity(
    model: str, file: str | None, base: str | None, windows: int | None, as_json: bool, **arguments: Any
) -> None:
    """Measure a model's perplexity on a text FILE (- is standard input), in windows of --n-ctx tokens (default 512).

    The second half of each window is scored, as llama.cpp's own tool does; a text shorter than one window is scored whole.
    An interrupted measurement goes on where it was when the same command is given again.
    Without FILE it is the text of the cases that `parlant-local evaluate` examines. MODEL is a catalogue id, a reference or a
    GGUF path.
    """
    from parlant_local.catalog import LocalModelManager
    from parlant_local.engine.measuring.divergence import measure_divergence
    from parlant_local.engine.measuring.perplexity import measure_perplexity
    from parlant_local.shipped import shipped_text

    chat_format(arguments)
    text = shipped_text() if file is None else read_text(file)
    settings = make_settings(arguments)
    manager = LocalModelManager(settings=settings)
    shown: dict[str, Any] = {"progress": _progress if sys.stderr.isatty() else None, "max_windows": windows}
    with loaded(manager, model) as ours, as_interrupts():
        n_ctx = window_of(settings.engine, ours)
        tokens = ours.tokenize(text)
        if base is None:
            kept = kept_windows(manager, [ours], tokens, n_ctx)
            result = measure_perplexity(ours, settings.engine, tokens, n_ctx=n_ctx, kept=kept, **shown)
        else:
            with loaded(manager, base) as theirs:
                kept = kept_windows(manager, [ours, theirs], tokens, n_ctx)
                divergence = measure_divergence(ours, theirs, settings.engine, tokens, n_ctx=n_ctx, kept=kept, **shown)
    if sys.stderr.isatty():
        click.echo(err=True)
    say_unkept(kept)
    if base is not None:
        show_divergence(model, base, divergence, as_json=as_json)
    elif as_json:
        emit_json({"model": model, **dataclasses.asdict(result)})
    else:
        say(
            f"perplexity {result.perplexity:.4f} ± {result.error:.4f} over {result.scored} of {result.tokens} tokens "
            f"({result.windows} window{'s' if result.windows > 1 else ''} of {result.n_ctx}), {result.seconds:.1f} s"
        )


def window_of(settings: EngineSettings, model: LoadedModel) -> int:
    """Tokens of a window."""
    return min(settings.n_ctx or _WINDOW, model.n_ctx_train)


@contextmanager
def loaded(manager: LocalModelManager, model: str) -> Iterator[LoadedModel]:
    """The weights of ``model``, vetted as the engine does it."""
    from parlant_local.engine import LoadedModel
    from parlant_local.engine.vetting import Vetting, verdicts_file

    named = manager.resolve_adapted(model)
    assert named.record.path is not None
    vetting = Vetting(named.record.vouched, verdicts_file(manager.settings.home))
    found = LoadedModel(named.record.path, named.on(manager.settings.engine), vetting=vetting)
    try:
        yield found
    finally:
        found.release()


def kept_windows(
    manager: LocalModelManager, models: Sequence[LoadedModel], tokens: Sequence[int], n_ctx: int
) -> KeptWindows:
    """What an interrupted measurement of these models on this text has left."""
    from parlant_local.engine.measuring.kept import KeptWindows
    from parlant_local.engine.native import library
    from parlant_local.paths import file_identity, user_path

    settings = manager.settings.engine
    added = [*(path for model in models for path in model.lora), *settings.control_vectors]
    key = (
        [(file_identity(model.path), sorted(model.lora.items())) for model in models],
        [file_identity(user_path(path)) for path in added],
        settings.model_dump(mode="json"),
        hashlib.sha256(repr(list(tokens)).encode()).hexdigest(),
        n_ctx,
        str(library().build),
    )
    return KeptWindows.read(manager.settings.home / "measured", key)


def say_unkept(kept: KeptWindows) -> None:
    if kept.problem is not None:
        say(f"warning: an interruption would have begun again: {kept.problem}.", err=True)


def show_divergence(model: str, base: str, found: Divergence, *, as_json: bool) -> None:
    if as_json:
        emit_json({"model": model, "base": base, **dataclasses.asdict(found)})
        return
    say(f"divergence from {base} in nats a token, over {found.scored} of {found.tokens} tokens, {found.seconds:.1f} s")
    say(f"  mean       {found.mean:.6f} ± {found.mean_error:.6f}")
    say(f"  median     {found.median:.6f}")
    say(f"  99 %       {found.percentile_99:.6f}")
    say(f"  largest    {found.max:.6f}")
    say(f"same first choice  {100 * found.same_top:.2f} ± {100 * found.same_top_error:.2f} %")
    say(
        f"perplexity {found.perplexity:.4f}, of the base {found.base_perplexity:.4f}; "
        f"log of their ratio {found.log_ratio:+.5f} ± {found.log_ratio_error:.5f}"
    )


def _progress(done: int, windows: int, so_far: float) -> None:
    click.echo(f"\r{done}/{windows} windows, {so_far:.4f}", nl=False, err=True)
