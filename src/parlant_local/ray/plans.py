"""Which models get replicas, and when these have to be replaced: what a version is made of. Knows no Ray."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from parlant_local import __version__
from parlant_local.backends.base import ModelInfo
from parlant_local.backends.described import info_of_record
from parlant_local.catalog import LocalModelManager
from parlant_local.cores import usable_cores
from parlant_local.errors import SettingsError
from parlant_local.gguf_info.digest import sha256_file
from parlant_local.server.auth import Keyring
from parlant_local.server.naming import Directory, Served
from parlant_local.settings import (
    AuthSettings,
    LoggingSettings,
    RaySettings,
    ReplicaSettings,
    ServedModelSettings,
    Settings,
)

__all__ = ["PREFIX", "IngressPlan", "ModelPlan", "digest_of", "plan_ingress", "plan_models"]

PREFIX = "replicas"
"""Of the references by which the server's own settings name models that have replicas."""

# What the server alone reads: a change there replaces no model.
_OF_THE_SERVER = {
    "auth", "cors", "endpoints", "images", "limits", "log_level", "logging", "model", "models", "ollama", "ray", "responses",
    "server", "switcher", "telemetry",
}  # fmt: skip
_OF_THE_INGRESS = {"attempts", "wait_seconds"}
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class ModelPlan:
    """A deployment of one model."""

    model: str
    """As clients name it."""
    reference: str
    """As the settings do, which may be a path."""
    deployment: str
    digest: str
    """Of its files."""
    version: str
    """Replicas of another one are replaced."""
    replicas: ReplicaSettings
    settings: Settings
    info: ModelInfo


@dataclass(frozen=True)
class IngressPlan:
    """The deployment of the server itself. Of keys it has digests alone."""

    settings: Settings
    keys: Keyring
    deployments: Mapping[str, str]
    """Model to deployment."""
    infos: Mapping[str, ModelInfo]
    version: str


def plan_models(settings: Settings, manager: LocalModelManager) -> list[ModelPlan]:
    """A plan for each model that the settings name and that is in the catalogue. Reads the files whole.

    Raises :class:`SettingsError` where there is none, and :class:`ModelNotFoundError` for one that is not available.
    """
    directory = Directory(settings, manager)
    names = [*settings.models, *([settings.model] if settings.model is not None else [])]
    local = [name for name in dict.fromkeys(names) if directory.external_id(name) is None]
    if not local:
        raise SettingsError(
            "No model of this machine is configured, so there is nothing to make replicas of.",
            hint="Name one with --model, or several in the section models.",
        )
    if PREFIX in settings.endpoints:
        raise SettingsError(f"An endpoint can't be called {PREFIX!r} here.", hint="Rename it in the section endpoints.")
    if strangers := [name for name in settings.ray.models if name not in local]:
        raise SettingsError(
            f"ray.models names {strangers[0]}, which is no configured model.", hint=f"Configured: {', '.join(local)}."
        )
    wanted = {name: settings.ray.of(name) for name in local}
    share = max(1.0, usable_cores() // sum(each.max_replicas or each.replicas for each in wanted.values()))
    return [
        _plan(settings, name, directory.owned(name), _with_cores(replicas, share)) for name, replicas in wanted.items()
    ]


def _with_cores(replicas: ReplicaSettings, share: float) -> ReplicaSettings:
    return replicas if replicas.num_cpus is not None else replicas.model_copy(update={"num_cpus": share})


def _plan(settings: Settings, name: str, served: Served, replicas: ReplicaSettings) -> ModelPlan:
    own = settings.model_copy(
        update={
            "auth": AuthSettings(),
            "logging": _to_ray(settings),
            "endpoints": {},
            "models": {name: settings.models[name]} if name in settings.models else {},
            "model": name if name == settings.model else None,
        }
    )
    threads = int(replicas.num_cpus or 0)
    if threads and settings.engine.n_threads is None and (served.options is None or served.options.n_threads is None):
        own = own.model_copy(update={"engine": settings.engine.model_copy(update={"n_threads": threads})})
    paths = [Path(path) for path in served.record.paths] + [adapter.path for adapter in served.adapters]
    digest = digest_of(paths)
    told = own.model_dump(mode="json", exclude=_OF_THE_SERVER)
    options = served.options.model_dump(mode="json") if served.options is not None else None
    info = replace(info_of_record(served.record), id=served.name, path=None, loaded=True, digest=digest)
    version = _hashed(__version__, digest, told, options, [f"{item.name}@{item.scale:g}" for item in served.adapters])
    return ModelPlan(served.name, name, f"model-{_safe(served.name)}", digest, version, replicas, own, info)


def plan_ingress(settings: Settings, models: Iterable[ModelPlan]) -> IngressPlan:
    """Raises :class:`SettingsError` for keys that are missing or unreadable."""
    keys = Keyring.load(settings.auth)
    models = list(models)
    placed = {plan.model: ServedModelSettings(model=f"{PREFIX}/{plan.model}") for plan in models}
    own = settings.model_copy(
        update={
            "auth": AuthSettings(),
            "logging": _to_ray(settings),
            "models": {**settings.models, **placed},
            "model": next((plan.model for plan in models if plan.reference == settings.model), settings.model)
            or models[0].model,
        }
    )
    told = own.model_dump(mode="json", exclude={"ray": set(RaySettings.model_fields) - _OF_THE_INGRESS})
    infos = {plan.model: plan.info for plan in models}
    deployments = {plan.model: plan.deployment for plan in models}
    facts = {name: (str(info), info.digest) for name, info in infos.items()}
    version = _hashed(__version__, told, [digest.hex() for _, digest in keys.digests], facts)
    return IngressPlan(own, keys, deployments, infos, version)


def digest_of(paths: Iterable[Path]) -> str:
    """The sha256 of one file, else one over those of all; of what the files hold now, whatever was once noted about them."""
    digests = [sha256_file(path) for path in paths]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _to_ray(settings: Settings) -> LoggingSettings:
    """Each process logs to its standard error, which Ray collects: no two can rotate one file."""
    return settings.logging.model_copy(update={"file": None})


def _hashed(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _safe(name: str) -> str:
    """A name for a deployment: readable, and another one for another model."""
    mark = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{_UNSAFE.sub('-', name.rpartition('/')[2])[:48]}-{mark}"
