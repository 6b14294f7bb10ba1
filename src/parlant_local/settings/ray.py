"""How models are run as replicas of a Ray Serve application."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from parlant_local.settings.section import Section

__all__ = ["RayModelSettings", "RaySettings", "ReplicaSettings"]


class ReplicaSettings(Section):
    replicas: int = Field(default=1, ge=1)
    """Replicas of a model; at least so many, where ``max_replicas`` is set."""

    max_replicas: int | None = Field(default=None, ge=1)
    """Replicas are added up to this many while calls are more than ``target_ongoing`` for each, and removed when they are fewer. None: their
    number stays."""

    target_ongoing: float = Field(default=4.0, gt=0)
    """Calls in progress or waiting for each replica that autoscaling aims at."""

    max_ongoing: int = Field(default=64, ge=1)
    """Calls that one replica takes at once; its engine has them wait for each other. Further ones wait in front of all replicas."""

    num_cpus: float | None = Field(default=None, ge=0)
    """Cores that a replica reserves; where ``engine.n_threads`` is not set, also its threads. None: an equal share of the machine's that
    makes the application, so that a cluster needs a number."""

    num_gpus: float = Field(default=0.0, ge=0)
    """GPUs that a replica reserves; the engine sees these alone."""

    @model_validator(mode="after")
    def _at_least_at_most(self) -> Self:
        if self.max_replicas is not None and self.max_replicas < self.replicas:
            raise ValueError(f"max_replicas ({self.max_replicas}) is less than replicas ({self.replicas})")
        return self


class RayModelSettings(Section):
    """What differs for one model; None: as for all."""

    replicas: int | None = Field(default=None, ge=1)
    max_replicas: int | None = Field(default=None, ge=1)
    target_ongoing: float | None = Field(default=None, gt=0)
    max_ongoing: int | None = Field(default=None, ge=1)
    num_cpus: float | None = Field(default=None, ge=0)
    num_gpus: float | None = Field(default=None, ge=0)


class RaySettings(ReplicaSettings):
    """Replicas of the models that ``model`` and ``models`` name, behind one server (extra ``ray``)."""

    ingress_replicas: int = Field(default=1, ge=1)
    """Replicas of the server itself, which answers HTTP and sends calls to the models' replicas."""

    router: Literal["prefix", "ray"] = "prefix"
    """Which replica takes a call. prefix: the one that has computed its prompt's beginning, unless it is too busy; ray: Ray Serve's own, the
    less busy one of two at random."""

    head: float = Field(default=8.0, ge=0)
    """By how many more calls than an idle one a replica may be busy to be preferred for having the beginning of a schema's prompts."""

    history: float = Field(default=2.0, ge=0)
    """The same for having the conversation so far."""

    attempts: int = Field(default=3, ge=1)
    """Replicas that one call is sent to, if they die before its answer has begun."""

    wait_seconds: float = Field(default=300.0, gt=0)
    """How long a call may wait for a replica to take it, one that is being started, say."""

    models: dict[str, RayModelSettings] = Field(default_factory=dict)
    """What differs for a model, by its name in ``models`` or the value of ``model``."""

    def of(self, model: str) -> ReplicaSettings:
        """What applies to one model. Raises ``ValueError`` where its own and the common settings contradict each other."""
        common = self.model_dump(include=set(ReplicaSettings.model_fields))
        own = self.models.get(model, RayModelSettings()).model_dump(exclude_none=True)
        return ReplicaSettings.model_validate(common | own)

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        for name in self.models:
            self.of(name)
        return self
