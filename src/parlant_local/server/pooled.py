"""A model of the pool as a backend: loaded on demand, and held during the call."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from parlant_local.backends.base import ModelInfo
from parlant_local.backends.in_process import InProcessBackend
from parlant_local.backends.wrapper import BorrowingBackend
from parlant_local.engine.pool import ModelPool

__all__ = ["PooledBackend"]


class PooledBackend(BorrowingBackend[InProcessBackend]):
    """``key`` is the pool's name of the model, ``info`` what is known about it before it is loaded."""

    def __init__(self, pool: ModelPool[InProcessBackend], key: str, info: ModelInfo) -> None:
        self._pool, self._key, self._info = pool, key, info

    def borrowed(self) -> AbstractAsyncContextManager[InProcessBackend]:
        return self._pool.use(self._key)

    def model_info(self) -> ModelInfo:
        loaded = self._pool.loaded().get(self._key)
        return loaded.model_info() if loaded is not None else self._info
