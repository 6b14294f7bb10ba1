"""For a cluster: the builder that Ray Serve's configuration file names, and that file for given settings."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from ray import serve

from parlant_local.catalog import LocalModelManager
from parlant_local.errors import SettingsError, VerificationError
from parlant_local.ray.composing import bound
from parlant_local.ray.plans import ModelPlan, plan_models
from parlant_local.settings import Settings

__all__ = ["build", "serve_config"]


class Arguments(BaseModel):
    """``args`` of the application in the file."""

    model_config = ConfigDict(extra="forbid")

    config: str | None = None
    """The settings file, as the cluster's machines see it."""
    digests: dict[str, str] = {}
    """Of models' files, by name. Ray replaces the replicas when the arguments change: so a changed file has to be told here, and another
    file than was told is refused."""


def build(args: Mapping[str, Any]) -> serve.Application:
    """The application of :class:`Arguments`. Raises :class:`VerificationError` for a file whose digest is another one."""
    try:
        given = Arguments.model_validate(args)
    except ValidationError as error:
        raise SettingsError(f"The application's args are not valid: {error.errors()[0]['msg']}.") from None
    settings = Settings.load(given.config)
    models = _planned(settings)
    there = {plan.model: plan.digest for plan in models}
    for name, digest in given.digests.items():
        if (found := there.get(name)) != digest:
            what = (
                "which is no configured model" if found is None else f"whose file has the digest {found}, not {digest}"
            )
            raise VerificationError(
                f"args.digests names {name}, {what}.",
                hint="`parlant-local serve --ray-config` prints the file for the models as they are.",
            )
    return bound(settings, models)


def serve_config(settings: Settings, config: Path | str | None) -> dict[str, Any]:
    """Ray Serve's configuration file of these settings, ``config`` being the file that they come from."""
    digests = {plan.model: plan.digest for plan in _planned(settings)}
    arguments = {"digests": digests} if config is None else {"config": str(config), "digests": digests}
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": settings.server.host, "port": settings.server.port},
        "applications": [
            {
                "name": "default",
                "route_prefix": "/",
                "import_path": "parlant_local.ray.cluster:build",
                "args": arguments,
            }
        ],
    }


def _planned(settings: Settings) -> list[ModelPlan]:
    manager = LocalModelManager(settings=settings)
    asyncio.run(manager.initialize())
    return plan_models(settings, manager)
