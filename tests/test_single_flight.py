"""One piece of work for all who wait for it."""

from __future__ import annotations

import asyncio
import gc
import warnings

import pytest

from parlant_local.single_flight import SingleFlight


class Work:
    """Answers with how often it was begun, once it may."""

    def __init__(self) -> None:
        self.begun = self.ended = 0
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        try:
            await self.go.wait()
            if self.error is not None:
                raise self.error
            return number
        finally:
            await asyncio.sleep(0)
            self.ended += 1


async def ticks() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_crowd_shares_one_run_and_the_next_caller_begins_another() -> None:
    work = Work()
    flight = SingleFlight(work)
    crowd = [asyncio.ensure_future(flight()) for _ in range(20)]
    await ticks()
    assert flight.running
    work.go.set()
    assert await asyncio.gather(*crowd) == [1] * 20
    assert not flight.running
    assert await flight() == 2


async def test_a_success_may_be_kept_and_a_failure_never_is() -> None:
    work = Work()
    work.go.set()
    work.error = ValueError("no")
    flight = SingleFlight(work, keep=True)
    outcomes = await asyncio.gather(*(flight() for _ in range(5)), return_exceptions=True)
    assert outcomes == [work.error] * 5
    work.error = None
    assert [await flight() for _ in range(3)] == [2, 2, 2]
    assert work.begun == 2


async def test_one_who_gives_up_leaves_it_to_the_others() -> None:
    work = Work()
    flight = SingleFlight(work)
    first, second = asyncio.ensure_future(flight()), asyncio.ensure_future(flight())
    await ticks()
    first.cancel()
    await ticks()
    assert first.cancelled()
    work.go.set()
    assert await second == 1


async def test_the_last_one_ends_it_waits_for_its_end_and_nobody_joins_what_ends() -> None:
    work = Work()
    flight = SingleFlight(work)
    callers = [asyncio.ensure_future(flight()) for _ in range(2)]
    await ticks()
    for caller in callers:
        caller.cancel()
    await asyncio.sleep(0)  # the work is told to end, and has not yet
    assert work.ended == 0
    assert not flight.running
    late = asyncio.ensure_future(flight())
    await asyncio.gather(*callers, return_exceptions=True)
    assert work.ended == 1
    work.go.set()
    assert await late == 2


async def test_stopping_ends_it_for_all() -> None:
    work = Work()
    flight = SingleFlight(work)
    callers = [asyncio.ensure_future(flight()) for _ in range(2)]
    await ticks()
    await flight.stop()
    await flight.stop()
    assert (work.ended, flight.running) == (1, False)
    assert all(
        isinstance(item, asyncio.CancelledError) for item in await asyncio.gather(*callers, return_exceptions=True)
    )


@pytest.mark.filterwarnings("error")
async def test_a_failure_that_nobody_waits_for_is_no_news() -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))

    async def stubborn() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("while it ends")

    caller = asyncio.ensure_future(SingleFlight(stubborn)())
    await ticks()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    del caller
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()
    await ticks()
    assert told == []


def test_each_loop_has_a_flight_of_its_own() -> None:
    async def once(flight: SingleFlight[int]) -> int:
        return await flight()

    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    flight = SingleFlight(work)
    assert [asyncio.run(once(flight)) for _ in range(2)] == [7, 7]
