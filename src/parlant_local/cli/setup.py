"""``setup``: offer the models that a first machine lacks, and download those that are wanted.

Exit codes: 0 nothing is missing, or nothing was wanted, 1 a download failed, 130 interrupted.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from parlant_local.cli.catalogue import catalogue_options, make_manager
from parlant_local.cli.printing import emit_json, say
from parlant_local.errors import ConfigurationError, DownloadError, ModelNotFoundError, ParlantLocalError

if TYPE_CHECKING:
    from parlant_local.catalog import LocalModelManager

__all__ = ["setup"]

_SMALL_CHAT = "smollm2:135m"
"""What a package index alone can give."""


@dataclass(frozen=True, slots=True)
class _Offer:
    model: str
    """For ``pull``."""
    instead: tuple[str, ...]
    """The same or a smaller model, elsewhere."""
    size: int
    """Bytes to download."""
    why: str


@click.command()
@click.option("--yes", "-y", is_flag=True, help="Download without asking.")
@click.option(
    "--skip", type=click.Choice(["embedder", "chat"]), multiple=True, help="Don't offer this kind. May be repeated."
)
@catalogue_options
def setup(yes: bool, skip: tuple[str, ...], as_json: bool, **catalogue: Any) -> None:
    """Offer the models that this machine lacks: a small embedder, and the chat model that recommend names first.

    It asks in a terminal. Elsewhere it only tells what is missing, unless --yes is given; offline it downloads nothing.
    """
    manager = make_manager(**catalogue)
    asyncio.run(manager.initialize())
    offers = [offer for kind, offer in _offers(manager).items() if kind not in skip and offer is not None]
    failed = False
    results = []
    for offer in offers:
        state = _handle(manager, offer, yes=yes, quiet=as_json)
        failed |= state == "failed"
        results.append(asdict(offer) | {"state": state})
    if as_json:
        emit_json(results)
    elif not offers:
        say("Nothing is missing.")
    if failed:
        raise click.exceptions.Exit(1)


def _offers(manager: LocalModelManager) -> dict[str, _Offer | None]:
    return {"embedder": _embedder(manager), "chat": _chat(manager)}


def _embedder(manager: LocalModelManager) -> _Offer | None:
    from parlant_local.catalog.sources.pypi_known import MINILM

    if any(model.is_embedding for model in manager.list_models()):
        return None
    return _Offer(
        MINILM.short,
        (),
        MINILM.download,
        "a small embedder, by which Parlant finds glossary terms, journeys and canned responses by meaning. For English; "
        "`parlant-local recommend --embeddings` names others",
    )


def _chat(manager: LocalModelManager) -> _Offer | None:
    from parlant_local.catalog.sources.pypi_known import SMOLLM2

    if any(model.chats and not model.shipped for model in manager.list_models()):
        return None
    found = manager.recommend(1)
    if not found:
        return _Offer(_SMALL_CHAT, (), SMOLLM2.download, "a very small chat model, to try things with")
    best = found[0]
    return _Offer(
        best.name,
        (best.hub, _SMALL_CHAT),
        best.size,
        "the chat model that `parlant-local recommend` names first for this machine; it names others, with their speed here",
    )


def _handle(manager: LocalModelManager, offer: _Offer, *, yes: bool, quiet: bool) -> str:
    """Downloads it, if it is wanted: ``downloaded``, ``failed``, ``declined``, ``offline``, or ``missing`` where nobody was asked."""
    from parlant_local.catalog.disk import human_bytes

    say(f"{offer.model} ({human_bytes(offer.size)}): {offer.why}.", err=True)
    if manager.offline:
        say(f"  Offline mode is on: nothing is downloaded. Later: parlant-local pull {offer.model}", err=True)
        return "offline"
    if not yes:
        if not _can_ask():
            say(f"  To download it: parlant-local pull {offer.model}   (or: parlant-local setup --yes)", err=True)
            return "missing"
        if not click.confirm("  Download it?", default=True, err=True):
            return "declined"
    return "downloaded" if _download(manager, offer, yes=yes, quiet=quiet) else "failed"


def _can_ask() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _download(manager: LocalModelManager, offer: _Offer, *, yes: bool, quiet: bool) -> bool:
    """From the first of its names that can be reached; another model only if it is wanted, too."""
    for name in (offer.model, *offer.instead):
        if name == _SMALL_CHAT != offer.model and not _wanted_instead(name, yes=yes):
            return False
        try:
            asyncio.run(_pull(manager, name, quiet))
        except (DownloadError, ModelNotFoundError, ConfigurationError) as error:
            say(f"  {error}", err=True)
        except ParlantLocalError as error:
            say(f"  {error}", err=True)
            return False
        else:
            return True
    return False


def _wanted_instead(name: str, *, yes: bool) -> bool:
    say(f"  {name} is much smaller, but comes from the package index, which may be reachable.", err=True)
    return yes or click.confirm("  Download it instead?", default=True, err=True)


async def _pull(manager: LocalModelManager, name: str, quiet: bool) -> None:
    from parlant_local.catalog.references import parse_reference
    from parlant_local.cli.progress import progress_reporter

    if (reference := str(parse_reference(name))) != name:
        say(f"  {name} resolves to {reference}", err=True)
    with progress_reporter(quiet) as report:
        record = await manager.download_model(name, progress=report)
    say(f"  {record.id} is available.", err=True)
