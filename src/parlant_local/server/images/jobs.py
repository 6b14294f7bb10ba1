"""Pictures being made: one job at a time for each model, the others wait in a queue with a bound."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from parlant_local.errors import ParlantLocalError, QueueFullError, RequestRefusedError
from parlant_local.images import ImageBackend, ImageProgress, ImageReply, ImageRequest
from parlant_local.server.draining import SHUTTING_DOWN, Drain
from parlant_local.server.images.formats import Format
from parlant_local.server.images.gallery import Entry, new_id
from parlant_local.server.logs import ServerLogger
from parlant_local.server.problems import problem_of
from parlant_local.server.waiting import settle
from parlant_local.settings import ImageSettings

__all__ = ["Finished", "Job", "Jobs", "Order"]

_MAX_ENDED = 64

State = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made, by whom, for whom, and as what."""

    request: ImageRequest
    model: str
    """The listed id."""
    backend: ImageBackend
    owner: str
    form: Format = "png"
    quality: int | None = None
    keep: bool = True
    """Whether the pictures go to the gallery."""


@dataclass(frozen=True, slots=True)
class Finished:
    """One picture in its final format; ``entry`` where it is kept."""

    data: bytes = field(repr=False)
    width: int
    height: int
    seed: int | None
    entry: Entry | None


@dataclass(eq=False)
class Job:
    order: Order
    detached: bool
    """Whether it goes on without the client that started it."""
    id: str = field(default_factory=new_id)
    created: float = field(default_factory=time.time)
    state: State = "queued"
    progress: ImageProgress | None = None
    pictures: list[Finished] = field(default_factory=list, repr=False)
    seconds: float | None = None
    """Of the work alone, once it is done."""
    error: ParlantLocalError | None = None
    task: asyncio.Task[None] | None = field(default=None, repr=False)
    reason: RequestRefusedError | None = None
    """Why it is being cancelled, where that is no person's wish."""
    stopping: bool = False
    edited: bool = field(init=False)
    """Whether it starts from another picture."""

    def __post_init__(self) -> None:
        self.edited = bool(self.order.request.sources)

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed", "cancelled")

    def drop_data(self) -> None:
        """Files are not kept for as long as the job is remembered."""
        self.pictures = [replace(picture, data=b"") for picture in self.pictures]


class Jobs:
    """Belongs to one event loop. ``finish`` makes final pictures of a reply; ``changed`` is told of every step and change of state;
    ``ended`` gets each job at its end with the seconds it was worked at."""

    def __init__(
        self,
        settings: ImageSettings,
        drain: Drain,
        logger: ServerLogger,
        finish: Callable[[Job, ImageReply], Coroutine[Any, Any, list[Finished]]],
        changed: Callable[[Job], None],
        ended: Callable[[Job, float], None],
    ) -> None:
        self._settings, self._drain, self._logger = settings, drain, logger
        self._finish, self._changed, self._ended = finish, changed, ended
        self._known: OrderedDict[str, Job] = OrderedDict()
        self._turns: dict[str, asyncio.Lock] = {}
        self._took: dict[str, deque[float]] = {}
        self._aborting: asyncio.Task[None] | None = None

    def start(self, order: Order, *, detached: bool) -> Job:
        """Raises :class:`QueueFullError` where too many wait for the model."""
        self._check_room(order.model)
        job = Job(order, detached)
        self._forget_ended()
        self._known[job.id] = job
        if self._aborting is None:
            self._aborting = asyncio.ensure_future(self._abort_at_shutdown())
        job.task = asyncio.ensure_future(self._run(job))
        self._changed(job)
        return job

    async def finished(self, job: Job) -> list[Finished]:
        """Its pictures, for the one who waits for them. Stops the job where nobody does any more. Raises what it failed by."""
        assert job.task is not None
        try:
            await asyncio.wait([job.task])
            if job.error is not None:
                raise job.error
            if job.state == "cancelled":
                raise RequestRefusedError(409, "The job was cancelled.", code="job_cancelled")
            return list(job.pictures)
        except asyncio.CancelledError:
            await self.cancel(job)
            raise
        finally:
            job.drop_data()

    async def cancel(self, job: Job, reason: RequestRefusedError | None = None) -> bool:
        """False where it has ended already."""
        if job.ended or job.task is None:
            return False
        job.stopping, job.reason = True, job.reason or reason
        await settle(job.task)
        if not job.ended:  # it had not begun
            self._end_cancelled(job)
            self._changed(job)
            self._ended(job, 0.0)
        return True

    def find(self, identity: str) -> Job | None:
        return self._known.get(identity)

    def of(self, owner: str) -> list[Job]:
        """An owner's jobs, the newest first."""
        return [job for job in reversed(self._known.values()) if job.order.owner == owner]

    def ahead(self, job: Job) -> int:
        """Jobs before this one at its model."""
        if job.state != "queued":
            return 0
        before = 0
        for other in self._pending(job.order.model):
            if other is job:
                break
            before += 1
        return before

    def forget(self, job: Job) -> None:
        """Drops what is known of a job that has ended."""
        if job.ended:
            self._known.pop(job.id, None)

    async def close(self) -> None:
        if self._aborting is not None:
            await settle(self._aborting)
        await self._abort_all()

    async def _run(self, job: Job) -> None:
        began: float | None = None
        try:
            with self._drain.request() if job.detached else nullcontext():
                async with self._turn(job):
                    began = time.monotonic()
                    job.state = "running"
                    self._changed(job)
                    reply = await job.order.backend.generate(job.order.request, lambda now: self._on_progress(job, now))
                    job.pictures, job.seconds = await self._finish(job, reply), reply.seconds
            job.state = "done"
        except asyncio.CancelledError:
            self._end_cancelled(job)
            if job.stopping:
                raise
        except ParlantLocalError as error:
            job.state, job.error = "failed", error
        except Exception as error:  # a detached job has nobody else to tell
            self._logger.event("error", "A picture could not be made.", error=f"{type(error).__name__}: {error}")
            job.state, job.error = "failed", RequestRefusedError(500, problem_of(error).message, code="internal_error")
        finally:
            seconds = 0.0 if began is None else time.monotonic() - began
            if job.state == "done":
                self._took.setdefault(job.order.model, deque(maxlen=8)).append(seconds)
            job.order = replace(job.order, request=replace(job.order.request, sources=(), mask=None))
            if job.detached:
                job.drop_data()
            self._changed(job)
            self._ended(job, seconds)

    @asynccontextmanager
    async def _turn(self, job: Job) -> AsyncIterator[None]:
        async with self._turns.setdefault(job.order.model, asyncio.Lock()):
            if self._drain.begun and job.detached:  # nobody waits, and the next server will not know of it
                raise _shutting_down()
            yield

    def _on_progress(self, job: Job, now: ImageProgress) -> None:
        if now != job.progress and not job.ended:
            job.progress = now
            self._changed(job)

    @staticmethod
    def _end_cancelled(job: Job) -> None:
        if job.stopping and job.reason is None:
            job.state = "cancelled"
            return
        job.state = "failed"  # by the server, or inside the backend: its model was closed
        job.error = job.reason or RequestRefusedError(
            503, "The model was closed while it worked.", code="model_unloaded", retry_after=1
        )

    def _pending(self, model: str) -> list[Job]:
        return [job for job in self._known.values() if job.order.model == model and not job.ended]

    def _check_room(self, model: str) -> None:
        waiting = len(self._pending(model)) - 1  # one of them is being worked at
        if waiting < self._settings.max_queue:
            return
        error = QueueFullError(
            f"{waiting} requests for pictures wait for {model}; {self._settings.max_queue} are allowed.",
            limit=self._settings.max_queue,
            hint="Try again later, or raise images.max_queue.",
        )
        took = self._took.get(model)
        error.retry_after = sum(took) / len(took) if took else 10.0
        raise error

    def _forget_ended(self) -> None:
        ended = [job for job in self._known.values() if job.ended]
        for job in ended[: max(0, len(ended) - _MAX_ENDED + 1)]:
            del self._known[job.id]

    async def _abort_at_shutdown(self) -> None:
        await self._drain.expired.wait()
        await self._abort_all()

    async def _abort_all(self) -> None:
        await asyncio.gather(*(self.cancel(job, _shutting_down()) for job in list(self._known.values())))


def _shutting_down() -> RequestRefusedError:
    told = SHUTTING_DOWN
    return RequestRefusedError(told.status, told.message, code=told.code, retry_after=told.retry_after)
