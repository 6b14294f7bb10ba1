"""Searching the hub for repositories with GGUF files: their quantizations with sizes, licence, downloads."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from parlant_local.catalog.quantizations import candidates, choose
from parlant_local.catalog.reference_forms import HubReference
from parlant_local.catalog.sources.huggingface import Hub
from parlant_local.catalog.sources.plan import SourceContext
from parlant_local.errors import CatalogError
from parlant_local.profiles.pretrained import is_base

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

__all__ = ["HubModel", "search_hub"]

_AT_ONCE = 6
_FIELDS = ("downloads", "gated", "gguf", "tags")
_LICENSE = "license:"
_EMBEDDERS = frozenset(["feature-extraction", "sentence-similarity", "text-ranking"])


@dataclass(frozen=True, slots=True)
class HubModel:
    """A repository on the hub."""

    repo: str
    quantizations: tuple[tuple[str, int], ...] = ()
    """Labels and bytes, as its files are named, the smallest first."""
    chosen: tuple[str, int] | None = None
    """The one that `pull` takes where none is named."""
    parameters: int | None = None
    context_length: int | None = None
    license: str | None = None
    downloads: int | None = None
    """In the last 30 days."""
    gated: bool = False
    base: bool = False
    """Whether its name is a base model's."""
    problem: str = ""
    """Why its files are not known."""


def search_hub(words: str, limit: int, memory: int, context: SourceContext) -> list[HubModel]:
    """What the hub finds, the most downloaded first. ``memory`` decides which quantization is chosen.

    Raises :class:`DownloadError`.
    """
    hub = Hub(context)
    found = hub.ask(HubReference(f"{words!r}"), lambda: hub.listed({"search": words}, limit, _FIELDS), attempts=1)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="parlant-local-search") as pool:
        return list(pool.map(partial(_described, hub, memory), found))


def _described(hub: Hub, memory: int, info: ModelInfo) -> HubModel:
    reference = HubReference(info.id)
    gguf = info.gguf or {}
    known = partial(
        HubModel,
        info.id,
        parameters=_count(gguf.get("total")),
        context_length=_count(gguf.get("context_length")),
        license=next(_licenses(info), None),
        downloads=info.downloads,
        gated=bool(info.gated),
        base=_is_base(info, str(gguf.get("architecture", ""))),
    )
    try:
        files = hub.files(reference, hub.model_info(reference))
        sizes = {path: item.size or 0 for path, item in files.items()}
        models, _ = candidates(sizes)
        picked = choose(info.id, sizes, quantization=None, file=None, memory=memory)
    except CatalogError as error:  # of one repository: the others are listed all the same
        return known(problem=error.message)
    labelled = {(item.quantization or item.stem, item.size) for item in models}
    return known(
        quantizations=tuple(sorted(labelled, key=lambda pair: (pair[1], pair[0]))),
        chosen=(picked.quantization or picked.stem, picked.size),
    )


def _licenses(info: ModelInfo) -> Iterator[str]:
    return (tag.removeprefix(_LICENSE) for tag in info.tags or () if tag.startswith(_LICENSE))


def _is_base(info: ModelInfo, architecture: str) -> bool:
    """By its name: bge-base and the like are no base models, but embedding models of a middle size."""
    if "bert" in architecture or _EMBEDDERS.intersection(info.tags or ()):
        return False
    return is_base([info.id.rpartition("/")[2].removesuffix("-GGUF")], has_template=True)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
