"""`parlant-local perplexity`: how well a model predicts a text."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import click

from parlant_local.cli.options import chat_format, make_settings, model_argument, model_options, read_text
from parlant_local.cli.printing import emit_json, say

__all__ = ["perplexity"]

_WINDOW = 512


@click.command()
@model_argument
@click.argument("file", metavar="FILE")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@model_options
def perplexity(model: str, file: str, as_json: bool, **arguments: Any) -> None:
    """Measure a model's perplexity on a text FILE (- is standard input), in windows of --n-ctx tokens (default 512).

    The second half of each window is scored, as llama.cpp's own tool does; a text shorter than one window is scored whole.
    MODEL is a catalogue id, a reference or a GGUF path.
    """
    from parlant_local.catalog import LocalModelManager
    from parlant_local.engine import LoadedModel
    from parlant_local.engine.measuring.perplexity import measure_perplexity
    from parlant_local.engine.vetting import Vetting, verdicts_file

    chat_format(arguments)
    text = read_text(file)
    settings = make_settings(arguments)
    manager = LocalModelManager(settings=settings)
    path = manager.resolve(model)
    vetting = Vetting(manager.find(model).vouched, verdicts_file(settings.home))
    loaded = LoadedModel(path, settings.engine, vetting=vetting)
    try:
        n_ctx = min(settings.engine.n_ctx or _WINDOW, loaded.n_ctx_train)
        result = measure_perplexity(
            loaded,
            settings.engine,
            loaded.tokenize(text),
            n_ctx=n_ctx,
            progress=_progress if sys.stderr.isatty() else None,
        )
    finally:
        loaded.release()
    if sys.stderr.isatty():
        click.echo(err=True)
    if as_json:
        emit_json({"model": model, **dataclasses.asdict(result)})
    else:
        say(
            f"perplexity {result.perplexity:.4f} ± {result.error:.4f} over {result.scored} of {result.tokens} tokens "
            f"({result.windows} window{'s' if result.windows > 1 else ''} of {result.n_ctx}), {result.seconds:.1f} s"
        )


def _progress(done: int, windows: int, so_far: float) -> None:
    click.echo(f"\r{done}/{windows} windows, perplexity {so_far:.4f}", nl=False, err=True)
