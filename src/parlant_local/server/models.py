"""The models of the server: local ones in the pool, external ones behind the switcher's rules."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from parlant_local.backends.base import Backend, ModelInfo
from parlant_local.backends.described import info_of_record
from parlant_local.backends.in_process import InProcessBackend
from parlant_local.catalog import LocalModelManager
from parlant_local.engine.pool import ModelPool
from parlant_local.errors import (
    BadRequestError,
    EngineClosedError,
    ParlantLocalError,
    RequestRefusedError,
    TemplateError,
)
from parlant_local.observability import Logger
from parlant_local.server.external import ExternalModel, Routes
from parlant_local.server.loader import ModelLoader, header_of, taken
from parlant_local.server.naming import SWITCHED, Directory, Served
from parlant_local.server.pooled import PooledBackend
from parlant_local.server.shapes.answers import Progress
from parlant_local.settings import Settings
from parlant_local.switching import CallRecord, RoutedBackend, TokenBudget
from parlant_local.switching.breaker import BreakerState
from parlant_local.switching.ledger import Spent
from parlant_local.switching.resolve import TargetResolver
from parlant_local.switching.targets import Target

__all__ = ["Models"]

_RECENT = 50
_MAX_ADAPTED = 64


class Models:
    """Resolves model names to backends. Belongs to one event loop."""

    def __init__(
        self,
        settings: Settings,
        manager: LocalModelManager,
        logger: Logger,
        makes_pictures: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.settings = settings
        self._makes_pictures = makes_pictures
        self.manager = manager
        self.directory = Directory(settings, manager, lambda: self.pool.loaded())
        self._logger = logger
        self._served: dict[str, Served] = {}
        self._resolver = TargetResolver(settings, manager=manager, logger=logger)
        permanent = frozenset([SWITCHED, *self.directory.external_models().values()])
        self._routes = Routes(self._make_route, permanent.__contains__)
        self._permanent = permanent | frozenset(self.directory.external_models())
        self._budget = TokenBudget(settings.switcher.budget, settings.home / "remote-tokens.json", logger=logger)
        self._recent: deque[dict[str, Any]] = deque(maxlen=_RECENT)
        self._loader = ModelLoader(settings, manager, self._served, logger)
        self.pool: ModelPool[InProcessBackend] = ModelPool(
            self._loader.load,
            self._loader.estimate,
            budget=self._loader.budget,
            taken=taken,
            keep_alive=settings.engine.keep_alive_seconds,
            logger=logger,
        )

    # -- by name ------------------------------------------------------------------------------------------------------

    async def backend(self, name: str | None) -> tuple[str, Backend]:
        """The listed name and its backend; nothing is loaded before its first call.

        Raises :class:`ModelNotFoundError`, :class:`RequestRefusedError` for a model that makes pictures, or the switcher's error for a
        remote model.
        """
        if name is None or name == "":
            if self.switches:
                return SWITCHED, self._chain()
            name = await asyncio.to_thread(self.directory.default)
            if (place := self.directory.external_id(name)) is not None:
                return name, ExternalModel(self._routes, place)
            served = await self._remember(await asyncio.to_thread(self.directory.owned, name))
            return served.name, self._pooled(served)
        self.directory.check_name(name)
        if name == SWITCHED and self.switches:
            return SWITCHED, self._chain()
        known = self._served.get(name)
        if known is not None and not known.adapters and known.key in self.pool.loaded():
            return known.name, self._pooled(known)
        if name not in self.directory.external_models() and self._makes_pictures(name):
            raise RequestRefusedError(
                400,
                f"{name} makes pictures, and reads no conversations: take POST /v1/images/generations.",
                code="makes_pictures",
                param="model",
            )
        if (place := self.directory.external_id(name)) is not None:
            return name, ExternalModel(self._routes, place)
        served = await self._remember(await self.directory.find(name))
        return served.name, self._pooled(served)

    @asynccontextmanager
    async def engine(self, name: str | None) -> AsyncIterator[tuple[str, InProcessBackend]]:
        """A loaded model of this process, for what only it supports (templates, detokenising)."""
        listed, backend = await self.backend(name)
        if not isinstance(backend, PooledBackend):
            raise BadRequestError(f"{listed} does not run in this process.", hint="Use a local model.")
        served = self._served[listed]
        async with self.pool.use(served.key) as loaded:
            yield listed, loaded

    def prepare(self) -> None:
        """Opens the route for requests without a model, if it is external, so that errors show now.

        Raises what is wrong with its settings.
        """
        if self.switches:
            self._chain()
        elif self.settings.model is not None and (place := self.directory.external_id(self.settings.model)) is not None:
            self._routes.open(place)

    def label(self, name: str) -> str:
        """The metrics label of a model: unknown names share one."""
        served = self._served.get(name)
        if served is not None and served.adapters:  # without scales
            return f"{served.record.id}:{'+'.join(adapter.name for adapter in served.adapters)}"
        return name if name in self._permanent or served is not None else "other"

    async def find(self, name: str) -> Served:
        self.directory.check_name(name)
        return await self._remember(await self.directory.find(name))

    async def load(self, name: str) -> Served:
        served = await self.find(name)
        await self.pool.load(served.key)
        return served

    async def preload(self, name: str) -> None:
        """Loads a configured model, which may be a path, and prepares its chat template as well."""
        if name == self.settings.model:
            served = await self._remember(await asyncio.to_thread(self.directory.owned, name))
        else:
            served = await self.find(name)
        async with self.pool.use(served.key) as backend:
            if not served.record.is_embedding:
                try:
                    await backend.render("ready")
                except TemplateError as error:
                    self._logger.warning(f"{served.name} supports completions only, no chat: {error}")

    async def unload(self, name: str) -> bool:
        """False where it was not loaded. :class:`ModelInUseError` while it answers."""
        return await self.pool.unload((await self.find(name)).key)

    def info(self, served: Served) -> ModelInfo:
        loaded = self.pool.loaded().get(served.key)
        if loaded is not None:
            with contextlib.suppress(EngineClosedError):  # it was unloaded meanwhile, on another thread
                return loaded.model_info()
        return info_of_record(served.record, id=served.id)

    def load_share(self, key: str) -> float | None:
        """How much of a model that is being loaded is there, 0 to 1; None where it isn't being loaded."""
        return self._loader.share(key)

    def waits_for(self, name: str) -> Progress | None:
        """What a request for this model waits for before its engine has it; None where that is nothing known here."""
        if (served := self._served.get(name)) is None or served.key in self.pool.loaded():
            return None
        if served.key not in self.pool.status():
            return {"phase": "memory"}
        return {"phase": "loading", "share": round(self.load_share(served.key) or 0.0, 3)}

    async def close(self) -> None:
        await self._routes.close()
        await self.pool.close()

    def spent(self) -> Spent:
        """Tokens of remote models, as far as is known."""
        return self._budget.known()

    # -- the switcher -------------------------------------------------------------------------------------------------

    @property
    def switches(self) -> bool:
        """Whether fallbacks are configured."""
        return bool(self.settings.switcher.fallbacks)

    def routes(self) -> dict[str, RoutedBackend]:
        """Every open route, by name."""
        return dict(self._routes.all())

    def breakers(self) -> dict[str, BreakerState]:
        """Of every target that was asked; of one in several routes, the worst."""
        found: dict[str, BreakerState] = {}
        for route in self._routes.all().values():
            for target, told in route.stats()["targets"].items():
                found[target] = max(
                    found.get(target, "closed"), told["breaker"], key=("closed", "half_open", "open").index
                )
        return found

    def spent_up(self) -> str | None:
        """The limit of the budget that remote models have reached."""
        spent, limits = self.spent(), self.settings.switcher.budget
        if limits.total_tokens is not None and spent.total >= limits.total_tokens:
            return "total_tokens"
        return "daily_tokens" if limits.daily_tokens is not None and spent.today >= limits.daily_tokens else None

    def recent_switches(self) -> list[dict[str, Any]]:
        """The last failures and fallbacks, the newest first; no content."""
        return list(reversed(self._recent))

    def _chain(self) -> RoutedBackend:
        return self._routes.open(SWITCHED)

    def _make_route(self, name: str) -> RoutedBackend:
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
            entry = {"target": record.target, "reason": record.reason, "error": record.error}
            self._recent.append({**entry, "time": round(time.time(), 1), "seconds": round(record.seconds, 3)})

    def _target(self, name: str) -> Target:
        if (place := self.directory.external_id(name)) is not None:
            return self._resolver.target(place)
        served = self._keep(self.directory.owned(name))
        info = info_of_record(served.record, id=served.id)
        facts = self.settings.switcher.targets.get(name)
        target = Target(served.name, lambda: self._pooled(served), info=info)
        return target if facts is None else Target(target.id, target.open, info=info, facts=facts)

    # -- the pool -----------------------------------------------------------------------------------------------------

    def _pooled(self, served: Served) -> PooledBackend:
        return PooledBackend(self.pool, served.key, info_of_record(served.record, id=served.id))

    async def _remember(self, served: Served) -> Served:
        if served.record.path is not None and served.key not in self.pool.loaded():
            # Read off the event loop: the pool needs estimates on it. A broken file is reported when it is loaded.
            with contextlib.suppress(ParlantLocalError, OSError):
                await asyncio.to_thread(header_of, served.record.path)
        return self._keep(served)

    def _keep(self, served: Served) -> Served:
        self._served[served.name] = self._served[served.key] = served
        if served.adapters:
            self._forget_adapted()
        return served

    def _forget_adapted(self) -> None:
        """Names of models with adapters are endless, as scales are: of those that are not loaded, some are kept."""
        here = self.pool.status()
        idle = [name for name, item in self._served.items() if item.adapters and item.key not in here]
        for name in idle[:-_MAX_ADAPTED]:
            del self._served[name]
