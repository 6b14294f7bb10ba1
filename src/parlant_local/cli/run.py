"""``run``: a model by its name, downloaded where it is missing, to talk to or to ask one thing."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import click

from parlant_local.cli.options import (
    chat_format,
    complete_model,
    make_settings,
    model_options,
    open_backend,
    read_text,
    sampling_options,
    sampling_values,
)
from parlant_local.cli.printing import say
from parlant_local.errors import BadRequestError, CatalogError, ModelNotFoundError

if TYPE_CHECKING:
    from parlant_local.catalog import LocalModel, LocalModelManager
    from parlant_local.settings import Settings

__all__ = ["run"]


@click.command()
@click.argument("model", shell_complete=complete_model)
@click.argument("prompt", nargs=-1, metavar="[PROMPT]")
@click.option("--yes", "-y", is_flag=True, help="Download a missing model without asking.")
@click.option("--system", "-s", metavar="TEXT", help="A system message.")
@click.option("--plain", is_flag=True, help="Show answers as they are, not as Markdown (so does NO_COLOR).")
@sampling_options
@model_options
def run(model: str, prompt: tuple[str, ...], yes: bool, system: str | None, plain: bool, **arguments: Any) -> None:
    """Talk to MODEL, or with a PROMPT answer that and end. A missing model is downloaded, after asking.

    MODEL is a catalogue id, a reference (qwen3:4b, user/repo:Q4_K_M) or a GGUF path. Piped text becomes part of the prompt.
    """
    options = sampling_values(arguments)
    template = chat_format(arguments)
    settings = make_settings(arguments)
    text = _prompt(prompt)
    chosen = _present(model, settings, yes=yes)
    if text is not None:
        asyncio.run(_answer(chosen, text, settings, template, system, options))
        return
    from parlant_local.cli.chat_loop import converse
    from parlant_local.cli.chat_session import ChatSession, SessionOptions

    how = SessionOptions(options=options, markdown=settings.chat.markdown and not plain)
    with ChatSession(settings, how, model=chosen, chat_format=template, system=system) as session:
        converse(session, settings)


def _prompt(words: tuple[str, ...]) -> str | None:
    """What was piped in, then the words; None: a conversation."""
    piped = "" if sys.stdin.isatty() else read_text("-").strip()
    text = "\n\n".join(part for part in (piped, " ".join(words).strip()) if part)
    if not text and (words or not sys.stdin.isatty()):
        raise BadRequestError(
            "The prompt is empty.", hint="Without one, and in a terminal, `run` starts a conversation."
        )
    return text or None


async def _answer(
    model: str, text: str, settings: Settings, template: str | None, system: str | None, options: dict[str, Any]
) -> None:
    from parlant_local.cli.generate import stream_answer
    from parlant_local.cli.loading import loaded

    async with open_backend(model, settings, template) as backend:
        await loaded(backend)
        await stream_answer(backend, text, options, system=system)


def _present(model: str, settings: Settings, *, yes: bool) -> str:
    """The name of a model that is here, after a download where it was not."""
    from parlant_local.backends.referring import split_reference
    from parlant_local.catalog import LocalModelManager
    from parlant_local.catalog.reference_forms import PathReference
    from parlant_local.catalog.references import parse_reference
    from parlant_local.observability import ConsoleLogger

    if split_reference(model, settings) is not None:  # another backend's
        return model
    manager = LocalModelManager(settings=settings, logger=ConsoleLogger("warning"))
    try:
        manager.resolve_adapted(model)
    except ModelNotFoundError:
        if isinstance(parse_reference(model), PathReference):
            raise
        return _downloaded(model, manager, yes=yes).id
    return model


def _downloaded(model: str, manager: LocalModelManager, *, yes: bool) -> LocalModel:
    """The question is asked between two stretches of the download: while its loop runs, Ctrl-C could not end the question."""
    from parlant_local.cli.progress import progress_reporter, stopped

    with asyncio.Runner() as runner:
        question: Future[tuple[int, int]] = Future()
        decided: Future[bool] = Future()

        def accept(size: int, missing: int) -> None:
            question.set_result((size, missing))
            if not decided.result():
                raise CatalogError(f"{model} is not here, and was not downloaded.", hint=f"parlant-local pull {model}")

        async def begin() -> asyncio.Task[LocalModel]:
            task = asyncio.create_task(manager.download_model(model, progress=report, accept=accept))
            waited: list[asyncio.Future[Any]] = [task, asyncio.wrap_future(question)]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            return task

        async def finish() -> LocalModel:
            return await task

        report = progress_reporter()
        try:
            task = runner.run(begin())
            if question.done():
                decided.set_result(yes or _agreed(model, *question.result()))
            with report:
                return runner.run(finish())
        except KeyboardInterrupt:
            say(stopped(model), err=True)
            raise
        finally:
            if not decided.done():
                decided.set_result(False)


def _agreed(model: str, size: int, missing: int) -> bool:
    from parlant_local.catalog.disk import human_bytes

    if not missing:
        return True
    of = "" if missing == size else f", the rest of {human_bytes(size)}"
    if not sys.stdin.isatty():
        raise BadRequestError(
            f"{model} is not here; its download is {human_bytes(missing)}{of}.",
            hint=f"Add --yes to download it, or: parlant-local pull {model}",
        )
    return click.confirm(f"{model} is not here. Download {human_bytes(missing)}{of}?", default=True, err=True)
