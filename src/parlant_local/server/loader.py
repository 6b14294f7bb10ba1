"""How the server's models are loaded into its pool: with which settings, and what each will take."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from parlant_local.backends.in_process import InProcessBackend
from parlant_local.backends.registry import IN_PROCESS, create_backend
from parlant_local.catalog import LocalModelManager
from parlant_local.cores import usable_cores
from parlant_local.engine.pool import PoolMemory
from parlant_local.errors import EngineClosedError, InvalidModelError
from parlant_local.gguf_info import GGUFHeader, available_memory, read_header
from parlant_local.observability import Logger
from parlant_local.server.naming import Served
from parlant_local.settings import EngineSettings, Settings

__all__ = ["ModelLoader", "header_of", "taken"]

_MIB = 1024 * 1024
_RESERVE = 0.9  # of the memory that is free at startup, if engine.memory_mb is not set
_STREAMS = 8  # at once on a CPU, if engine.n_seq_max is not set; the engine reserves one more for interactive calls


class ModelLoader:
    """Loads what is ``served``, by the pool's keys."""

    def __init__(
        self, settings: Settings, manager: LocalModelManager, served: Mapping[str, Served], logger: Logger
    ) -> None:
        self._settings = settings
        self._manager = manager
        self._served = served
        self._logger = logger
        self._loading: dict[str, InProcessBackend] = {}
        limit = settings.engine.memory_mb
        self._ram = limit * _MIB if limit else int(available_memory() * _RESERVE)

    async def load(self, key: str) -> InProcessBackend:
        served = self._served[key]
        self._logger.info(f"Loading {served.name}.")
        options = served.options
        backend = create_backend(
            IN_PROCESS,
            model_path=str(served.record.path),
            chat_format=options.chat_format if options else None,
            settings=self._settings.model_copy(update={"engine": self._engine(served)}),
            manager=self._manager,
            logger=self._logger,
        )
        assert isinstance(backend, InProcessBackend)
        self._loading[key] = backend
        try:
            await backend.load()
        except BaseException:
            await backend.close()
            raise
        finally:
            del self._loading[key]
        self._logger.info(f"{served.name} is loaded.")
        return backend

    def _engine(self, served: Served) -> EngineSettings:
        """The engine's settings for one model, with enough sequences for concurrent streams.

        By default the engine runs fewer at once on a CPU, so that the first of many calls is done early; for streams, time to
        first token matters more. In a split cache every sequence would cost a whole context.
        """
        from parlant_local.engine.sizing import on_gpu

        engine = self._settings.engine
        if served.options is not None:
            own = served.options.model_dump(include={"n_ctx", "n_gpu_layers", "n_threads"}, exclude_none=True)
            engine = engine.model_copy(update=own)
        if served.adapters:
            added = {str(adapter.path): adapter.scale for adapter in served.adapters}
            engine = engine.model_copy(update={"lora": {**engine.lora, **added}})
        if engine.n_seq_max is None and not on_gpu(engine) and engine.unified_kv is not False:
            return engine.model_copy(update={"n_seq_max": max(_STREAMS, 2 * (engine.n_threads or usable_cores())) + 1})
        return engine

    def budget(self) -> PoolMemory:
        """What loaded models may take together. GPUs with memory of their own are asked at the first load, when it is free."""
        from parlant_local.engine.placement import shares_memory
        from parlant_local.engine.sizing import usable_gpus

        gpus = usable_gpus(self._settings.engine)
        return PoolMemory(self._ram, sum(gpu.free for gpu in gpus if not shares_memory(gpu)))

    def estimate(self, key: str) -> PoolMemory:
        from parlant_local.engine.sizing import outlook

        served = self._served[key]
        assert served.record.path is not None
        header = header_of(served.record.path)
        sizing = outlook(header, self._engine(served))  # others may be unloaded first; loading checks again
        cells = sizing.layout.cells
        gpu = sum(sizing.on_gpus(cells))
        return PoolMemory(sizing.in_ram(cells) - (0 if gpu else self._present(served, header)), gpu)

    def _present(self, served: Served, header: GGUFHeader) -> int:
        """Bytes that it shares with a model that is loaded: the weights, where they differ in their adapters only."""
        from parlant_local.engine.weights import present

        assert served.record.path is not None
        return header.weights_bytes if present(served.record.path) else 0

    def share(self, key: str) -> float | None:
        """How much of a model that is being loaded is there, 0 to 1; None where it isn't being loaded."""
        if (backend := self._loading.get(key)) is None:
            return None
        with contextlib.suppress(EngineClosedError):  # its engine is not made yet
            return backend.engine.load_progress or 0.0
        return 0.0


def taken(backend: InProcessBackend) -> PoolMemory:
    """What a loaded model takes now."""
    engine = backend.engine
    on_gpus = engine.gpu_bytes
    return PoolMemory(engine.memory_bytes - on_gpus, on_gpus)


def header_of(path: Path) -> GGUFHeader:
    """A file's header, read once until the file changes."""
    found = _read(path, path.stat().st_mtime_ns)
    if isinstance(found, InvalidModelError):
        raise InvalidModelError(found.message, hint=found.hint)
    return found


@lru_cache(maxsize=64)
def _read(path: Path, _stamp: int) -> GGUFHeader | InvalidModelError:
    """A file's header, or its error: cached too, so that the event loop never reads a bad file again."""
    try:
        return read_header(path)
    except InvalidModelError as error:
        return error
