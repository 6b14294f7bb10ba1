"""The server in front of the replicas: the app that `parlant-local serve` runs, with no model in its own process."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn, Self

from ray import serve
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from parlant_local.backends.base import ModelInfo
from parlant_local.backends.context import BackendContext
from parlant_local.backends.registry import BACKENDS
from parlant_local.catalog import LocalModel, LocalModelManager
from parlant_local.errors import ModelNotFoundError
from parlant_local.ray.backend import ReplicatedBackend
from parlant_local.ray.logs import process_logger
from parlant_local.ray.plans import PREFIX, IngressPlan
from parlant_local.server.app import create_app

__all__ = ["create_ingress"]


def create_ingress(plan: IngressPlan) -> ASGIApp:
    settings = plan.settings
    logger = process_logger(settings)
    BACKENDS.register(PREFIX, _backend_of(plan))
    manager = _NoModels(settings=settings, logger=logger)
    return _once_named(create_app(settings, logger=logger, manager=manager, keys=plan.keys))


def _backend_of(plan: IngressPlan) -> type[ReplicatedBackend]:
    class Placed(ReplicatedBackend):
        @classmethod
        def from_reference(cls, name: str, context: BackendContext) -> Self:  # noqa: ARG003  # Backend's signature
            return cls(serve.get_deployment_handle(plan.deployments[name]), cls._known(name), plan.settings.ray)

        @classmethod
        def info_of(cls, name: str, context: BackendContext) -> ModelInfo:  # noqa: ARG003  # Backend's signature
            return cls._known(name)

        @classmethod
        def _known(cls, name: str) -> ModelInfo:
            if (info := plan.infos.get(name)) is None:
                raise ModelNotFoundError(f"{name} has no replicas.", near=list(plan.infos)[:3])
            return info

    return Placed


class _NoModels(LocalModelManager):
    """No model is loaded in the server's own process, whatever lies on its disk."""

    async def initialize(self) -> None:
        """Nothing is looked for."""

    def list_models(self, *_: Any, **__: Any) -> list[LocalModel]:
        return []

    def get_model(self, model_id: str) -> LocalModel:
        self._refuse(model_id)

    def find(self, model_ref: str | Path) -> LocalModel:
        self._refuse(model_ref)

    def resolve(self, model_ref: str | Path) -> Path:
        self._refuse(model_ref)

    def _refuse(self, model: str | Path) -> NoReturn:
        raise ModelNotFoundError(
            f"{model} has no replicas here.", hint="Only the models that the server's settings name have some."
        )


def _once_named(app: ASGIApp) -> ASGIApp:
    """Without the request's id in answers: Ray's proxy, which gave it, adds it again."""

    async def named(scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": _without(message["headers"], b"x-request-id")}
            await send(message)

        await app(scope, receive, sent)

    return named


def _without(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[tuple[bytes, bytes]]:
    return [header for header in headers if header[0].lower() != name]
