"""Changes a file where it is: its new content is written beside it, checked, and takes its place in one step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from parlant_local.catalog import LocalModel, LocalModelManager, Making, ModelSource, ModelType
from parlant_local.catalog.adapters import Adapters
from parlant_local.catalog.describe import file_record
from parlant_local.catalog.disk import check_space
from parlant_local.catalog.references import looks_like_path
from parlant_local.engine.vetting import check_loads
from parlant_local.errors import (
    BadRequestError,
    CatalogError,
    InvalidModelError,
    ModelInUseError,
    ModelLoadError,
    ModelNotFoundError,
)
from parlant_local.gguf_info import check_is_adapter, check_is_model, in_use, read_file_header, read_header
from parlant_local.paths import file_identity, is_file, real_path, user_path
from parlant_local.storage import publish, scratch_for, sweep
from parlant_local.workshop.control import Control
from parlant_local.workshop.products import Material, hashed

__all__ = ["adapter_material", "adapter_named", "beside", "check_content", "check_own", "rewritten"]

_COPY = "Without --in-place a copy of it is made."


def adapter_named(manager: LocalModelManager, name: str | Path) -> Path | None:
    """The file of an adapter that ``name`` means, by its name or path, where no model is called so."""
    text = str(name)
    if (known := Adapters(manager.settings).all().get(text)) is not None:
        try:
            manager.find(text)
        except ModelNotFoundError:
            return known.path
        return None
    path = user_path(text).absolute()
    if not looks_like_path(text) or not is_file(path):
        return None
    try:
        return path if read_file_header(path).kind == "adapter" else None
    except InvalidModelError:
        return None  # whoever reads it as a model says what is wrong


def check_own(source: Material) -> None:
    """Raises :class:`BadRequestError` for a file whose content others rely on: named by its digest, or a package's."""
    path = source.paths[0]
    if source.record is not None and source.record.shipped:
        raise BadRequestError(f"{source.name} is bundled with parlant-local and can't be changed.", hint=_COPY)
    if real_path(path) != real_path(path.parent) / path.name:
        raise BadRequestError(f"{path} is a link to {real_path(path)}, and is not changed in place.", hint=_COPY)
    if path.parent.name == "blobs" or any(each.name.startswith("models--") for each in path.parents):
        raise BadRequestError(
            f"{path} is in a store (the hub's, Ollama's) that names contents by their digests; it is not changed in place.",
            hint=_COPY,
        )


def rewritten(
    manager: LocalModelManager,
    source: Material,
    scratch: Path,
    made: Making,
    control: Control,
    identity: object,
) -> LocalModel:
    """Puts ``scratch`` into the place of the model's first file, and what it has become into its record.

    ``identity``: the file's before it was read. Raises :class:`ModelInUseError` where the file is loaded here or elsewhere, or was changed meanwhile.
    """
    path, record = source.paths[0], source.record
    digest = hashed(scratch, control, name=path.name)
    control.check()

    def put() -> None:
        with in_use.replacing(path):
            if file_identity(path) != identity:
                raise ModelInUseError(f"{path} was changed meanwhile.", hint="Try again.")
            publish(scratch, path)

    try:
        if record is not None:
            return manager.keep_edited(record, digest, put, made)
        put()
    except OSError as error:
        raise CatalogError(f"{path} can't be replaced: {error.strerror or error}.") from None
    architecture = read_file_header(path).architecture
    return LocalModel(
        path.stem,
        path.stem,
        ModelType.OTHER,
        ModelSource.CUSTOM,
        files=(file_record(path, digest),),
        architecture=architecture,
    )


@contextmanager
def adapter_material(path: Path, control: Control) -> Iterator[Material]:
    """An adapter, which no record is kept of. Who has loaded it has read it whole, and keeps what it was."""
    yield Material(str(path), (path,), (hashed(path, control),), path.stem)


@contextmanager
def beside(path: Path, size: int) -> Iterator[Path]:
    """A place for the new content, removed unless it was put into place."""
    check_space(path.parent, size, f"Changing {path.name}")
    sweep(path.parent)
    scratch = scratch_for(path)
    try:
        yield scratch
    except OSError as error:
        raise CatalogError(f"{path} can't be changed: {error.strerror or error}.") from None
    finally:
        scratch.unlink(missing_ok=True)


def check_content(manager: LocalModelManager, scratch: Path, source: Material, *, adapter: bool) -> None:
    """Raises :class:`InvalidModelError` for what could not be loaded any more."""
    original = source.paths[0]
    try:
        if adapter:
            check_is_adapter(read_header(scratch))
        elif len(source.paths) == 1:
            check_is_model(read_header(scratch))
            check_loads(scratch, manager.settings.engine, before=original)
    except (InvalidModelError, ModelLoadError) as error:
        why = error.message.replace(str(scratch), original.name).replace(scratch.name, original.name)
        raise InvalidModelError(
            f"{source.name} could not be loaded any more: {why}", hint="It was left as it is."
        ) from None
    scratch.chmod(original.stat().st_mode & 0o777)
