"""Resolves what a user typed (a catalogue id, a reference or a path) to a record. Never opens a socket."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path

from parlant_local.catalog.describe import describe
from parlant_local.catalog.records import LocalModel, ModelSource, ModelState
from parlant_local.catalog.references import (
    HubReference,
    PackageReference,
    PathReference,
    Reference,
    looks_like_path,
    parse_reference,
)
from parlant_local.catalog.short_names import find_short_name
from parlant_local.catalog.sources.pypi_known import PACKAGES, known_package
from parlant_local.errors import BadReferenceError, ModelNotFoundError

__all__ = ["by_reference", "find", "near_misses", "unusable"]

# Which of several quantizations of one repository a bare reference means: the usual default first, then the better ones.
_PREFERENCE = ("Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "Q4_K_S", "Q4_0", "IQ4_XS", "Q3_K_M")


def find(text: str, models: Mapping[str, LocalModel]) -> LocalModel:
    """The record that ``text`` means, whatever its state; for an uncatalogued GGUF path, one created from its header.

    Raises :class:`ModelNotFoundError`.
    """
    text = text.strip()
    if (exact := models.get(text)) is not None:
        return exact
    if looks_like_path(text):
        return _by_path(text, models)
    named = [model for model in models.values() if model.id.rpartition("/")[2] == text.lower()]
    if len(named) == 1:
        return named[0]
    try:
        reference = parse_reference(text)
    except BadReferenceError as error:
        listed = "`parlant-local list --all` shows the catalogue."
        raise _not_found(text, models, listed if text.startswith("local/") else error.hint) from None
    if (known := by_reference(reference, models.values())) is not None:
        return known
    raise _not_found(text, models, "")


def _by_path(text: str, models: Mapping[str, LocalModel]) -> LocalModel:
    reference = parse_reference(text)
    assert isinstance(reference, PathReference)
    path = reference.path
    if path.is_dir():
        raise ModelNotFoundError(f"{path} is a folder.", hint="Give the .gguf file in it.")
    if not path.exists():
        near = difflib.get_close_matches(path.name, _siblings(path), n=3)
        raise ModelNotFoundError(f"{path} does not exist.", near=[str(path.with_name(name)) for name in near])
    for model in models.values():
        if path in model.paths:
            return model
    return describe(path, source=ModelSource.CUSTOM)


def _siblings(path: Path) -> list[str]:
    try:
        return [item.name for item in path.parent.iterdir() if item.suffix.lower() == ".gguf"]
    except OSError:
        return []


def by_reference(reference: Reference, models: Iterable[LocalModel]) -> LocalModel | None:
    """The record that was downloaded by ``reference``; of several quantizations the preferred one, complete ones first."""
    wanted = {str(reference).lower()}
    if isinstance(reference, PackageReference):
        wanted |= _also_called(reference)
    elif not isinstance(reference, HubReference | PathReference) and (known := find_short_name(str(reference))):
        wanted.add(f"hf.co/{known.hub}".lower())
    any_of_repository = tuple(
        item for item in wanted if item.startswith("hf.co/") and ":" not in item and not item.endswith(".gguf")
    )
    matches = [
        model
        for model in models
        for item in model.references
        if item.lower() in wanted
        or any(item.lower().startswith((f"{repo}:", f"{repo}/")) for repo in any_of_repository)
    ]
    return min(matches, key=_rank, default=None)


def _also_called(reference: PackageReference) -> set[str]:
    """What a short name may have been downloaded as: a package with the same model, the hub's, Ollama's of that name."""
    known = known_package(reference.package, reference.version)
    if known is None or not reference.short:
        return set()
    packages = {f"pypi:{other.package}" for other in PACKAGES if other.sha256 == known.sha256}
    twin = known.hub
    hub = {f"hf.co/{twin.repo}", f"hf.co/{twin.repo}@{twin.revision}/{known.files[0].name}"} if twin else set()
    return {name.lower() for name in (*packages, *hub, f"ollama://{reference.short}")}


def _rank(model: LocalModel) -> tuple[bool, int, str]:
    quantization = model.quantization or ""
    order = _PREFERENCE.index(quantization) if quantization in _PREFERENCE else len(_PREFERENCE)
    return (model.state is not ModelState.AVAILABLE, order, model.id)


def near_misses(text: str, models: Mapping[str, LocalModel]) -> list[str]:
    """Ids of usable models that look like ``text``, by the whole or by the last part."""
    usable = [model.id for model in models.values() if model.state is ModelState.AVAILABLE]
    last = {model_id.rpartition("/")[2].lower(): model_id for model_id in usable}
    wanted = text.rpartition("/")[2].lower()
    close = difflib.get_close_matches(wanted, last, n=3, cutoff=0.5)
    close += [name for name in last if wanted and (wanted in name or name in wanted) and name not in close]
    return [last[name] for name in close[:3]]


def _not_found(text: str, models: Mapping[str, LocalModel], hint: str) -> ModelNotFoundError:
    near = near_misses(text, models)
    if near:
        hint = f"Did you mean {' or '.join(near)}? To download it: `parlant-local pull {text}`."
    return ModelNotFoundError(
        f"No model {text!r} in the catalogue.",
        near=near,
        hint=hint or f"To download it: `parlant-local pull {text}`; `parlant-local list` shows the catalogue.",
    )


def unusable(model: LocalModel) -> ModelNotFoundError:
    """The error for a record that is not available."""
    reference = model.references[0] if model.references else model.id
    hints = {
        ModelState.DOWNLOADING: "Wait for the download to finish.",
        ModelState.INCOMPLETE: f"To resume: `parlant-local pull {reference}`.",
        ModelState.BROKEN: f"See `parlant-local verify {model.id}`; to download it again: `parlant-local pull {reference}`.",
        ModelState.NOT_RUNNABLE: "Pull a GGUF conversion of it.",
    }
    reason = f": {model.reason}" if model.reason else ""
    return ModelNotFoundError(
        f"The model {model.id} is {model.state.value.replace('_', ' ')}{reason}.", hint=hints.get(model.state, "")
    )
