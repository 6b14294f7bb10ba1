"""The application: a deployment of each model, and in front of them the server as the ingress."""

from __future__ import annotations

import asyncio
from typing import Any

from ray import serve
from ray.serve.config import RequestRouterConfig

from parlant_local.catalog import LocalModelManager
from parlant_local.observability import Logger
from parlant_local.ray.plans import IngressPlan, ModelPlan, plan_ingress, plan_models
from parlant_local.ray.replica import ModelReplica
from parlant_local.settings import RaySettings, Settings

__all__ = ["application", "bound"]

_INGRESS = "server"


def application(settings: Settings | None = None, *, logger: Logger | None = None) -> serve.Application:
    """What ``serve.run`` takes. Not from a running event loop: model files are looked up, and read for their digests.

    Raises what is wrong with the settings, or with a model that they name.
    """
    settings = settings or Settings()
    manager = LocalModelManager(settings=settings, logger=logger)
    asyncio.run(manager.initialize())
    return bound(settings, plan_models(settings, manager))


def bound(settings: Settings, models: list[ModelPlan]) -> serve.Application:
    plan = plan_ingress(settings, models)
    replicas = [_model(each, settings.ray, settings.server.shutdown_seconds) for each in models]
    return _ingress(plan).bind(*replicas)


def _model(plan: ModelPlan, settings: RaySettings, grace: float) -> serve.Application:
    wanted = plan.replicas
    options: dict[str, Any] = {
        "name": plan.deployment,
        "max_ongoing_requests": wanted.max_ongoing,
        "max_queued_requests": plan.settings.engine.max_queue,
        "graceful_shutdown_timeout_s": grace,
        "ray_actor_options": {"num_cpus": wanted.num_cpus, "num_gpus": wanted.num_gpus},
    }
    if settings.router == "prefix":
        options["request_router_config"] = RequestRouterConfig.model_validate(
            {
                "request_router_class": "parlant_local.ray.router.PrefixRouter",
                "request_router_kwargs": {"head": settings.head, "history": settings.history},
            }
        )
    if wanted.max_replicas is None:
        options["num_replicas"] = wanted.replicas
    else:
        options["autoscaling_config"] = {
            "min_replicas": wanted.replicas,
            "max_replicas": wanted.max_replicas,
            "target_ongoing_requests": wanted.target_ongoing,
        }
    return _versioned(_deployed(ModelReplica, options), plan.version).bind(plan.settings, plan.reference)


def _ingress(plan: IngressPlan) -> serve.Deployment:
    def app() -> Any:  # made where the ingress runs
        from parlant_local.ray.ingress import create_ingress

        return create_ingress(plan)

    options: dict[str, Any] = {
        "name": _INGRESS,
        "num_replicas": plan.settings.ray.ingress_replicas,
        # The app has limits of its own, and says which one refused.
        "max_ongoing_requests": plan.settings.server.connections,
        "graceful_shutdown_timeout_s": plan.settings.server.shutdown_seconds,
        "ray_actor_options": {"num_cpus": 0},
    }
    return _versioned(_deployed(serve.ingress(app)(), options), plan.version)


def _deployed(kind: Any, options: dict[str, Any]) -> serve.Deployment:
    made: Any = serve.deployment(kind)  # typed as what it is with arguments
    deployment: serve.Deployment = made.options(**options)
    return deployment


def _versioned(deployment: serve.Deployment, version: str) -> serve.Deployment:
    """Ray replaces the replicas where this differs from the running one's, and leaves them alone where it doesn't.

    Ray deprecated the option for hand-written versions, of which it says so in the log; there is no other that has an unchanged
    application left as it is.
    """
    return deployment.options(version=version, _internal=True)
