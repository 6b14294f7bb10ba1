"""The pool of loaded models: shared loads, a budget, eviction of idle ones only."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parlant_local.engine.pool import ModelPool
from parlant_local.engine.pool_memory import PoolMemory
from parlant_local.errors import EngineClosedError, InsufficientMemoryError, ModelInUseError, ModelLoadError
from tests.support.eventually import eventually

SIZES = {"a": 40, "b": 40, "c": 40, "huge": 200, "broken": 10}


class Model:
    def __init__(self, name: str) -> None:
        self.name = name
        self.closed = False

    async def close(self) -> None:
        await asyncio.sleep(0)
        self.closed = True


class Loader:
    """Counts loads and checks that two of one model never overlap, nor more than the budget is alive."""

    def __init__(self, budget: int = 100) -> None:
        self.alive: list[Model] = []
        self.loads: list[str] = []
        self.budget = budget

    async def __call__(self, name: str) -> Model:
        self.loads.append(name)
        await asyncio.sleep(0.001)
        if name == "broken":
            raise ModelLoadError("broken can't be loaded.")
        self.alive = [model for model in self.alive if not model.closed]
        assert name not in [model.name for model in self.alive]
        model = Model(name)
        self.alive.append(model)
        assert sum(SIZES[m.name] for m in self.alive) <= self.budget
        return model


def make(loader: Loader, keep_alive: float = 1000.0) -> ModelPool[Model]:
    return ModelPool(loader, SIZES.__getitem__, budget=loader.budget, keep_alive=keep_alive)


async def test_callers_of_one_model_share_one_load() -> None:
    loader = Loader()
    pool = make(loader)

    async def use() -> Model:
        async with pool.use("a") as model:
            return model

    models = await asyncio.gather(*(use() for _ in range(20)))
    assert len({id(model) for model in models}) == 1
    assert loader.loads == ["a"]
    await pool.close()
    assert models[0].closed


async def test_the_longest_idle_model_makes_room() -> None:
    loader = Loader()
    pool = make(loader)
    await pool.load("a")
    await pool.load("b")
    await pool.load("a")
    await pool.load("c")
    assert set(pool.status()) == {"a", "c"}
    await pool.close()


async def test_a_model_in_use_is_never_evicted_and_the_newcomer_waits() -> None:
    loader = Loader()
    pool = make(loader)
    async with pool.use("a") as a, pool.use("b"):
        waiting = asyncio.create_task(pool.load("c"))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        assert not a.closed
        with pytest.raises(ModelInUseError):
            await pool.unload("a")
    await waiting
    assert "c" in pool.status()
    await pool.close()


async def test_a_model_larger_than_the_budget_is_refused_with_figures() -> None:
    pool = make(Loader())
    with pytest.raises(InsufficientMemoryError) as caught:
        await pool.load("huge")
    assert (caught.value.needed, caught.value.available) == (200, 100)


async def test_a_failed_load_reaches_every_waiter_and_may_be_tried_again() -> None:
    loader = Loader()
    pool = make(loader)
    results = await asyncio.gather(*(pool.load("broken") for _ in range(3)), return_exceptions=True)
    assert all(isinstance(result, ModelLoadError) for result in results)
    with pytest.raises(ModelLoadError):
        await pool.load("broken")
    assert loader.loads == ["broken", "broken"]
    assert pool.size == 0


async def test_an_idle_model_is_unloaded_after_its_time() -> None:
    pool = make(Loader(), keep_alive=0.05)
    await pool.load("a")
    await eventually(lambda: not pool.status())
    await pool.close()


async def test_a_cancelled_caller_leaves_no_user_behind() -> None:
    loader = Loader()
    pool = make(loader)
    task = asyncio.create_task(pool.load("a"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await pool.load("a")
    assert pool.status()["a"].users == 0
    await pool.close()


async def test_a_cancelled_caller_leaves_no_model_half_closed() -> None:
    """It had begun to make room; the model that goes takes its memory until it is gone."""
    loader = Loader()
    pool = make(loader)
    await pool.load("a")
    await pool.load("b")
    closing, go = asyncio.Event(), asyncio.Event()

    async def close() -> None:
        closing.set()
        await go.wait()
        loader.alive[0].closed = True

    loader.alive[0].close = close  # type: ignore[method-assign]  # a slow one
    leaving = asyncio.create_task(pool.load("c"))
    await closing.wait()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert pool.status()["a"].state == "unloading"
    go.set()
    await eventually(lambda: "a" not in pool.status())
    await pool.load("c")
    assert set(pool.status()) == {"b", "c"}
    await pool.close()


class SlowLoader(Loader):
    """Loads until it is told to end."""

    def __init__(self) -> None:
        super().__init__()
        self.given_up = 0
        self.go = asyncio.Event()

    async def __call__(self, name: str) -> Model:
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        return await super().__call__(name)


def patient(loader: Loader, patience: float) -> ModelPool[Model]:
    return ModelPool(loader, SIZES.__getitem__, budget=loader.budget, abandoned_after=patience)


async def test_who_times_out_and_asks_again_joins_the_load() -> None:
    loader = SlowLoader()
    pool = patient(loader, 600)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await pool.load("a")
    loader.go.set()
    await pool.load("a")
    assert (loader.loads, loader.given_up) == (["a"], 0)
    await pool.close()


async def test_a_load_without_waiters_is_cancelled() -> None:
    loader = SlowLoader()
    pool = patient(loader, 0.02)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await pool.load("a")
    await eventually(lambda: not pool.status())
    assert loader.given_up == 1
    loader.go.set()
    await pool.load("a")
    await pool.close()


@pytest.mark.parametrize("how", ["unload", "close"])
async def test_unloading_what_loads_ends_the_load_and_tells_who_waits(how: str) -> None:
    loader = SlowLoader()
    pool = patient(loader, 600)
    waiting = [asyncio.create_task(pool.load("a")) for _ in range(2)]
    while pool.status().get("a") is None:
        await asyncio.sleep(0)
    await (pool.close() if how == "close" else pool.unload("a"))
    for outcome in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(outcome, EngineClosedError)
    assert not pool.status()
    await pool.close()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 3), st.booleans()), min_size=1, max_size=30))
def test_any_crowd_gets_its_models_within_the_budget(calls: list[tuple[str, int, bool]]) -> None:
    """Whatever the order, durations and cancellations: nobody hangs, the budget holds, nothing is left."""

    async def run() -> None:
        loader = Loader()
        pool = make(loader)

        async def one(name: str, ticks: int) -> None:
            async with pool.use(name) as model:
                for _ in range(ticks):
                    await asyncio.sleep(0)
                    assert not model.closed

        tasks = []
        for name, ticks, cancelled in calls:
            task = asyncio.create_task(one(name, ticks))
            tasks.append(task)
            await asyncio.sleep(0)
            if cancelled:
                task.cancel()
        async with asyncio.timeout(60):
            results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(result is None or isinstance(result, asyncio.CancelledError) for result in results), results
        assert all(status.users == 0 for status in pool.status().values())
        await pool.close()
        assert all(model.closed for model in loader.alive)

    asyncio.run(run())


async def test_gpus_with_memory_of_their_own_are_a_second_sum() -> None:
    """RAM has room for both; the card has not, so the idle one goes."""
    loader = Loader(budget=1000)
    sizes = {"a": PoolMemory(10, 60), "b": PoolMemory(10, 60), "huge": PoolMemory(10, 200)}
    pool = ModelPool(loader, sizes.__getitem__, budget=lambda: PoolMemory(1000, 100))
    await pool.load("a")
    await pool.load("b")
    assert set(pool.loaded()) == {"b"}
    assert pool.size == 70
    with pytest.raises(InsufficientMemoryError, match="GPU memory"):
        await pool.load("huge")
    await pool.close()


async def test_a_model_that_grew_counts_with_what_it_takes_now() -> None:
    loader = Loader(budget=1000)
    grown = {"a": 40}
    pool = ModelPool(loader, SIZES.__getitem__, budget=100, taken=lambda model: PoolMemory(grown.get(model.name, 40)))
    await pool.load("a")
    grown["a"] = 70
    assert pool.status()["a"].size == 70
    await pool.load("b")
    assert set(pool.loaded()) == {"b"}
    await pool.close()
