"""Several models under one memory budget: loaded on demand, shared while used, the longest idle evicted first."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, Literal, Protocol, TypeVar

from parlant_local.engine.loading import ABANDONED_SECONDS
from parlant_local.engine.pool_memory import NOTHING, PoolMemory, exceeds, memory_of
from parlant_local.errors import (
    EngineClosedError,
    EngineError,
    ModelInUseError,
    ParlantLocalError,
)
from parlant_local.observability import Logger, NullLogger

__all__ = ["Guest", "ModelPool", "PoolMemory", "PoolStatus"]

State = Literal["loading", "loaded", "unloading"]
UnloadReason = Literal["asked", "evicted", "idle", "closed"]
"""Why a model was unloaded: by somebody, for another one's memory, after its keep-alive time, at the end."""


_REMEMBERED = 1000
"""Evictions whose time is known."""


class Closable(Protocol):
    async def close(self) -> None: ...


class Guest(Closable, Protocol):
    """Something that loads itself when it is used, and takes memory until it is closed; it may be used again after that."""

    def memory(self) -> PoolMemory: ...


M = TypeVar("M", bound=Closable)


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """One model of the pool."""

    state: State
    users: int
    size: int
    """Bytes, as estimated."""
    idle_seconds: float
    """Since the last user left; 0 while there is one."""
    loaded_seconds: float | None = None
    """Since it was loaded."""


@dataclass(slots=True, eq=False)
class _Slot(Generic[M]):
    size: PoolMemory
    state: State = "loading"
    users: int = 0
    idle_since: float = 0.0
    loaded_at: float | None = None
    model: M | None = None
    guest: Guest | None = None
    """Instead of a model."""
    loading: asyncio.Future[M | None] | None = None
    finishing: asyncio.Task[None] | None = None
    closing: asyncio.Task[None] | None = None
    ready: asyncio.Future[M | None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class ModelPool(Generic[M]):
    """Loads models by id and keeps them while they are used. Belongs to one event loop.

    ``load`` loads a model; ``estimate`` gives its bytes beforehand; ``budget`` is what all models may take together (a number is
    of the machine's memory; a function is called at the first load). An idle model is unloaded after ``keep_alive`` seconds, or sooner when another needs its memory. ``taken`` gives the bytes of a
    loaded one, which may grow; None: as estimated. ``abandoned_after``: how long a load without waiters goes on, for callers
    that time out and retry.
    """

    def __init__(
        self,
        load: Callable[[str], Awaitable[M]],
        estimate: Callable[[str], int | PoolMemory],
        *,
        budget: int | Callable[[], PoolMemory],
        taken: Callable[[M], PoolMemory] | None = None,
        keep_alive: float = 1800.0,
        abandoned_after: float = ABANDONED_SECONDS,
        logger: Logger | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._estimate = estimate
        self._budget_at_first = budget if callable(budget) else lambda: memory_of(budget)
        self._taken = taken
        self._keep_alive = keep_alive
        self._abandoned_after = abandoned_after
        self._logger: Logger = logger or NullLogger()
        self._clock = clock
        self._slots: dict[str, _Slot[M]] = {}
        self._guests: dict[str, Guest] = {}
        self._changed = asyncio.Condition()
        self._idle_task: asyncio.Task[None] | None = None
        self._closed = False
        self.loads = 0
        self.unloads: Counter[UnloadReason] = Counter()
        self._evicted: deque[float] = deque(maxlen=_REMEMBERED)

    @asynccontextmanager
    async def use(self, model_id: str) -> AsyncIterator[M]:
        """The loaded model; it stays loaded until the block ends. Callers of one model share one load.

        Raises what ``load`` raises, and :class:`InsufficientMemoryError` where the model alone exceeds the budget. Waits
        while models in use take the memory it needs. A load without waiters is cancelled after a moment.
        """
        async with self._used(model_id) as model:
            assert model is not None
            yield model

    @asynccontextmanager
    async def _used(self, model_id: str) -> AsyncIterator[M | None]:
        slot = await self._acquire(model_id)
        try:
            # Shielded: the load goes on for its other waiters.
            yield await asyncio.shield(slot.ready)
        finally:
            slot.users -= 1
            slot.idle_since = self._clock()
            if slot.state == "loading" and not slot.users:
                asyncio.get_running_loop().call_later(self._abandoned_after, self._cancel_if_abandoned, slot)
            await self._notify()

    @asynccontextmanager
    async def host(self, name: str, guest: Guest) -> AsyncIterator[None]:
        """Counts a guest among the models while it is used and until it is evicted as they are, which closes it.

        Raises and waits as :meth:`use` does.
        """
        self._guests[name] = guest
        slot = self._slots.get(name)
        if slot is not None and slot.state == "loaded" and not slot.users and not guest.memory().fits(slot.size):
            await self._unload(name, slot, "evicted")  # it needs more than there was room for
        async with self._used(name):
            yield

    async def load(self, model_id: str) -> None:
        """Loads a model ahead of its first use."""
        async with self.use(model_id):
            pass

    async def unload(self, model_id: str) -> bool:
        """Unloads an idle model, or cancels its load; False where it is not loaded. :class:`ModelInUseError` while it is used."""
        slot = self._slots.get(model_id)
        if slot is None:
            return False
        if slot.state == "loading":
            await self._cancel_load(slot)
            return True
        if slot.users or slot.state != "loaded":
            raise ModelInUseError(
                f"{model_id} is {'in use' if slot.users else slot.state}.", hint="Wait until its requests are done."
            )
        await self._unload(model_id, slot, "asked")
        return True

    def evictions(self, seconds: float) -> int:
        """How many models made room for others in the last ``seconds``; more than a thousand are not counted."""
        since = self._clock() - seconds
        return sum(when >= since for when in self._evicted)

    def status(self) -> Mapping[str, PoolStatus]:
        now = self._clock()
        return {
            model_id: PoolStatus(
                slot.state,
                slot.users,
                self._size(slot).ram + self._size(slot).gpu,
                0.0 if slot.users else max(0.0, now - slot.idle_since),
                None if slot.loaded_at is None else now - slot.loaded_at,
            )
            for model_id, slot in self._slots.items()
            if slot.guest is None
        }

    def loaded(self) -> Mapping[str, M]:
        """Models that are loaded now; does not load any."""
        return {
            model_id: slot.model
            for model_id, slot in self._slots.items()
            if slot.model is not None and slot.state == "loaded"
        }

    @property
    def size(self) -> int:
        """Estimated bytes of all the pool's models now."""
        return (taken := self._sum(self._slots.values())).ram + taken.gpu

    @cached_property
    def _budget(self) -> PoolMemory:
        return self._budget_at_first()

    def _sum(self, slots: Iterable[_Slot[M]]) -> PoolMemory:
        return sum(map(self._size, slots), start=NOTHING)

    def _size(self, slot: _Slot[M]) -> PoolMemory:
        if slot.guest is not None:
            return slot.guest.memory() if slot.state == "loaded" else slot.size
        if self._taken is None or slot.model is None or slot.state != "loaded":
            return slot.size
        return self._taken(slot.model)

    async def close(self) -> None:
        """Unloads everything, even if in use. Idempotent."""
        self._closed = True
        if self._idle_task is not None:
            self._idle_task.cancel()
        await asyncio.gather(
            *(self._cancel_load(slot) for slot in list(self._slots.values()) if slot.state == "loading")
        )
        for model_id, slot in list(self._slots.items()):
            if slot.state == "loaded":
                await self._unload(model_id, slot, "closed")

    # -- parts --------------------------------------------------------------------------------------------------------

    async def _acquire(self, model_id: str) -> _Slot[M]:
        """The model's slot with one more user; created, and its load started, where there was none."""
        if self._closed:
            raise EngineClosedError("The model pool is closed.")
        while True:
            slot = self._slots.get(model_id)
            if slot is not None and slot.state != "unloading":
                slot.users += 1
                return slot
            if slot is None and (slot := await self._reserve(model_id)) is not None:
                slot.users += 1
                slot.loading = asyncio.ensure_future(self._loaded(model_id, slot))
                slot.finishing = asyncio.ensure_future(self._finish_load(model_id, slot, slot.loading))
                return slot
            async with self._changed:
                await self._changed.wait_for(lambda: self._should_retry(model_id))
            if self._closed:
                raise EngineClosedError("The model pool is closed.")

    async def _loaded(self, model_id: str, slot: _Slot[M]) -> M | None:
        return None if slot.guest is not None else await self._load(model_id)

    def _needed(self, model_id: str) -> PoolMemory:
        guest = self._guests.get(model_id)
        return memory_of(self._estimate(model_id)) if guest is None else guest.memory()

    def _should_retry(self, model_id: str) -> bool:
        slot = self._slots.get(model_id)
        return self._closed or (slot is not None and slot.state != "unloading") or self._could_fit(model_id)

    def _could_fit(self, model_id: str) -> bool:
        busy = self._sum(slot for slot in self._slots.values() if slot.users or slot.state != "loaded")
        return model_id not in self._slots and (busy + self._needed(model_id)).fits(self._budget)

    async def _reserve(self, model_id: str) -> _Slot[M] | None:
        """A slot for a model, after unloading idle ones if need be; None where models in use take the memory."""
        size = self._needed(model_id)
        if not size.fits(self._budget):
            raise exceeds(model_id, size, self._budget)
        while not (self._sum(self._slots.values()) + size).fits(self._budget):
            idle = [(p.idle_since, name) for name, p in self._slots.items() if p.state == "loaded" and not p.users]
            if not idle or not self._could_fit(model_id):
                return None
            name = min(idle)[1]
            self._logger.info(f"Unloading {name} to make room for {model_id}.")
            await self._unload(name, self._slots[name], "evicted")
            if model_id in self._slots:
                return None  # another caller was faster
        slot: _Slot[M] = _Slot(size, guest=self._guests.get(model_id))
        self._slots[model_id] = slot
        return slot

    def _cancel_if_abandoned(self, slot: _Slot[M]) -> None:
        if slot.state == "loading" and not slot.users and slot.loading is not None:
            slot.loading.cancel()

    async def _cancel_load(self, slot: _Slot[M]) -> None:
        """Cancels a load; its waiters get an error."""
        if slot.loading is not None and slot.finishing is not None:
            slot.loading.cancel()
            await asyncio.wait([slot.finishing])

    async def _finish_load(self, model_id: str, slot: _Slot[M], loading: asyncio.Future[M | None]) -> None:
        try:
            model = await loading
        except (Exception, asyncio.CancelledError) as error:
            del self._slots[model_id]
            slot.ready.set_exception(self._load_error(model_id, error))
            slot.ready.exception()  # retrieved here, as there may be no waiter left
        else:
            slot.model, slot.state = model, "loaded"
            self.loads += 1
            slot.idle_since = slot.loaded_at = self._clock()
            slot.ready.set_result(model)
            if self._idle_task is None and self._keep_alive > 0:
                self._idle_task = asyncio.ensure_future(self._unload_idle())
        await self._notify()

    def _load_error(self, model_id: str, error: BaseException) -> Exception:
        if isinstance(error, asyncio.CancelledError):
            return EngineClosedError(f"Loading {model_id} was cancelled.", hint="Send the request again to load it.")
        return error if isinstance(error, ParlantLocalError) else EngineError(f"Loading {model_id} failed: {error!r}")

    async def _unload(self, model_id: str, slot: _Slot[M], why: UnloadReason) -> None:
        self.unloads[why] += 1
        if why == "evicted":
            self._evicted.append(self._clock())
        slot.state = "unloading"
        # Shielded from cancellation: a half-closed model would hold memory that the pool no longer counts.
        slot.closing = asyncio.create_task(self._finish_unload(model_id, slot))
        await asyncio.shield(slot.closing)

    async def _finish_unload(self, model_id: str, slot: _Slot[M]) -> None:
        model, slot.model = slot.model, None
        try:
            if (closing := slot.guest or model) is not None:
                await closing.close()
        finally:
            self._slots.pop(model_id, None)
            await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _unload_idle(self) -> None:
        """Unloads models that were idle for the keep-alive time."""
        while True:
            await asyncio.sleep(max(0.05, min(self._keep_alive / 4, 30.0)))
            now = self._clock()
            for model_id, slot in list(self._slots.items()):
                if slot.state == "loaded" and not slot.users and now - slot.idle_since > self._keep_alive:
                    self._logger.info(f"Unloading {model_id}: idle for {self._keep_alive:g} s.")
                    await self._unload(model_id, slot, "idle")
