"""What everything that answers for one model has in common, whether it writes, embeds or draws."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, Protocol, Self, TypeVar

from parlant_local.backends.closing import close_unattended
from parlant_local.backends.context import BackendContext
from parlant_local.errors import ConfigurationError

__all__ = ["ModelHandle"]


class _Described(Protocol):
    @property
    def id(self) -> str: ...


Info = TypeVar("Info", bound=_Described)


class ModelHandle(ABC, Generic[Info]):
    """One model: created from a reference, described without being loaded, loaded, closed."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model_info().id!r})"

    @classmethod
    def from_reference(cls, name: str, context: BackendContext) -> Self:  # noqa: ARG003  # for subclasses
        """That of the model which users call ``<prefix>/<name>``; of ``<prefix>`` alone, ``name`` is empty. Opens nothing."""
        raise ConfigurationError(f"{cls.__name__} has no models that a reference can name.")

    @classmethod
    def info_of(cls, name: str, context: BackendContext) -> Info:
        """What is known of that model beforehand; ``remote`` in it decides whether the owner's leave is needed."""
        return cls.from_reference(name, context).model_info()

    @abstractmethod
    def model_info(self) -> Info:
        """Never blocks and never loads anything."""

    async def load(self) -> None:  # a no-op by default
        """Prepares for the first call, which would otherwise do it."""

    async def close(self) -> None:  # a no-op by default
        """Idempotent; releases memory and connections."""

    def release(self) -> None:
        """Closes it for an owner that was collected without closing it: from any thread, with or without an event loop; raises nothing."""
        close_unattended(self.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
