"""Models of an Ollama daemon, through its own client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from parlant_local.catalog.families import type_by_name
from parlant_local.catalog.records import LocalModel, ModelSource
from parlant_local.catalog.reference_forms import OllamaReference
from parlant_local.catalog.transfer.meter import DownloadProgress, FileProgress, Phase
from parlant_local.errors import HubError, ModelNotFoundError, ParlantLocalError, TransferError
from parlant_local.ollama_address import ollama_address
from parlant_local.settings import Settings

if TYPE_CHECKING:
    from ollama import AsyncClient, ProgressResponse

__all__ = ["daemon_host", "daemon_models", "delete_from_daemon", "is_reachable", "pull_into_daemon"]


def daemon_host(settings: Settings) -> str:
    return ollama_address(settings.ollama.host)


@asynccontextmanager
async def _daemon_client(settings: Settings, timeout: float, what: str) -> AsyncIterator[AsyncClient]:
    """A client whose errors are raised as this package's."""
    import httpx
    from ollama import AsyncClient, ResponseError

    client = AsyncClient(host=daemon_host(settings), timeout=timeout)
    try:
        async with client:
            yield client
    except (httpx.HTTPError, ConnectionError, ResponseError) as error:
        raise _failure(error, settings, what) from None


def _failure(error: Exception, settings: Settings, what: str) -> ParlantLocalError:
    from ollama import ResponseError

    host = urlsplit(daemon_host(settings)).netloc.rpartition("@")[2]
    if isinstance(error, ResponseError):
        if error.status_code == 404 or "file does not exist" in error.error:
            return ModelNotFoundError(
                f"Ollama at {host} has no {what}.", hint="See https://ollama.com/search for names."
            )
        status = error.status_code if error.status_code > 0 else None
        return HubError(f"Ollama at {host} could not handle {what}: {error.error}", status=status)
    return TransferError(
        f"Ollama at {host} can't be reached: {type(error).__name__}.",
        hint="Start it with `ollama serve`, or set OLLAMA_HOST.",
    )


async def is_reachable(settings: Settings, timeout: float = 1.5) -> bool:
    try:
        async with _daemon_client(settings, timeout, "the list of models") as client:
            await client.list()
    except (HubError, ModelNotFoundError, TransferError):
        return False
    return True


async def daemon_models(settings: Settings, timeout: float = 5.0) -> list[LocalModel]:
    """Records of the daemon's models, with ids ``ollama/<name:tag>``."""
    async with _daemon_client(settings, timeout, "the list of models") as client:
        answer = await client.list()
    records = []
    for item in answer.models:
        if not item.model:
            continue
        details = item.details
        records.append(
            LocalModel(
                id=f"ollama/{item.model}",
                name=item.model,
                type=type_by_name(f"{item.model} {(details.family if details else None) or ''}"),
                source=ModelSource.OLLAMA,
                references=(f"ollama://{item.model}",),
                quantization=details.quantization_level if details else None,
                architecture=details.family if details else None,
                parameters=_parameters((details.parameter_size if details else None) or ""),
                revision=item.digest,
                total=int(item.size) if item.size else None,
                reason="In an Ollama daemon.",
            )
        )
    return records


def _parameters(text: str) -> int | None:
    """``3.2B`` as a number."""
    scale = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}.get(text[-1:].upper())
    try:
        return int(float(text[:-1]) * scale) if scale else None
    except ValueError:
        return None


async def pull_into_daemon(
    reference: OllamaReference, settings: Settings, report: Callable[[DownloadProgress], None]
) -> LocalModel:
    """Have the daemon pull a model; cancelling stops it (Ollama keeps the partial download)."""
    name = reference.short
    files: dict[str, FileProgress] = {}
    async with _daemon_client(settings, settings.downloads.stall_seconds * 4, f"model {name}") as client:
        async for event in await client.pull(name, stream=True):
            _note(files, event)
            report(_progress(str(reference), files))
    wanted = f"ollama/{name}"
    for record in await daemon_models(settings):
        if record.id in (wanted, wanted.removesuffix(":latest")):
            return record
    raise HubError(f"Ollama reported success, but does not list {name}.")


def _note(files: dict[str, FileProgress], event: ProgressResponse) -> None:
    if event.digest and event.total:
        done = max(event.completed or 0, files[event.digest].done if event.digest in files else 0)
        phase: Phase = "done" if done >= event.total else "downloading"
        files[event.digest] = FileProgress(event.digest.removeprefix("sha256:")[:12], done, event.total, phase)


def _progress(reference: str, files: dict[str, FileProgress]) -> DownloadProgress:
    items = tuple(files.values())
    done, total = sum(item.done for item in items), sum(item.total or 0 for item in items)
    return DownloadProgress(reference, items, done, total or None, done, 0.0, None)


async def delete_from_daemon(model: LocalModel, settings: Settings) -> None:
    async with _daemon_client(settings, 30.0, f"model {model.name}") as client:
        await client.delete(model.name)
