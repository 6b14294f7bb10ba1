"""A holder of the engine that runs a GGUF: loaded on first use, shared with whoever holds the same, let go."""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from types import TracebackType
from typing import Self

from parlant_local.engine import residency
from parlant_local.engine.awaiting import result_of
from parlant_local.engine.loaded import EngineSpec, LoadedEngine, Sink
from parlant_local.engine.model import LoadedModel
from parlant_local.engine.sizing import Sizing
from parlant_local.engine.vetting import Vetting
from parlant_local.errors import EngineClosedError
from parlant_local.observability import Logger, with_standard_logging
from parlant_local.paths import user_path
from parlant_local.settings import EngineSettings

__all__ = ["EngineHandle"]


class EngineHandle:
    """A handle on the engine that runs a GGUF. Handles for the same file with the same settings share one engine.

    Every method may be called from any task of any event loop; the model is loaded on first use, and reloaded after
    an internal failure. ``prefix_dir``: where static prefixes are kept between runs; None keeps none on disk.
    ``output_dir``: where answers are kept between runs, if the settings want that.
    ``measured_dir``: where `bench --save` keeps its findings, which apply to whatever ``settings`` leave open. None:
    ``settings`` alone apply, so that an engine never depends on a folder that was not passed. ``linger``: seconds that the
    model stays loaded after the last handle was garbage-collected without being closed. ``vetting``: what is known of the
    file; one of unknown origin is first loaded in a process of its own.
    """

    def __init__(
        self,
        model_path: Path | str,
        *,
        settings: EngineSettings | None = None,
        prefix_dir: Path | None = None,
        output_dir: Path | None = None,
        measured_dir: Path | None = None,
        linger: float = 0.0,
        vetting: Vetting | None = None,
        logger: Logger | None = None,
    ) -> None:
        self.path = user_path(model_path)
        self.settings = settings or EngineSettings()
        self._spec = EngineSpec(self.path, self.settings, prefix_dir, output_dir, measured_dir, vetting or Vetting())
        self._holder = residency.Holder(with_standard_logging(logger))
        self._linger = linger
        self._resident: residency.Resident | None = None
        self._finalizer: weakref.finalize[..., EngineHandle] | None = None
        self._in_flight: dict[object, Sink] = {}
        self._closed = False

    async def __aenter__(self) -> Self:
        await self.load()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def load(self) -> None:
        """Loads the model, off the event loop, unless it is loaded; concurrent callers wait for the same load.

        A load without waiters is cancelled after a moment.
        """
        await self._ensure_loaded()

    async def close(self) -> None:
        """Fails this handle's requests. The last handle frees context and weights, and waits until they are freed. Idempotent."""
        stopped = self._release()
        if stopped is not None:
            await result_of(stopped)

    def close_now(self) -> None:
        """Like :meth:`close`, from synchronous code; blocks until the memory is freed."""
        stopped = self._release()
        if stopped is not None:
            stopped.result()

    def _release(self) -> residency.Stopped | None:
        self._closed = True
        resident = self._resident
        if resident is None or resident.pid != os.getpid():
            return None
        if self._finalizer is not None:
            self._finalizer.detach()
        for put in list(self._in_flight.values()):
            put(EngineClosedError("The engine was closed while the request was running."))
        return resident.release(self._holder)

    @property
    def loaded(self) -> bool:
        return self._engine is not None

    @property
    def load_progress(self) -> float | None:
        """Share of the model that is loaded, None where no load is in progress."""
        return None if self._resident is None else self._resident.load_progress

    @property
    def model(self) -> LoadedModel:
        """Facts and vocabulary of the loaded model; :class:`EngineClosedError` before it is loaded."""
        return self._require_loaded.model

    @property
    def sizing(self) -> Sizing:
        return self._require_loaded.sizing

    @property
    def memory_bytes(self) -> int:
        """What it takes now, as estimated: the cells grow on demand. 0 while it is not loaded."""
        return 0 if self._engine is None else self._engine.memory_bytes

    @property
    def gpu_bytes(self) -> int:
        """What of it is in GPUs' own memory."""
        return 0 if self._engine is None else sum(self._engine.gpu_bytes)

    @property
    def effective_settings(self) -> EngineSettings:
        """``settings`` with the findings of `bench --save` for this model and machine, once it is loaded."""
        return self.settings if self._engine is None else self._engine.settings

    @property
    def n_ctx(self) -> int:
        """Longest request, prompt and answer together, in tokens."""
        return self._require_loaded.context_size

    @property
    def _engine(self) -> LoadedEngine | None:
        resident = self._resident
        if (
            self._closed or resident is None or resident.pid != os.getpid()
        ):  # a fork copies the objects, not the threads
            return None
        return resident.engine

    @property
    def _require_loaded(self) -> LoadedEngine:
        if (engine := self._engine) is None:
            raise EngineClosedError(f"The model {self.path.name} is not loaded.", hint="Await load() first.")
        return engine

    async def _ensure_loaded(self) -> LoadedEngine:
        """The engine, loaded if need be: for the first time, or after a failure."""
        if self._closed:
            raise EngineClosedError(f"The engine of {self.path.name} is closed.", hint="Create a new one.")
        if self._resident is not None:
            residency.check_process(self._resident, self.path.name)
        if (engine := self._engine) is not None:
            return engine
        resident = self._ensure_held()
        load = resident.join()
        try:
            engine = await result_of(load.future)
        finally:
            resident.leave(load)
        if self._closed:
            raise EngineClosedError(f"The engine of {self.path.name} was closed while it was loading.")
        return engine

    def _ensure_held(self) -> residency.Resident:
        resident = residency.hold(self._spec, self._holder)
        if resident is not self._resident:
            if self._resident is not None:  # the file was replaced since the last attempt
                self._resident.release(self._holder)
            if self._finalizer is not None:
                self._finalizer.detach()
            self._finalizer = weakref.finalize(
                self, residency.release_when_collected, resident, self._holder, self._linger
            )
            self._finalizer.atexit = False  # type: ignore[misc]  # a property that the stubs miss; the process's end sees to every engine
            self._resident = resident
        if self._closed:  # by another thread in the meantime
            resident.release(self._holder)
        return resident
