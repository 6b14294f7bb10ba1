"""The models of the server: local ones in the pool, the others behind the switcher's rules."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from parlant_local.backends.base import Backend, ModelInfo
from parlant_local.backends.described import info_of_record
from parlant_local.backends.in_process import InProcessBackend
from parlant_local.backends.registry import IN_PROCESS, create_backend
from parlant_local.catalog import LocalModelManager
from parlant_local.cores import usable_cores
from parlant_local.engine.pool import ModelPool
from parlant_local.errors import (
    BadRequestError,
    InsufficientMemoryError,
    InvalidModelError,
    ParlantLocalError,
    TemplateError,
)
from parlant_local.gguf_info import GGUFHeader, available_memory, read_header
from parlant_local.observability import Logger
from parlant_local.server.elsewhere import Elsewhere, Routes
from parlant_local.server.naming import SWITCHED, Directory, Served
from parlant_local.server.pooled import PooledBackend
from parlant_local.settings import EngineSettings, Settings
from parlant_local.switching import CallRecord, RoutedBackend, TokenBudget
from parlant_local.switching.resolve import TargetResolver
from parlant_local.switching.targets import Target

__all__ = ["Models"]

_MIB = 1024 * 1024
_RESERVE = 0.9  # of the memory that is free at the start, where engine.memory_mb does not say
_RECENT = 50
_STREAMS = 8  # at once on a CPU, where engine.n_seq_max does not say; the engine keeps one more for urgent calls


class Models:
    """Finds the backend that a client's name means. Belongs to one event loop."""

    def __init__(self, settings: Settings, manager: LocalModelManager, logger: Logger) -> None:
        self.settings = settings
        self.manager = manager
        self.directory = Directory(settings, manager, lambda: self.pool.loaded())
        self._logger = logger
        self._served: dict[str, Served] = {}
        self._resolver = TargetResolver(settings, manager=manager, logger=logger)
        lasting = frozenset([SWITCHED, *self.directory.elsewhere().values()])
        self._routes = Routes(self._made, lasting.__contains__)
        self._lasting = lasting | frozenset(self.directory.elsewhere())
        self._budget = TokenBudget(settings.switcher.budget, settings.home / "remote-tokens.json", logger=logger)
        self._recent: deque[dict[str, Any]] = deque(maxlen=_RECENT)
        limit = settings.engine.memory_mb
        self.pool: ModelPool[InProcessBackend] = ModelPool(
            self._load,
            self._estimate,
            budget=limit * _MIB if limit else int(available_memory() * _RESERVE),
            keep_alive=settings.engine.keep_alive_seconds,
            logger=logger,
        )

    # -- by name ------------------------------------------------------------------------------------------------------

    async def backend(self, name: str | None) -> tuple[str, Backend]:
        """The listed name and the backend that answers for it; nothing is loaded before its first call.

        Raises :class:`ModelNotFoundError`, or what the switcher's rules say against a remote model.
        """
        if name is None or name == "":
            if self.switches:
                return SWITCHED, self._chain()
            name = await asyncio.to_thread(self.directory.default)
            if (place := self.directory.place_of(name)) is not None:
                return name, Elsewhere(self._routes, place)
            served = await self._remember(await asyncio.to_thread(self.directory.owned, name))
            return served.name, self._pooled(served)
        self.directory.check_name(name)
        if name == SWITCHED and self.switches:
            return SWITCHED, self._chain()
        if (known := self._served.get(name)) is not None and known.key in self.pool.loaded():
            return known.name, self._pooled(known)
        if (place := self.directory.place_of(name)) is not None:
            return name, Elsewhere(self._routes, place)
        served = await self._remember(await self.directory.find(name))
        return served.name, self._pooled(served)

    @asynccontextmanager
    async def engine(self, name: str | None) -> AsyncIterator[tuple[str, InProcessBackend]]:
        """A model in this process, loaded; for what only it can do (templates, detokenising)."""
        listed, backend = await self.backend(name)
        if not isinstance(backend, PooledBackend):
            raise BadRequestError(f"{listed} is not loaded in this process.", hint="Name a local model.")
        served = self._served[listed]
        async with self.pool.use(served.key) as loaded:
            yield listed, loaded

    def prepare(self) -> None:
        """Puts together what answers requests that name no model, where that may be elsewhere: what forbids it is told now.

        Raises what is wrong with the settings of those places.
        """
        if self.switches:
            self._chain()
        elif self.settings.model is not None and (place := self.directory.place_of(self.settings.model)) is not None:
            self._routes.open(place)

    def label(self, name: str) -> str:
        """What a model's figures are counted under: names that clients make up are all one."""
        return name if name in self._lasting or name in self._served else "other"

    async def find(self, name: str) -> Served:
        self.directory.check_name(name)
        return await self._remember(await self.directory.find(name))

    async def load(self, name: str) -> Served:
        served = await self.find(name)
        await self.pool.load(served.key)
        return served

    async def preload(self, name: str) -> None:
        """Loads a model that the owner named, which may be by a path, and gets what renders its chats ready as well."""
        if name == self.settings.model:
            served = await self._remember(await asyncio.to_thread(self.directory.owned, name))
        else:
            served = await self.find(name)
        async with self.pool.use(served.key) as backend:
            if not served.record.is_embedding:
                try:
                    await backend.render("ready")
                except TemplateError as error:
                    self._logger.warning(f"{served.name} can't chat, only complete: {error}")

    async def unload(self, name: str) -> bool:
        """False where it was not loaded. :class:`ModelInUseError` while it answers."""
        return await self.pool.unload((await self.find(name)).key)

    def info(self, served: Served) -> ModelInfo:
        loaded = self.pool.loaded().get(served.key)
        return loaded.model_info() if loaded is not None else info_of_record(served.record)

    async def close(self) -> None:
        await self._routes.close()
        await self.pool.close()

    # -- the switcher -------------------------------------------------------------------------------------------------

    @property
    def switches(self) -> bool:
        """Whether more than one model may answer a call."""
        return bool(self.settings.switcher.fallbacks)

    def routes(self) -> dict[str, RoutedBackend]:
        """Every chain that has been asked, by the name it is asked by."""
        return dict(self._routes.all())

    def recent_switches(self) -> list[dict[str, Any]]:
        """The last failures and fallbacks, the newest first; no content."""
        return list(reversed(self._recent))

    def _chain(self) -> RoutedBackend:
        return self._routes.open(SWITCHED)

    def _made(self, name: str) -> RoutedBackend:
        if name == SWITCHED:
            first = self.directory.default()
            return self._routed(
                [self._target(item) for item in dict.fromkeys([first, *self.settings.switcher.fallbacks])]
            )
        return self._routed([self._target(name)])

    def _routed(self, targets: list[Target]) -> RoutedBackend:
        return RoutedBackend(
            targets,
            settings=self.settings.switcher,
            budget=self._budget,
            offline=self.settings.offline,
            logger=self._logger,
            observer=self._note,
        )

    def _note(self, record: CallRecord) -> None:
        if record.error is not None or record.reason not in ("primary", "again"):
            told = {"target": record.target, "reason": record.reason, "error": record.error}
            self._recent.append({**told, "time": round(time.time(), 1), "seconds": round(record.seconds, 3)})

    def _target(self, name: str) -> Target:
        if (place := self.directory.place_of(name)) is not None:
            return self._resolver.target(place)
        served = self._keep(self.directory.owned(name))
        info = info_of_record(served.record)
        facts = self.settings.switcher.targets.get(name)
        target = Target(served.name, lambda: self._pooled(served), info=info)
        return target if facts is None else Target(target.id, target.open, info=info, facts=facts)

    # -- the pool -----------------------------------------------------------------------------------------------------

    def _pooled(self, served: Served) -> PooledBackend:
        return PooledBackend(self.pool, served.key, info_of_record(served.record))

    async def _remember(self, served: Served) -> Served:
        if served.record.path is not None and served.key not in self.pool.loaded():
            # Read off the loop: the pool asks for estimates on it. A broken file is told when it is loaded.
            with contextlib.suppress(ParlantLocalError, OSError):
                await asyncio.to_thread(_header, served.record.path, _stamp(served.record.path))
        return self._keep(served)

    def _keep(self, served: Served) -> Served:
        self._served[served.name] = self._served[served.key] = served
        return served

    async def _load(self, key: str) -> InProcessBackend:
        served = self._served[key]
        self._logger.info(f"Loading {served.name}.")
        options = served.options
        backend = create_backend(
            IN_PROCESS,
            model_path=str(served.record.path),
            chat_format=options.chat_format if options else None,
            settings=self.settings.model_copy(update={"engine": self._engine(served)}),
            manager=self.manager,
            logger=self._logger,
        )
        assert isinstance(backend, InProcessBackend)
        try:
            await backend.load()
        except BaseException:
            await backend.close()
            raise
        self._logger.info(f"{served.name} is loaded.")
        return backend

    def _engine(self, served: Served) -> EngineSettings:
        """The engine's settings for one model: the owner's, and room for as many streams as people watch at a time.

        By itself the engine answers fewer at once on a CPU, so that the first of a crowd of calls is done early; who watches
        a stream cares for its beginning instead. In a cache that is split every sequence would cost a whole context.
        """
        from parlant_local.engine.sizing import on_gpu

        engine = self.settings.engine
        if served.options is not None:
            own = served.options.model_dump(include={"n_ctx", "n_gpu_layers", "n_threads"}, exclude_none=True)
            engine = engine.model_copy(update=own)
        if engine.n_seq_max is None and not on_gpu(engine) and engine.unified_kv is not False:
            return engine.model_copy(update={"n_seq_max": max(_STREAMS, 2 * (engine.n_threads or usable_cores())) + 1})
        return engine

    def _estimate(self, key: str) -> int:
        from parlant_local.engine.sizing import plan

        served = self._served[key]
        assert served.record.path is not None
        header = _header(served.record.path, _stamp(served.record.path))
        try:
            return plan(header, served.name, self._engine(served)).estimate.total
        except InsufficientMemoryError as error:
            return error.needed or 0  # others may be unloaded to make room; loading checks again


def _header(path: Path, stamp: int) -> GGUFHeader:
    found = _read(path, stamp)
    if isinstance(found, InvalidModelError):
        raise InvalidModelError(found.message, hint=found.hint)
    return found


@lru_cache(maxsize=64)
def _read(path: Path, _stamp: int) -> GGUFHeader | InvalidModelError:
    """What a file says, or what is wrong with it: that is remembered too, so that the loop never reads a bad file again."""
    try:
        return read_header(path)
    except InvalidModelError as error:
        return error


def _stamp(path: Path) -> int:
    return path.stat().st_mtime_ns
