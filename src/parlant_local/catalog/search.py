"""Models by words: in the catalogue, among well-known names and packages, on the hub."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Literal

from parlant_local.catalog.manager import LocalModelManager
from parlant_local.catalog.offline import check_online
from parlant_local.catalog.quantizations import fits, quantization_of
from parlant_local.catalog.records import ModelState
from parlant_local.catalog.reference_forms import PackageReference, parse_package
from parlant_local.catalog.scores import Score, score_of, scores
from parlant_local.catalog.short_names import short_names
from parlant_local.catalog.sources.hub_search import HubModel, search_hub
from parlant_local.catalog.sources.plan import SourceContext
from parlant_local.catalog.sources.pypi_known import PACKAGES, known_package
from parlant_local.errors import DownloadError, OfflineError
from parlant_local.gguf_info import available_memory
from parlant_local.profiles.pretrained import is_base

__all__ = ["FoundModel", "SearchResult", "search_models"]


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model that the words name. ``None``: not known."""

    reference: str
    """For ``parlant-local pull`` and ``run``."""
    where: Literal["here", "well-known", "package", "hub"]
    size: int | None = None
    """Bytes of the quantization that is taken where none is named."""
    quantization: str | None = None
    quantizations: tuple[tuple[str, int], ...] = ()
    """All there are, with bytes."""
    fits: bool | None = None
    """Whether that one fits the memory that is available now."""
    parameters: int | None = None
    context_length: int | None = None
    license: str | None = None
    downloads: int | None = None
    gated: bool = False
    base: bool = False
    evaluation: Score | None = None
    """What `evaluate` said of these very bytes."""
    note: str = ""
    """What its figures don't say."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class SearchResult:
    models: tuple[FoundModel, ...]
    hub_problem: str = ""
    """Why the hub was not searched: offline, or not reached."""


async def search_models(manager: LocalModelManager, words: Sequence[str], limit: int = 10) -> SearchResult:
    """Models whose names contain all of ``words``: those that are here, then well-known ones, then packages that hold a model, then at
    most ``limit`` of the hub, the most downloaded first. Offline, or where the hub can't be reached, only local knowledge, and why.

    A package index can't be searched: ``pypi:NAME`` finds the package of that very name.
    """
    memory, stop = available_memory(), Event()
    evaluated = scores(manager.settings.home, manager.logger)
    if (named := _named_package(words)) is not None:
        return SearchResult((_package(named, memory, evaluated),))
    local = [
        *_in_catalogue(manager, words, evaluated),
        *_well_known(words, memory),
        *_packages(words, memory, evaluated),
    ]
    try:
        check_online(manager.offline, "Searching the hub")
        context = SourceContext(manager.models_dir, manager.hub_cache, manager.settings, manager.logger, stop)
        found = await asyncio.to_thread(search_hub, " ".join(words), limit, memory, context)
    except OfflineError:
        return SearchResult(tuple(local), "offline mode is on.")
    except DownloadError as error:
        return SearchResult(tuple(local), error.message)
    finally:
        stop.set()
    return SearchResult((*local, *(_of_hub(item, memory) for item in found)))


def _in_catalogue(manager: LocalModelManager, words: Iterable[str], evaluated: Mapping[str, Score]) -> list[FoundModel]:
    return [
        FoundModel(
            model.id,
            "here",
            size=model.size,
            quantization=model.quantization,
            quantizations=((model.quantization, model.size),) if model.quantization else (),
            parameters=model.parameters,
            context_length=model.context_length,
            license=model.license,
            base=model.is_base,
            evaluation=score_of(model, evaluated),
        )
        for model in manager.list_models(states=(ModelState.AVAILABLE,))
        if _matches(" ".join((model.id, model.name, *model.references)), words)
    ]


def _well_known(words: Iterable[str], memory: int) -> list[FoundModel]:
    return [
        FoundModel(
            entry.name,
            "well-known",
            size=entry.size,
            quantization="Q4_K_M",
            fits=fits(entry.size, memory),
            parameters=int(entry.parameters * 1e9),
            context_length=entry.context,
            license=entry.license,
        )
        for entry in short_names()
        if _matches(f"{entry.name} {entry.hub}", words)
    ]


def _packages(words: Iterable[str], memory: int, evaluated: Mapping[str, Score]) -> list[FoundModel]:
    """One of each model: several packages have the same."""
    models = {known.sha256: known for known in reversed(PACKAGES)}
    found = (known for known in PACKAGES if models[known.sha256] is known)
    return [
        _package(PackageReference(known.package, short=known.short), memory, evaluated)
        for known in found
        if _matches(f"pypi:{known.package} {known.name} {known.short} {known.what}", words)
    ]


def _named_package(words: Sequence[str]) -> PackageReference | None:
    if len(words) != 1 or not words[0].lower().startswith("pypi:") or words[0].lower() == "pypi:":
        return None
    return parse_package(words[0][len("pypi:") :], words[0])


def _package(reference: PackageReference, memory: int, evaluated: Mapping[str, Score]) -> FoundModel:
    known = None if reference.file else known_package(reference.package, reference.version)
    if known is None:
        return FoundModel(
            str(reference), "package", note=f"what it holds shows once it is here: parlant-local pull {reference}"
        )
    return FoundModel(
        reference.short or str(reference),
        "package",
        size=known.size,
        quantization=quantization_of(f"{known.name}.gguf"),
        fits=fits(known.size, memory),
        license=known.license,
        base=not known.converted and is_base([known.name], has_template=True),
        evaluation=evaluated.get(known.sha256),
        note=known.what,
    )


def _matches(text: str, words: Iterable[str]) -> bool:
    # "4b" is not meant to find 14b.
    return all(
        re.search(rf"(?<![0-9.]){re.escape(word)}" if word[0].isdigit() else re.escape(word), text, re.I)
        for word in words
    )


def _of_hub(item: HubModel, memory: int) -> FoundModel:
    label, size = item.chosen or (None, None)
    return FoundModel(
        item.repo,
        "hub",
        size=size,
        quantization=label,
        quantizations=item.quantizations,
        fits=None if size is None else fits(size, memory),
        parameters=item.parameters,
        context_length=item.context_length,
        license=item.license,
        downloads=item.downloads,
        gated=item.gated,
        base=item.base,
        problem=item.problem,
    )
