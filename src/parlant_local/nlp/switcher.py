"""Parlant's NLP service over several models: generators that the host holds follow every later change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Unpack

from parlant.core.nlp.generation import SchematicGenerator, StreamingTextGenerator, T
from parlant.core.nlp.service import ModelSize, SchematicGeneratorHints, StreamingTextGeneratorHints
from pydantic import ValidationError
from typing_extensions import override

from parlant_local.catalog import LocalModelManager
from parlant_local.errors import CloudNotAllowedError, EmbeddingIdentityError, SettingsError
from parlant_local.nlp.calls import Core
from parlant_local.nlp.collaborators import (
    Collaborators,
    embedding_backend,
    guard_backend,
    host_logger,
)
from parlant_local.nlp.schematic import LocalSchematicGenerator
from parlant_local.nlp.service import LocalNLPService
from parlant_local.nlp.streaming import LocalStreamingTextGenerator
from parlant_local.settings import BudgetSettings, Settings
from parlant_local.switching import (
    CallRecord,
    Policy,
    Requirements,
    RoutedBackend,
    Target,
    TargetResolver,
    choose_model,
)
from parlant_local.switching.opening import remote_budget

__all__ = ["AvailableModel", "ModelSwitcher"]

_SIZES = {ModelSize.NANO: "nano", ModelSize.MINI: "mini", ModelSize.LARGE: "large"}


@dataclass(frozen=True, slots=True)
class AvailableModel:
    """One model that :meth:`ModelSwitcher.set_model` takes."""

    id: str
    primary: bool = False
    target: bool = False
    """Whether the switcher uses it now, as primary or fallback."""
    remote: bool = False
    blocked: bool = False
    """Configured, but sending prompts off this machine is disabled."""
    loaded: bool = False
    healthy: bool = True
    capabilities: frozenset[str] = frozenset()
    n_ctx: int | None = None
    memory_bytes: int | None = None


class ModelSwitcher(LocalNLPService):
    """Answers with ``default_model_id``; where that fails, by the configured policy, with ``fallback_model_id`` or ``fallbacks``.

    Ids are ``local/…``, ``ollama/<name:tag>``, ``openai/<model>`` or ``<endpoint>/<model>``; references and paths serve
    too. What is not given comes from ``settings``: the default model, ``switcher.fallbacks``, ``switcher.policy`` (here
    also a function over candidates), ``switcher.allow_cloud`` and ``switcher.budget``. An unknown id raises
    at once; nothing is loaded before :meth:`initialize` or the host's first request.
    """

    def __init__(
        self,
        *,
        model_manager: LocalModelManager | None = None,
        default_model_id: str | None = None,
        fallback_model_id: str | None = None,
        fallbacks: Sequence[str] | None = None,
        policy: str | Policy | None = None,
        allow_cloud: str | None = None,
        budget: BudgetSettings | Mapping[str, int | None] | None = None,
        settings: Settings | None = None,
        observer: Callable[[CallRecord], None] | None = None,
        **collaborators: Unpack[Collaborators],
    ) -> None:
        settings = _with(settings or Settings(), policy=policy, allow_cloud=allow_cloud, budget=budget)
        logger = host_logger(collaborators)
        self._resolver = TargetResolver(settings, manager=model_manager, logger=logger)
        default = default_model_id or choose_model(settings, self._resolver.manager).model
        others = settings.switcher.fallbacks if fallbacks is None else fallbacks
        chosen = dict.fromkeys([default, *([fallback_model_id] if fallback_model_id else []), *others])
        targets = {target.id: target for target in map(self._resolver.target, chosen)}
        if collaborators.get("embedding_backend") is None:
            collaborators["embedding_backend"] = embedding_backend(settings, self._resolver, logger)
        if collaborators.get("guard_backend") is None:
            collaborators["guard_backend"] = guard_backend(settings, self._resolver, logger)
        self._observer = observer
        self._routed = RoutedBackend(
            list(targets.values()),
            settings=settings.switcher,
            policy=policy if callable(policy) else None,
            budget=remote_budget(settings, logger),
            offline=settings.offline,
            logger=logger,
            observer=self._observe,
        )
        super().__init__(self._routed, manager=self._resolver.manager, settings=settings, **collaborators)

    async def initialize(self) -> None:
        """Loads the default model now. If that fails and a fallback can answer, it is only logged."""
        await self._prepared()

    # Choosing

    @property
    def model(self) -> str:
        """Id of the primary model."""
        return self._routed.primary

    def set_model(self, model_id: str) -> None:
        """From now on calls go to ``model_id`` first; those in flight finish where they are, and a model that is no longer
        used is unloaded when idle.

        Raises :class:`ModelNotFoundError` (naming near misses), :class:`SettingsError`, or
        :class:`CloudNotAllowedError` for a remote model while remote models are disabled.
        """
        target = self._resolver.target(model_id)
        if target.remote and self._routed.gate.blocks_remote:
            raise CloudNotAllowedError(
                f"{target.id} is not on this machine, and sending prompts off this machine is disabled.",
                hint="Set PARLANT_LOCAL_SWITCHER__ALLOW_CLOUD to fallback or always.",
            )
        before = self.model
        self._routed.set_primary(target)
        if before != target.id:
            self.logger.info(f"Switched from {before} to {target.id}.")

    def set_fallbacks(self, *model_ids: str) -> None:
        """The models to try after the primary, in this order; may be empty."""
        primary = self._routed.targets[0]
        others: dict[str, Target] = {target.id: target for target in map(self._resolver.target, model_ids)}
        others.pop(primary.id, None)
        self._routed.set_targets([primary, *others.values()])

    def set_embedding_model(self, model_id: str) -> None:
        """Raises :class:`EmbeddingIdentityError` for any model but the current one; its hint says how to change it."""
        present = (
            self._embedding_backend.model_info().id if self._embedding_backend is not None else "the lexical embedder"
        )
        if model_id == present:
            return
        raise EmbeddingIdentityError(
            f"Texts are indexed with {present}; vectors of {model_id} can't be compared with them.",
            hint="Set embedding.model and restart: the host then embeds every text again into a new index.",
        )

    def list_available_models(self) -> list[AvailableModel]:
        """The switcher's targets first, then the rest of the catalogue. Opens nothing."""
        found = [
            AvailableModel(
                id=report.id,
                primary=report.primary,
                target=True,
                remote=report.remote,
                blocked=report.blocked,
                loaded=report.loaded,
                healthy=report.healthy,
                capabilities=report.capabilities,
                n_ctx=report.n_ctx,
                memory_bytes=report.memory_bytes,
            )
            for report in self._routed.reports()
        ]
        known = {item.id for item in found}
        for record in self._resolver.manager.list_models():
            if record.id not in known and not (record.is_embedding or record.for_pictures):
                found.append(AvailableModel(id=record.id, n_ctx=record.context_length))
        return found

    # Parlant's side

    @override
    async def get_schematic_generator(self, t: type[T], hints: SchematicGeneratorHints = {}) -> SchematicGenerator[T]:  # noqa: B006  # the host's own signature
        """A generator of ``t``. Hints prefer those of the configured models that match them by ``switcher.targets``."""
        await self._prepared()
        return LocalSchematicGenerator[t](self._core_for(hints))  # type: ignore[valid-type]  # the host reads t at run time

    @override
    async def get_streaming_text_generator(self, hints: StreamingTextGeneratorHints = {}) -> StreamingTextGenerator:  # noqa: B006  # the host's own signature
        await self._prepared()
        return LocalStreamingTextGenerator(self._core_for(hints))

    def _core_for(self, hints: Mapping[str, Any]) -> Core:
        preferences = _preferences(hints)
        return (
            replace(self._core, backend=self._routed.requiring(preferences))
            if preferences != Requirements()
            else self._core
        )

    @override
    def stats(self) -> Mapping[str, Mapping[str, Any]]:
        """Per schema as :class:`LocalNLPService` has it, and the switcher's statistics under ``switcher``."""
        return {**super().stats(), "switcher": self._routed.stats()}

    def _observe(self, record: CallRecord) -> None:
        """Adds every attempt to the host's trace: model, reason and outcome; never content."""
        attributes: dict[str, str | int | float | bool] = {
            "target": record.target,
            "schema": record.schema,
            "remote": record.remote,
            "reason": record.reason,
            "seconds": record.seconds,
            "outcome": record.error or "answered",
        }
        self._host.tracer.add_event("parlant_local.attempt", attributes=attributes)
        if self._observer is not None:
            self._observer(record)


def _preferences(hints: Mapping[str, Any]) -> Requirements:
    size, generation, kind = hints.get("model_size"), hints.get("model_generation"), hints.get("model_type")
    return Requirements(
        model_size=_SIZES.get(ModelSize(size)) if isinstance(size, int) else None,
        model_generation=None if generation == "auto" else generation,
        model_type=None if kind == "auto" else kind,
    )


def _with(
    settings: Settings,
    *,
    policy: str | Policy | None,
    allow_cloud: str | None,
    budget: BudgetSettings | Mapping[str, int | None] | None,
) -> Settings:
    """``settings`` with these overrides, validated the same way."""
    from parlant_local.settings import SwitcherSettings

    given: dict[str, Any] = {}
    if isinstance(policy, str):
        given["policy"] = policy
    if allow_cloud is not None:
        given["allow_cloud"] = allow_cloud
    if budget is not None:
        given["budget"] = budget if isinstance(budget, BudgetSettings) else dict(budget)
    if not given:
        return settings
    try:
        whole = SwitcherSettings.model_validate({**dict(settings.switcher), **given})
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise SettingsError(f"{where} = {problem['input']!r}: {problem['msg']}.") from None
    return settings.model_copy(update={"switcher": whole})
