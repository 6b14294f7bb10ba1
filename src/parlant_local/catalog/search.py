"""Models by words: in the catalogue, among well-known names, on the hub."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Literal

from parlant_local.catalog.manager import LocalModelManager
from parlant_local.catalog.offline import check_online
from parlant_local.catalog.quantizations import fits
from parlant_local.catalog.records import ModelState
from parlant_local.catalog.short_names import short_names
from parlant_local.catalog.sources.hub_search import HubModel, search_hub
from parlant_local.catalog.sources.plan import SourceContext
from parlant_local.errors import DownloadError, OfflineError
from parlant_local.gguf_info import available_memory

__all__ = ["FoundModel", "SearchResult", "search_models"]


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model that the words name. ``None``: not known."""

    reference: str
    """For ``parlant-local pull`` and ``run``."""
    where: Literal["here", "well-known", "hub"]
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
    problem: str = ""


@dataclass(frozen=True, slots=True)
class SearchResult:
    models: tuple[FoundModel, ...]
    hub_problem: str = ""
    """Why the hub was not searched: offline, or not reached."""


async def search_models(manager: LocalModelManager, words: Sequence[str], limit: int = 10) -> SearchResult:
    """Models whose names contain all of ``words``: those that are here, then well-known ones, then at most ``limit`` of the hub,
    the most downloaded first. Offline, or where the hub can't be reached, only local knowledge, and why."""
    memory, stop = available_memory(), Event()
    local = [*_in_catalogue(manager, words), *_well_known(words, memory)]
    try:
        check_online(manager.offline, "Searching the hub")
        context = SourceContext(manager.models_dir, manager.hub_cache, manager.settings, manager.logger, stop)
        found = await asyncio.to_thread(search_hub, " ".join(words), limit, memory, context)
    except (OfflineError, DownloadError) as error:
        return SearchResult(tuple(local), error.message)
    finally:
        stop.set()
    return SearchResult((*local, *(_of_hub(item, memory) for item in found)))


def _in_catalogue(manager: LocalModelManager, words: Iterable[str]) -> list[FoundModel]:
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
        )
        for entry in short_names()
        if _matches(f"{entry.name} {entry.hub}", words)
    ]


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
        problem=item.problem,
    )
