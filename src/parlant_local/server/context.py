"""State shared by all routes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response

from parlant_local import telemetry
from parlant_local.catalog import LocalModelManager
from parlant_local.engine import EngineStats
from parlant_local.errors import ModelNotFoundError, ParlantLocalError
from parlant_local.images import ImageDirectory
from parlant_local.messages import Timings, Usage
from parlant_local.server.auth import Keyring
from parlant_local.server.doors.response_store import ResponseStore
from parlant_local.server.downloads import Downloads
from parlant_local.server.draining import Drain
from parlant_local.server.events import Events
from parlant_local.server.history import History, current_request, note_problem
from parlant_local.server.ignored import ignored_in
from parlant_local.server.images import ImageService
from parlant_local.server.limits import Limiter
from parlant_local.server.logs import ServerLogger
from parlant_local.server.machine import Machine
from parlant_local.server.metrics import Metrics, Outcome
from parlant_local.server.models import Models
from parlant_local.server.problems import problem_of
from parlant_local.server.running import RunningAnswers
from parlant_local.server.shortcomings import Shortcomings
from parlant_local.server.state_figures import state_figures
from parlant_local.server.streams import Ending, PieceStream
from parlant_local.server.waiting import ClientGone, answered, begun
from parlant_local.settings import Settings

__all__ = ["AnswerMetrics", "Context", "context_of"]

T = TypeVar("T")
_FIRST_CHUNK_SECONDS = 5.0  # wait for the first chunk of a stream before the status is sent


class Context:
    """Created in the server's event loop."""

    def __init__(
        self,
        settings: Settings,
        keys: Keyring,
        logger: ServerLogger,
        manager: LocalModelManager,
        images: ImageDirectory | None = None,
    ) -> None:
        self.settings, self.keys, self.logger, self.manager = settings, keys, logger, manager
        self.started = time.monotonic()
        self.events = Events()
        self.drain = Drain(self._end_events)
        self.limiter = Limiter(settings.limits)
        self.machine = Machine()
        self.models = Models(settings, manager, logger, self._makes_pictures)
        self.downloads = Downloads(manager, self.events, logger, settings.limits)
        self.shortcomings = Shortcomings(self.models, self.engine_stats, lambda: self.machine.cards, settings.health)
        self.metrics = Metrics(self.engine_stats, lambda: state_figures(self.models, self.shortcomings))
        here = images or ImageDirectory(settings, logger, manager=manager, pool=self.models.pool)
        self.images = ImageService(settings, here, self.drain, self.metrics, logger)
        self.history = History()
        self.running = RunningAnswers()
        self.responses = ResponseStore(settings.responses)
        self.preloading: set[str] = set()
        """Models that are still being preloaded."""
        self.failed_preloads: dict[str, str] = {}
        self._preloader: asyncio.Task[None] | None = None

    # -- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        telemetry.start(self.settings)
        await self.manager.initialize()
        await asyncio.to_thread(self._log_default)  # reads files, and may query a daemon
        self.models.prepare()
        await self.images.start()
        self._log_key_warnings()
        names = [name for name, served in self.settings.models.items() if served.preload]
        if self.settings.model is not None:
            names.append(self.settings.model)
        names = [name for name in names if self.models.directory.external_id(name) is None]
        if names:
            self.preloading = set(names)
            self._preloader = asyncio.ensure_future(self._preload())

    def _log_default(self) -> None:
        if self.settings.model is not None:
            return
        try:
            choice = self.models.directory.choice()
        except ModelNotFoundError as error:  # one may be downloaded later
            self.logger.warning(str(error))
            return
        self.logger.info(f"The default model is {choice.model}: {choice.reason}.")
        if choice.notice and not self.models.switches:
            self.logger.warning(f"{choice.model}: {choice.notice}")

    def _log_key_warnings(self) -> None:
        for path in self.keys.exposed:
            self.logger.warning(f"The key file {path} is readable by other users of this machine; run chmod 600 on it.")
        if self.keys and not self.keys.administered:
            self.logger.info(
                "No admin key is configured, so models can't be administered over HTTP (auth.admin_key_file)."
            )

    async def _preload(self) -> None:
        """One after the other; a failure is logged and reported by ``/health``."""
        for name in list(self.preloading):
            try:
                await self.models.preload(name)
            except ParlantLocalError as error:
                self.failed_preloads[name] = problem_of(error).message
                self.logger.error(f"{name} can't be loaded: {error}")
            finally:
                self.preloading.discard(name)
                self.events.publish("status", model=name)

    async def close(self) -> None:
        if self._preloader is not None:
            self._preloader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._preloader
        await self.images.close()
        await self.downloads.close()
        await self.models.close()
        await asyncio.to_thread(telemetry.flush)

    def _end_events(self) -> None:
        self.events.close()
        self.images.events.close()

    def _makes_pictures(self, name: str) -> bool:
        return self.images.makes(name)

    # -- answering ----------------------------------------------------------------------------------------------------

    async def answered(self, request: Request, work: Coroutine[Any, Any, T]) -> T:
        """The result of ``work``; it is cancelled when the client disconnects or the server shuts down."""
        return await answered(request, self.drain, work)

    async def streamed(self, request: Request, pieces: AsyncGenerator[bytes, None], **form: Any) -> Response:
        """A response that sends ``pieces``; an early error gets its own status."""
        keep_alive = self.settings.server.keep_alive_seconds
        started = await begun(request, pieces, min(_FIRST_CHUNK_SECONDS, keep_alive), self.drain)

        def on_end(ending: Ending, error: BaseException | None) -> None:
            if ending == "disconnected":
                self.metrics.disconnects.inc()
            if error is not None:
                note_problem(problem_of(error))
                known = isinstance(error, ParlantLocalError)
                self.logger.event(
                    "warning" if known else "error",
                    "A stream ended with an error.",
                    error=f"{type(error).__name__}: {error}",
                )

        return PieceStream(started, self.drain, keep_alive=keep_alive, on_end=on_end, **form)

    def note_ignored(self, request: Request, names: list[str]) -> None:
        """Reports unknown fields of a request to the client and in the log."""
        if names:
            request.state.ignored = [*getattr(request.state, "ignored", ()), *names]
            self.logger.event("info", "Unknown fields were ignored.", fields=names)

    @contextmanager
    def measured(self, model: str) -> Iterator[AnswerMetrics]:
        """Records the usage of one answer."""
        metrics, record = AnswerMetrics(), current_request.get()
        if record is not None:
            record.model = model
        model = self.models.label(model)
        outcome: Outcome = "ok"
        try:
            yield metrics
        except ClientGone:
            outcome = "cancelled"
            raise
        except Exception:
            outcome = "error"
            raise
        except BaseException:  # cancelled, or nobody reads the stream any more
            outcome = "cancelled"
            raise
        finally:
            if record is not None:
                record.first_token, record.usage = metrics.first, metrics.usage
                record.timings, record.finish = metrics.timings, metrics.finish
            if metrics.first is not None:
                self.metrics.first_token.labels(model).observe(metrics.first)
            self.metrics.answered(model, outcome, metrics.seconds, metrics.usage, metrics.timings)

    # -- insight ------------------------------------------------------------------------------------------------------

    def engine_stats(self) -> dict[str, EngineStats]:
        return {name: backend.engine.stats() for name, backend in self.models.pool.loaded().items()}

    @property
    def health(self) -> str:
        """``ok``, ``degraded`` with a shortcoming, ``loading``, ``shutting down``, or ``failed`` where a configured model can't be
        loaded, or where an engine is paused after repeated failures."""
        if self.drain.begun:
            return "shutting down"
        if self.preloading:
            return "loading"
        blocked = any(stats.blocked_seconds for stats in self.engine_stats().values())
        if self.failed_preloads or blocked:
            return "failed"
        return "degraded" if self.shortcomings.now() else "ok"


class AnswerMetrics:
    """Time to first token and usage of one answer."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.first: float | None = None
        """Seconds to the first chunk."""
        self.usage = Usage()
        self.timings: Timings | None = None
        self.finish: str | None = None

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    def record_chunk(self) -> None:
        if self.first is None:
            self.first = time.monotonic() - self._began


def context_of(request: Request, body: BaseModel | None = None) -> Context:
    """The shared state. Unknown fields of ``body`` are recorded for the log and the response header."""
    context = request.app.state.context
    assert isinstance(context, Context)
    if body is not None:
        context.note_ignored(request, ignored_in(body))
    return context
