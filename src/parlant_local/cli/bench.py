"""`parlant-local bench`: how fast a model is here, and which settings make it fastest."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from parlant_local.cli.options import chat_format, make_settings, model_argument, model_options, run
from parlant_local.cli.printing import emit_json, say
from parlant_local.errors import BadRequestError

if TYPE_CHECKING:
    from parlant_local.engine.measuring.speed import Measurement
    from parlant_local.engine.measuring.tuning import Trial
    from parlant_local.engine.vetting import Vetting
    from parlant_local.settings import Settings

__all__ = ["bench"]


@click.command()
@model_argument
@click.option(
    "--prompts", default="128,512,2048", show_default=True, metavar="SIZES", help="Prompt sizes to measure, in tokens."
)
@click.option("--batches", default="1,2,4,8", show_default=True, metavar="SIZES", help="Concurrent answers to measure.")
@click.option("--tokens", default=48, show_default=True, type=click.IntRange(2), help="Tokens of each answer.")
@click.option("--depth", default=64, show_default=True, type=click.IntRange(1), help="Prompt tokens before an answer.")
@click.option(
    "--runs", default=3, show_default=True, type=click.IntRange(1), help="Runs of each; the median is reported."
)
@click.option("--save", is_flag=True, help="Try cache layouts, attention and batch sizes, and save the fastest.")
@click.option("--forget", is_flag=True, help="Measure nothing; delete what --save stored for this model.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@model_options
def bench(
    model: str,
    prompts: str,
    batches: str,
    tokens: int,
    depth: int,
    runs: int,
    save: bool,
    forget: bool,
    as_json: bool,
    **arguments: Any,
) -> None:
    """Measure how many tokens per second a model reads (prefill) and writes (decode) on this machine.

    With --save, first find the fastest settings for this model and machine; they apply from then on, unless set otherwise,
    until --forget deletes them. MODEL is a catalogue id, a reference or a GGUF path.
    """
    from parlant_local.catalog import LocalModelManager
    from parlant_local.engine.vetting import Vetting, verdicts_file

    prompt_sizes, batch_sizes = _sizes("--prompts", prompts), _sizes("--batches", batches)
    chat_format(arguments)
    settings = make_settings(arguments)
    manager = LocalModelManager(settings=settings)
    found = manager.resolve_adapted(model)
    path, settings = found.record.path, settings.model_copy(update={"engine": found.on(settings.engine)})
    assert path is not None
    vetting = Vetting(found.record.vouched, verdicts_file(settings.home))
    if forget:
        if save:
            raise BadRequestError("--save and --forget can't be combined.", hint="--save replaces earlier results.")
        _forget(path, settings, as_json=as_json)
        return
    report: dict[str, Any] = {"model": model, "file": path.name}
    if save:
        report["saved"] = _tune(path, settings, vetting, runs, quiet=as_json)
    rows = _measure(path, settings, vetting, prompt_sizes, batch_sizes, runs, tokens, depth, report)
    report["measurements"] = [dataclasses.asdict(row) for row in rows]
    if as_json:
        emit_json(report)
    else:
        _table(rows, report)


def _sizes(option: str, text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        sizes = []
    if not sizes or min(sizes) < 1:
        raise BadRequestError(f"{option} must be whole numbers separated by commas, not {text!r}.")
    return sizes


def _tune(path: Path, settings: Settings, vetting: Vetting, runs: int, *, quiet: bool) -> dict[str, Any]:
    from parlant_local.engine.measuring.tuning import tune
    from parlant_local.engine.saved import save_settings, saved_file, saved_folder

    def report_trial(trial: Trial) -> None:
        ran = f"{trial.ratio:.2f} x the best so far" if trial.ratio is not None else f"failed ({trial.reason})"
        say(f"{_settings_line(trial.settings):<60} {ran}", err=quiet)

    tuning = run(tune(path, settings.engine, runs=max(runs, 5), vetting=vetting, progress=report_trial))
    file = saved_file(saved_folder(settings.home), path)
    details = {
        "model": path.name,
        "measured": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "trials": [dataclasses.asdict(trial) for trial in tuning.trials],
    }
    save_settings(file, tuning.settings, details)
    say(f"Saved {_settings_line(tuning.settings) or 'the defaults'} to {file}.", err=quiet)
    return {"settings": dict(tuning.settings), "file": str(file), "trials": details["trials"]}


def _forget(path: Path, settings: Settings, *, as_json: bool) -> None:
    from parlant_local.engine.saved import forget_settings, saved_folder

    removed = [str(file) for file in forget_settings(saved_folder(settings.home), path)]
    if as_json:
        emit_json({"file": path.name, "forgotten": removed})
    else:
        say(f"Deleted {', '.join(removed)}." if removed else f"Nothing was saved for {path.name}.")


def _settings_line(settings: Any) -> str:
    return ", ".join(f"{key}={value}" for key, value in settings.items())


def _measure(
    path: Path,
    settings: Settings,
    vetting: Vetting,
    prompts: list[int],
    batches: list[int],
    runs: int,
    tokens: int,
    depth: int,
    report: dict[str, Any],
) -> list[Measurement]:
    from parlant_local.engine import LlamaEngine
    from parlant_local.engine.measuring.speed import measure_decode, measure_prefill
    from parlant_local.engine.saved import saved_folder
    from parlant_local.observability import ConsoleLogger
    from parlant_local.settings import EngineSettings

    logger = ConsoleLogger("warning")
    engine_options: dict[str, Any] = settings.engine.model_dump(exclude_unset=True)
    # No larger than needed: a large cache would only cost memory.
    engine_options.setdefault("n_ctx", max(max(prompts) + 1, depth + 2 + tokens))
    engine_options["n_seq_max"] = max(settings.engine.n_seq_max or 1, *batches)
    chosen = EngineSettings.model_validate(engine_options)

    async def work() -> list[Measurement]:
        measured = saved_folder(settings.home)
        engine = LlamaEngine(path, settings=chosen, measured_dir=measured, vetting=vetting, logger=logger)
        try:
            rows = await measure_prefill(engine, prompts, runs)
            rows += await measure_decode(engine, batches, runs, depth=depth, answer=tokens)
            layout = engine.sizing.layout
            report["settings"] = {
                "n_ctx": layout.n_ctx,
                "unified_kv": layout.unified,
                "flash_attention": layout.flash_attention,
                "kv_type": layout.kv_type,
                "n_batch": layout.n_batch,
                "n_ubatch": layout.n_ubatch,
                "n_threads": layout.n_threads,
                "n_threads_batch": layout.n_threads_batch,
            }
            return rows
        finally:
            await engine.close()

    return run(work())


def _table(rows: list[Measurement], report: dict[str, Any]) -> None:
    say(f"{report['file']}: {_settings_line(report['settings'])}")
    say(f"{'':<8} {'size':>12} {'tokens/s':>10}")
    for row in rows:
        unit = "tokens" if row.kind == "prefill" else "at once"
        say(f"{row.kind:<8} {row.size:>4} {unit:<7} {row.tokens_per_second:>10.1f}")
