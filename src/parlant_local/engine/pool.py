"""Several models under one memory budget: loaded on demand, shared while used, the longest idle one out first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, Literal, Protocol, TypeVar

from parlant_local.engine.loading import ABANDONED_SECONDS
from parlant_local.errors import (
    EngineClosedError,
    EngineError,
    InsufficientMemoryError,
    ModelInUseError,
    ParlantLocalError,
)
from parlant_local.observability import Logger, NullLogger

__all__ = ["ModelPool", "PoolStatus"]

_MIB = 1024 * 1024
State = Literal["loading", "loaded", "unloading"]


class Closable(Protocol):
    async def close(self) -> None: ...


M = TypeVar("M", bound=Closable)


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """One model of the pool."""

    state: State
    users: int
    size: int
    """Bytes, as estimated before loading."""
    idle_seconds: float
    """Since the last user left; 0 while there is one."""


@dataclass(slots=True, eq=False)
class _Place(Generic[M]):
    size: int
    state: State = "loading"
    users: int = 0
    idle_since: float = 0.0
    model: M | None = None
    loading: asyncio.Future[M] | None = None
    filling: asyncio.Task[None] | None = None
    emptying: asyncio.Task[None] | None = None
    ready: asyncio.Future[M] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class ModelPool(Generic[M]):
    """Loads models by id and keeps them while they are wanted. Belongs to one event loop.

    ``load`` makes a model ready; ``estimate`` says beforehand how many bytes it will take; ``budget`` is what all of them
    may take together; an idle one is unloaded after ``keep_alive`` seconds, or sooner when another needs its place;
    ``patience`` is how long a load goes on that nobody waits for, for those who time out and ask again.
    """

    def __init__(
        self,
        load: Callable[[str], Awaitable[M]],
        estimate: Callable[[str], int],
        *,
        budget: int,
        keep_alive: float = 1800.0,
        patience: float = ABANDONED_SECONDS,
        logger: Logger | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._estimate = estimate
        self._budget = budget
        self._keep_alive = keep_alive
        self._patience = patience
        self._logger: Logger = logger or NullLogger()
        self._clock = clock
        self._places: dict[str, _Place[M]] = {}
        self._changed = asyncio.Condition()
        self._sweeper: asyncio.Task[None] | None = None
        self._closed = False

    @asynccontextmanager
    async def use(self, model_id: str) -> AsyncIterator[M]:
        """The loaded model; it stays loaded until the block ends. Callers of one model share one load.

        Raises what ``load`` raises, and :class:`InsufficientMemoryError` where the model alone exceeds the budget. Waits
        while models in use take the room it needs. A load that nobody waits for any more is given up after a moment.
        """
        place = await self._place(model_id)
        try:
            # Shielded: the load goes on for others who wait for it.
            yield await asyncio.shield(place.ready)
        finally:
            place.users -= 1
            place.idle_since = self._clock()
            if place.state == "loading" and not place.users:
                asyncio.get_running_loop().call_later(self._patience, self._give_up_if_abandoned, place)
            await self._announce()

    async def load(self, model_id: str) -> None:
        """Loads a model ahead of its first use."""
        async with self.use(model_id):
            pass

    async def unload(self, model_id: str) -> bool:
        """Unloads an idle model, or gives its load up; False where it is not loaded. :class:`ModelInUseError` while it is used."""
        place = self._places.get(model_id)
        if place is None:
            return False
        if place.state == "loading":
            await self._give_up(place)
            return True
        if place.users or place.state != "loaded":
            raise ModelInUseError(
                f"{model_id} is {'in use' if place.users else place.state}.", hint="Wait until its requests are done."
            )
        await self._unload(model_id, place)
        return True

    def status(self) -> Mapping[str, PoolStatus]:
        now = self._clock()
        return {
            model_id: PoolStatus(
                place.state, place.users, place.size, 0.0 if place.users else max(0.0, now - place.idle_since)
            )
            for model_id, place in self._places.items()
        }

    def loaded(self) -> Mapping[str, M]:
        """Models that are ready now; looking wakes none."""
        return {
            model_id: place.model
            for model_id, place in self._places.items()
            if place.model is not None and place.state == "loaded"
        }

    @property
    def size(self) -> int:
        """Bytes that the pool's models take."""
        return sum(place.size for place in self._places.values())

    async def close(self) -> None:
        """Unloads everything, whoever uses it. Idempotent."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        await asyncio.gather(
            *(self._give_up(place) for place in list(self._places.values()) if place.state == "loading")
        )
        for model_id, place in list(self._places.items()):
            if place.state == "loaded":
                await self._unload(model_id, place)

    # -- parts --------------------------------------------------------------------------------------------------------

    async def _place(self, model_id: str) -> _Place[M]:
        """The model's place with one more user, made and being loaded where there was none."""
        if self._closed:
            raise EngineClosedError("The model pool is closed.")
        while True:
            place = self._places.get(model_id)
            if place is not None and place.state != "unloading":
                place.users += 1
                return place
            if place is None and (place := await self._reserve(model_id)) is not None:
                place.users += 1
                place.loading = asyncio.ensure_future(self._load(model_id))
                place.filling = asyncio.ensure_future(self._fill(model_id, place, place.loading))
                return place
            async with self._changed:
                await self._changed.wait_for(lambda: self._something_new(model_id))
            if self._closed:
                raise EngineClosedError("The model pool is closed.")

    def _something_new(self, model_id: str) -> bool:
        place = self._places.get(model_id)
        return self._closed or (place is not None and place.state != "unloading") or self._could_fit(model_id)

    def _could_fit(self, model_id: str) -> bool:
        busy = sum(place.size for place in self._places.values() if place.users or place.state != "loaded")
        return model_id not in self._places and busy + self._estimate(model_id) <= self._budget

    async def _reserve(self, model_id: str) -> _Place[M] | None:
        """A place for a model, idle ones unloaded to make room; None where those in use take it."""
        size = self._estimate(model_id)
        if size > self._budget:
            raise InsufficientMemoryError(
                f"{model_id} needs about {size // _MIB} MiB; loaded models may take {self._budget // _MIB} MiB together.",
                needed=size,
                available=self._budget,
                hint="Take a smaller model or context, or raise engine.memory_mb.",
            )
        while self.size + size > self._budget:
            idle = [(p.idle_since, name) for name, p in self._places.items() if p.state == "loaded" and not p.users]
            if not idle or not self._could_fit(model_id):
                return None
            name = min(idle)[1]
            self._logger.info(f"Unloading {name} to make room for {model_id}.")
            await self._unload(name, self._places[name])
            if model_id in self._places:
                return None  # someone else was quicker
        place: _Place[M] = _Place(size)
        self._places[model_id] = place
        return place

    def _give_up_if_abandoned(self, place: _Place[M]) -> None:
        if place.state == "loading" and not place.users and place.loading is not None:
            place.loading.cancel()

    async def _give_up(self, place: _Place[M]) -> None:
        """Ends a load; those who wait for it hear of it."""
        if place.loading is not None and place.filling is not None:
            place.loading.cancel()
            await asyncio.wait([place.filling])

    async def _fill(self, model_id: str, place: _Place[M], loading: asyncio.Future[M]) -> None:
        try:
            model = await loading
        except (Exception, asyncio.CancelledError) as error:
            del self._places[model_id]
            place.ready.set_exception(self._load_error(model_id, error))
            place.ready.exception()  # whoever waits gets it; nobody may be left
        else:
            place.model, place.state = model, "loaded"
            place.idle_since = self._clock()
            place.ready.set_result(model)
            if self._sweeper is None and self._keep_alive > 0:
                self._sweeper = asyncio.ensure_future(self._sweep())
        await self._announce()

    def _load_error(self, model_id: str, error: BaseException) -> Exception:
        if isinstance(error, asyncio.CancelledError):
            return EngineClosedError(f"Loading {model_id} was given up.", hint="Ask again to load it.")
        return error if isinstance(error, ParlantLocalError) else EngineError(f"Loading {model_id} failed: {error!r}")

    async def _unload(self, model_id: str, place: _Place[M]) -> None:
        place.state = "unloading"
        # To its end, whoever leaves meanwhile: a model that is not quite closed takes memory that nobody counts any more.
        place.emptying = asyncio.create_task(self._empty(model_id, place))
        await asyncio.shield(place.emptying)

    async def _empty(self, model_id: str, place: _Place[M]) -> None:
        model, place.model = place.model, None
        try:
            if model is not None:
                await model.close()
        finally:
            self._places.pop(model_id, None)
            await self._announce()

    async def _announce(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _sweep(self) -> None:
        """Unloads what nobody has wanted for the keep-alive time."""
        while True:
            await asyncio.sleep(max(0.05, min(self._keep_alive / 4, 30.0)))
            now = self._clock()
            for model_id, place in list(self._places.items()):
                if place.state == "loaded" and not place.users and now - place.idle_since > self._keep_alive:
                    self._logger.info(f"Unloading {model_id}: idle for {self._keep_alive:g} s.")
                    await self._unload(model_id, place)
