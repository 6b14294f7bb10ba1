"""One replica of a model: an engine in a process of its own, which answers calls that are sent to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from ray import serve

from parlant_local.backends.in_process import InProcessBackend
from parlant_local.catalog import LocalModelManager
from parlant_local.errors import EngineFailedError, ParlantLocalError
from parlant_local.ray.affinity import CallKey
from parlant_local.ray.calls import STREAMED, Begun, Call, Failed
from parlant_local.ray.logs import process_logger
from parlant_local.server.loader import ModelLoader
from parlant_local.server.naming import Directory
from parlant_local.settings import Settings

__all__ = ["ModelReplica"]


class ModelReplica:
    """``model``: its name in the settings. It takes calls once it is loaded."""

    _backend: InProcessBackend

    async def __init__(self, settings: Settings, model: str) -> None:  # type: ignore[misc]  # Ray awaits it
        logger = self._logger = process_logger(settings)
        manager = LocalModelManager(settings=settings, logger=logger)
        await manager.initialize()
        served = Directory(settings, manager).owned(model)
        self._backend = await ModelLoader(settings, manager, {served.key: served}, logger).load(served.key)
        self._name = serve.get_replica_context().replica_id.unique_id

    async def answer(self, key: CallKey, call: Call) -> AsyncGenerator[Any, None]:  # noqa: ARG002  # the router reads it
        """What there is to tell of a call, :class:`Begun` first; :class:`Failed` last, where it failed."""
        yield Begun(self._name)
        method = getattr(self._backend, call.kind)
        try:
            if call.kind in STREAMED:
                async with aclosing(method(*call.arguments, **call.options)) as pieces:
                    async for piece in pieces:
                        yield piece
            else:
                yield await method(*call.arguments, **call.options)
        except ParlantLocalError as error:
            yield Failed(error)
        except (asyncio.CancelledError, GeneratorExit):
            self._logger.debug(f"A call was cancelled: {call.kind}.")
            raise

    async def check_health(self) -> None:
        """Raises where only a new process may help, so that Ray starts one."""
        stats = self._backend.engine.stats()
        if stats.blocked_seconds:
            raise EngineFailedError(f"The engine of {self._backend.model_info().id} is paused after repeated failures.")

    async def __del__(self) -> None:
        if (backend := self.__dict__.get("_backend")) is not None:
            await backend.close()
