"""Parlant's NLP service over any backend: the base class of all services."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from lagom import Container
from parlant.core.loggers import Logger as HostLogger
from parlant.core.meter import Meter
from parlant.core.nlp.embedding import Embedder
from parlant.core.nlp.generation import SchematicGenerator, StreamingTextGenerator, T
from parlant.core.nlp.moderation import ModerationService
from parlant.core.nlp.service import EmbedderHints, NLPService, SchematicGeneratorHints, StreamingTextGeneratorHints
from parlant.core.tracer import Tracer
from typing_extensions import override

from parlant_local import telemetry
from parlant_local.backends.base import Backend
from parlant_local.catalog import LocalModelManager
from parlant_local.errors import ParlantLocalError
from parlant_local.moderation import EndpointJudge, PromptedJudge, judge_of
from parlant_local.nlp.calls import Core
from parlant_local.nlp.collaborators import gguf_backend, openai_moderator
from parlant_local.nlp.counters import Counters
from parlant_local.nlp.embedder import lexical_embedder, model_embedder
from parlant_local.nlp.embedder_choice import LEXICAL, default_embedder
from parlant_local.nlp.evaluation_cache import check_evaluation_cache, parlant_home
from parlant_local.nlp.fitness import context_warning
from parlant_local.nlp.health import follow_pace
from parlant_local.nlp.host import Host, configuration_error
from parlant_local.nlp.lifecycle import release_when_collected
from parlant_local.nlp.moderation import DisabledModeration, ModelModeration
from parlant_local.nlp.pace import Pace
from parlant_local.nlp.recording import CallRecorder
from parlant_local.nlp.schematic import LocalSchematicGenerator
from parlant_local.nlp.streaming import LocalStreamingTextGenerator
from parlant_local.observability import Logger
from parlant_local.settings import Settings
from parlant_local.shipped import SHIPPED_ID as SHIPPED_MODEL_ID
from parlant_local.shipped import is_shipped
from parlant_local.single_flight import SingleFlight

__all__ = ["SHIPPED_MODEL_ID", "LocalNLPService"]


class LocalNLPService(NLPService):
    """Generators, embedder and moderation over ``backend``.

    ``embedding_backend`` embeds (None: the default of the Parlant home, of ``manager``'s models, or the lexical embedder);
    ``guard_backend`` moderates (None: as ``settings.moderation`` says). ``container`` is the host's; without one, a separate logger, tracer and meter
    work as well. Nothing is loaded before one of the getters is awaited, which raises if the model is unavailable.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        embedding_backend: Backend | None = None,
        guard_backend: Backend | None = None,
        manager: LocalModelManager | None = None,
        settings: Settings | None = None,
        logger: Logger | HostLogger | None = None,
        tracer: Tracer | None = None,
        meter: Meter | None = None,
        container: Container | None = None,
        counters: Counters | None = None,
    ) -> None:
        self._host = Host(logger=logger, tracer=tracer, meter=meter, container=container)
        settings = settings or Settings()
        telemetry.start(settings)
        self._core = Core(
            backend=backend,
            host=self._host,
            settings=settings,
            counters=counters or Counters(),
            recorder=CallRecorder(settings.home if settings.logging.agent_calls else None, Pace(settings.health)),
        )
        follow_pace(container, self._core.recorder.pace, backend)
        self._embedding_backend = embedding_backend
        self._manager = manager
        self._guard_backend = guard_backend
        self._remote_moderator: Backend | None = None
        self._moderation: ModerationService | None = None
        self._ready = SingleFlight(self._prepare, keep=True)
        self._ready_embedder = SingleFlight(self._make_embedder, keep=True)
        owned = [item for item in (backend, embedding_backend, guard_backend) if item is not None]
        release_when_collected(self, *owned)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.backend.model_info().id!r})"

    @property
    def backend(self) -> Backend:
        return self._core.backend

    @property
    def logger(self) -> HostLogger:
        return self._host.logger

    @property
    @override
    def supports_streaming(self) -> bool:
        return True

    @override
    async def get_schematic_generator(self, t: type[T], hints: SchematicGeneratorHints = {}) -> SchematicGenerator[T]:  # noqa: B006  # the host's own signature
        """A generator of ``t``. Hints about a model's size or generation are ignored: the model is configured."""
        await self._prepared()
        return LocalSchematicGenerator[t](self._core)  # type: ignore[valid-type]  # the host reads t at run time

    @override
    async def get_streaming_text_generator(self, hints: StreamingTextGeneratorHints = {}) -> StreamingTextGenerator:  # noqa: B006  # the host's own signature
        await self._prepared()
        return LocalStreamingTextGenerator(self._core)

    @override
    async def get_embedder(self, hints: EmbedderHints = {}) -> Embedder:  # noqa: B006  # the host's own signature
        """Always the same instance: the host identifies it by its class."""
        try:
            return await self._ready_embedder()
        except ParlantLocalError as error:
            raise configuration_error(error) from error

    @override
    async def get_moderation_service(self) -> ModerationService:
        if self._moderation is None:
            try:
                self._moderation = self._make_moderation()
            except ParlantLocalError as error:
                raise configuration_error(error) from error
        return self._moderation

    def stats(self) -> Mapping[str, Mapping[str, Any]]:
        """Per schema: calls, failures, tokens, seconds, and what tightening did; ``total`` over all."""
        return self._core.counters.snapshot()

    async def warm_up(self) -> None:
        """Load now instead of at the first call. Raises what loading raises."""
        await self._ready()

    async def close(self) -> None:
        """Releases the backends' memory and connections. The host never calls this."""
        self._log_tightening()
        for backend in (self._core.backend, self._embedding_backend, self._guard_backend, self._remote_moderator):
            if backend is not None:
                await backend.close()

    def _log_tightening(self) -> None:
        for name, row in self._core.counters.snapshot().items():
            if name != "total" and (row["tightened"] or row["rejected"]):
                self.logger.info(
                    f"{name}: {row['tightened']} of {row['calls']} calls tightened, {row['fixed_tokens']} tokens fixed by "
                    f"that, {row['rejected']} answers rejected by Parlant."
                )

    async def _prepared(self) -> None:
        try:
            await self._ready()
        except ParlantLocalError as error:
            raise configuration_error(error) from error

    async def _prepare(self) -> None:
        await self._core.backend.load()
        info = self._core.backend.model_info()
        self.logger.info(f"Using {info.id} (context: {info.n_ctx or 'unknown'} tokens).")
        leaves_out = self._core.settings.generation.leave_out_examples
        if warning := context_warning(info, leaves_out_examples=leaves_out):
            self.logger.warning(warning)
        if is_shipped(info.id):
            self.logger.warning(
                f"{info.id} only shows that the installation works; it serves simple agents in short English conversations, and no customers. "
                "`parlant-local recommend` suggests models for this machine."
            )
        if (home := parlant_home()) is not None:
            warning = await asyncio.to_thread(check_evaluation_cache, home, info.id)  # a cache may have many megabytes
            if warning:
                self.logger.warning(warning)

    async def _make_embedder(self) -> Embedder:
        embedding = self._core.settings.embedding
        if self._embedding_backend is None and (model := await self._default_embedder()) is not None:
            self._embedding_backend = gguf_backend(model, self._core.settings, self._manager)
            release_when_collected(self, self._embedding_backend)
        if self._embedding_backend is None:
            return lexical_embedder(self._host, embedding.dimensions)
        await self._embedding_backend.load()
        return await model_embedder(self._host, self._embedding_backend, truncate=embedding.truncate)

    async def _default_embedder(self) -> str | None:
        if self._core.settings.embedding.model == LEXICAL:
            return None
        self._manager = self._manager or LocalModelManager(self.logger, settings=self._core.settings)
        return await default_embedder(self._manager, parlant_home(), self.logger)

    def _make_moderation(self) -> ModerationService:
        settings = self._core.settings.moderation
        if settings.mode == "none":
            return DisabledModeration(self._host, "moderation.mode is none.")
        if settings.mode == "openai":
            moderator = self._remote_moderator = openai_moderator(self._core.settings, self.logger)
            return ModelModeration(self._host, EndpointJudge(moderator), settings)
        if settings.mode == "auto" and self._guard_backend is None and is_shipped(self._core.model_id):
            return DisabledModeration(
                self._host,
                f"{self._core.model_id}can't moderate; set moderation.model, or moderation.mode=none.",
            )
        backend = self._guard_backend or self._core.backend
        judge = judge_of(backend)
        if isinstance(judge, PromptedJudge):
            self.logger.info(
                f"{backend.model_info().id} is used for moderation but is not a guard model: its verdicts are less reliable."
            )
        return ModelModeration(self._host, judge, settings)
