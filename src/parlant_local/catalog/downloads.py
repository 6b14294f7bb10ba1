"""One download from plan to catalogue entry: disk space checked, files downloaded and put in place, the entry written."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

from parlant_local.catalog.describe import describe, file_record
from parlant_local.catalog.disk import check_space
from parlant_local.catalog.index import ModelIndex
from parlant_local.catalog.keeping import delete_files
from parlant_local.catalog.pending import discard, download_lock, fetched_bytes, missing_bytes, pending_record
from parlant_local.catalog.records import LocalModel, ModelState, ModelType
from parlant_local.catalog.references import Reference
from parlant_local.catalog.sources import Plan, SourceContext, make_plan
from parlant_local.catalog.transfer import DownloadProgress, FileFetch, FileTask, Meter, RateLimit
from parlant_local.errors import CatalogError, InvalidModelError, ParlantLocalError, VerificationError
from parlant_local.gguf_info import check_is_projector, read_header
from parlant_local.observability import Logger
from parlant_local.paths import real_path
from parlant_local.settings import Settings
from parlant_local.single_flight import SingleFlight

__all__ = ["Accept", "Downloads", "Progress"]

Progress = Callable[[DownloadProgress], None]
Accept = Callable[[int, int], None]
T = TypeVar("T")

_TICK_SECONDS = 0.2


class _Shared:
    """A download that several callers share."""

    def __init__(self, run: Callable[[list[Progress]], Awaitable[LocalModel]]) -> None:
        self.listeners: list[Progress] = []
        self.model = SingleFlight(lambda: run(self.listeners))


class Downloads:
    """Runs downloads of one catalogue; callers that want the same model share one."""

    def __init__(
        self,
        *,
        index: ModelIndex,
        add: Callable[[LocalModel], LocalModel],
        models_dir: Path,
        hub_cache: Path,
        settings: Settings,
        logger: Logger,
    ) -> None:
        self._index, self._add = index, add
        self._models_dir, self._hub_cache = models_dir, hub_cache
        self._settings, self._logger = settings, logger
        self._running: dict[tuple[int, str], _Shared] = {}

    async def fetch(
        self, reference: Reference, family: ModelType | None, progress: Progress | None, accept: Accept | None = None
    ) -> LocalModel:
        """The verified model. Cancelling leaves it resumable, unless another caller still waits for it."""
        key = (id(asyncio.get_running_loop()), f"{reference} {family}")
        shared = self._running.get(key)
        if shared is None or not shared.model.running:
            shared = self._running[key] = _Shared(partial(self._run, reference, family, accept))
        if progress is not None:
            shared.listeners.append(progress)
        try:
            return await shared.model()
        finally:
            if progress is not None and progress in shared.listeners:
                shared.listeners.remove(progress)
            if not shared.model.running and self._running.get(key) is shared:
                del self._running[key]

    async def _run(
        self, reference: Reference, family: ModelType | None, accept: Accept | None, listeners: list[Progress]
    ) -> LocalModel:
        stop = Event()
        source = str(reference.source)
        context = SourceContext(self._models_dir, self._hub_cache, self._settings, self._logger, stop, source)
        meter = Meter(str(reference))
        with ThreadPoolExecutor(1, thread_name_prefix="parlant-local-download") as pool:
            plan = await _in_thread(pool, lambda: make_plan(reference, context), stop.set)
            if accept is not None:
                size = sum(task.size or 0 for task in plan.tasks)
                missing = sum(map(missing_bytes, plan.tasks))
                await _in_thread(pool, lambda: accept(size, missing), stop.set)
            self._logger.info(f"Downloading {plan.reference} ({len(plan.tasks)} files).")
            ticker = asyncio.create_task(self._notify_periodically(meter, listeners))
            try:
                return await self._fetch(pool, plan, family, meter, stop)
            finally:
                ticker.cancel()
                await asyncio.wait([ticker])
                self._notify(meter, listeners)

    async def _fetch(
        self, pool: ThreadPoolExecutor, plan: Plan, family: ModelType | None, meter: Meter, stop: Event
    ) -> LocalModel:
        pending = await _in_thread(pool, lambda: self._start(plan, family), stop.set)
        with download_lock(self._index.folder, pending.id):
            try:
                digests = await self._fetch_files(pool, plan, meter)
                return await _in_thread(pool, lambda: self._finish(plan, family, pending, digests, stop), stop.set)
            except (VerificationError, InvalidModelError):
                self._forget(pending)
                raise
            except ParlantLocalError as error:
                self._keep_part(pending, error.message)
                raise
            except asyncio.CancelledError:
                self._keep_part(pending, "the download was stopped")
                raise

    def _start(self, plan: Plan, family: ModelType | None) -> LocalModel:
        """Check the disk and show the download in the catalogue."""
        needed: dict[Path, int] = defaultdict(int)
        for task in plan.tasks:
            needed[task.destination.parent] += missing_bytes(task)
        for folder, count in needed.items():
            check_space(folder, count, f"{plan.name}")
        pending = pending_record(plan, family)
        with self._index.locked():
            for other in self._index.read().values():
                if other.paths == pending.paths:
                    if other.state is ModelState.AVAILABLE:
                        return other  # its files are verified again; the entry stays as it is meanwhile
                    pending = pending.having(id=other.id)
                    break
            else:
                if pending.id in self._index.read():
                    return pending.having(
                        id=f"{pending.id}-download"
                    )  # another model has the name; not shown as pending
            self._index.write(pending)
        return pending

    async def _fetch_files(self, pool: ThreadPoolExecutor, plan: Plan, meter: Meter) -> list[str]:
        """Downloads every file of the plan in turn, each over several connections; returns their sha256 digests."""
        rate = self._settings.downloads.max_rate_mb
        limit = RateLimit(rate * 1e6 if rate else None)
        items = [meter.add_file(task.name, task.size) for task in plan.tasks]
        digests = []
        for task, item in zip(plan.tasks, items, strict=True):
            fetch = FileFetch(task, self._settings.downloads, meter, item, limit)
            digests.append(await _in_thread(pool, fetch.run, fetch.abort))
        return digests

    def _finish(
        self, plan: Plan, family: ModelType | None, pending: LocalModel, digests: list[str], stop: Event
    ) -> LocalModel:
        plan.place()
        of_models = tuple(digest for digest, task in zip(digests, plan.tasks, strict=True) if task.is_gguf)
        model = describe(plan.paths[0], source=plan.source, name=plan.name, family=family, digests=of_models, stop=stop)
        if family is None and plan.family_hint and not model.for_pictures:
            from parlant_local.catalog.families import model_type
            from parlant_local.catalog.names import local_id

            detected = model_type(read_header(plan.paths[0]), f"{plan.name} {plan.family_hint}")
            model = model.having(type=detected, id=local_id(detected, plan.name))
        facts: dict[str, Any] = {
            "references": tuple(dict.fromkeys((plan.reference, *plan.aliases))),
            "revision": plan.revision,
            "vouched": all(task.published for task in plan.tasks if task.is_gguf or _is_projector(task, plan)),
            "owned": True,
        }
        if plan.projector is not None:
            check_is_projector(read_header(plan.projector))
            facts["projector"] = file_record(plan.projector, _digest_of(plan, digests))
        model = model.having(**{**facts, **plan.extras()})
        if pending.state is not ModelState.AVAILABLE:
            self._index.remove(pending.id)
        return self._add(model)

    def _forget(self, pending: LocalModel) -> None:
        """Leaves nothing that looks like a model: what was downloaded is none, and could not be resumed.

        A file in the hub's cache that is as it was published stays: other programs may want it.
        """
        if pending.state is ModelState.AVAILABLE:
            return
        try:
            with self._index.locked():
                others = [other for other in self._index.read().values() if other.id != pending.id]
                delete_files(pending, others, (self._models_dir,))
                discard(pending)
                self._index.remove(pending.id)
        except CatalogError as error:
            self._logger.warning(f"The incomplete download could not be removed: {error}")

    def _keep_part(self, pending: LocalModel, reason: str) -> None:
        """Records that the download can be resumed, if there is something to resume."""
        if pending.state is ModelState.AVAILABLE:
            return
        if not fetched_bytes(pending):
            self._forget(pending)
        elif pending.id in self._index.read():
            try:
                self._index.write(pending.having(state=ModelState.INCOMPLETE, reason=reason.rstrip(".")))
            except CatalogError as error:  # a full disk: the entry written at the start remains
                self._logger.warning(str(error))

    async def _notify_periodically(self, meter: Meter, listeners: list[Progress]) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            self._notify(meter, listeners)

    def _notify(self, meter: Meter, listeners: list[Progress]) -> None:
        if not listeners or not meter.files:
            return
        snapshot = meter.snapshot()
        for listener in list(listeners):
            try:
                listener(snapshot)
            except Exception as error:  # a callback's bug must not fail the download
                listeners.remove(listener)
                self._logger.error(f"A progress callback failed and is no longer called: {error!r}")


def _digest_of(plan: Plan, digests: list[str]) -> str:
    """The projector's."""
    return next(digest for digest, task in zip(digests, plan.tasks, strict=True) if _is_projector(task, plan))


def _is_projector(task: FileTask, plan: Plan) -> bool:
    return plan.projector is not None and real_path(task.destination) == real_path(plan.projector)


async def _in_thread(pool: ThreadPoolExecutor, work: Callable[[], T], abort: Callable[[], None]) -> T:
    """Run blocking work; when cancelled, ``abort`` it and wait for its thread."""
    future = asyncio.get_running_loop().run_in_executor(pool, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        abort()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([future])
        if not future.cancelled():
            future.exception()
        raise
