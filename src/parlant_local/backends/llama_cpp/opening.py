"""One GGUF model: from the reference that a user typed to a loaded engine and its prompt encoder."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from parlant_local.backends.base import ModelInfo
from parlant_local.backends.described import digest_of, info_of_record
from parlant_local.backends.llama_cpp.info import describe_loaded
from parlant_local.backends.llama_cpp.prompts import PromptEncoder
from parlant_local.engine.templates import ChatTemplate
from parlant_local.errors import EngineClosedError
from parlant_local.observability import Logger
from parlant_local.paths import user_path
from parlant_local.settings import Settings
from parlant_local.single_flight import SingleFlight

if TYPE_CHECKING:
    from parlant_local.catalog import LocalModel, LocalModelManager
    from parlant_local.catalog.adapters import Adapted
    from parlant_local.engine import LlamaEngine

__all__ = ["OpenedModel"]


class OpenedModel:
    """Nothing is looked up or loaded before :meth:`ready`. An ``engine`` that was passed in is never closed."""

    def __init__(
        self,
        reference: str,
        settings: Settings,
        *,
        chat_format: str | None,
        logger: Logger,
        engine: LlamaEngine | None,
        manager: LocalModelManager | None,
        linger: float,
    ) -> None:
        self.reference = reference
        self._adapted: Adapted | None = None
        self._digest: str | None = None
        self._settings = settings
        self._chat_format = chat_format
        self._logger = logger
        self._given_engine = engine
        self._manager = manager
        self._linger = linger
        self._engine: LlamaEngine | None = None
        self._found = SingleFlight(self._find_engine)
        self._encoder: PromptEncoder | None = None
        self._pooling: str | None = None
        self._closed = False

    @property
    def record(self) -> LocalModel | None:
        return None if self._adapted is None else self._adapted.record

    @property
    def name(self) -> str:
        return self.reference if self._adapted is None else self._adapted.id

    @property
    def engine(self) -> LlamaEngine:
        if self._engine is None:
            raise EngineClosedError(f"{self.reference} is not loaded.", hint="Await load() first.")
        return self._engine

    @property
    def load_progress(self) -> float | None:
        return None if self._engine is None else self._engine.load_progress

    def described(self) -> ModelInfo:
        if self._engine is None or self._encoder is None:
            if self.record is not None:
                return info_of_record(self.record, id=self.name, digest=self._digest)
            return ModelInfo(id=self.reference, name=self.reference.rpartition("/")[2])
        template = self._encoder.template
        return describe_loaded(self._engine, template, self.record, self.name, self._pooling, self._digest)

    async def ready(self) -> PromptEncoder:
        """The prompt encoder of the loaded model: a new one where the engine has been reloaded since."""
        self._check_open()
        engine, encoder = self._engine, self._encoder
        if engine is not None and encoder is not None and engine.loaded and encoder.encodes_for(engine.model):
            return encoder
        engine = engine or await self._found()
        await engine.load()
        self._check_open()
        return await self._encoder_of(engine)

    def release(self) -> LlamaEngine | None:
        """Marks it closed, and returns the engine that is left to close, if any."""
        self._closed = True
        engine, self._engine = self._engine, None
        self._encoder = None
        return None if engine is self._given_engine else engine

    def _check_open(self) -> None:
        if self._closed:
            raise EngineClosedError(f"The backend of {self.reference} is closed.", hint="Create a new one.")

    async def _encoder_of(self, engine: LlamaEngine) -> PromptEncoder:
        model = engine.model
        if self._encoder is not None and self._encoder.encodes_for(model):  # another task created it first
            return self._encoder
        template = ChatTemplate.of_model(
            _with_template(model.metadata, model.chat_template),
            bos=model.bos_text,
            eos=model.eos_text,
            chat_format=self._chat_format,
            knows=model.knows,
        )
        if not model.generates:
            self._pooling = (await engine.embedding_facts())[0]
        elif self._encoder is None:
            if self.record is not None and self.record.is_base:
                self._logger.warning(
                    f"{self.reference} is a base model: it was not trained to chat. "
                    "`parlant-local recommend` suggests models that were."
                )
            for warning in template.warnings:
                self._logger.warning(f"{self.reference}: {warning}")
        self._encoder = PromptEncoder(template, model)
        return self._encoder

    async def _find_engine(self) -> LlamaEngine:
        def find() -> tuple[Adapted, LlamaEngine, str | None]:
            found = self._find()
            engine = self._given_engine or self._make_engine(found)
            return found, engine, digest_of(found.record, engine.settings)

        # Off the event loop: it reads files and imports the native library, which takes half a second.
        found, engine, digest = await asyncio.to_thread(find)
        self._check_open()
        self._adapted, self._engine, self._digest = found, engine, digest
        return engine

    def _find(self) -> Adapted:
        if self._manager is None:
            from parlant_local.catalog import LocalModelManager

            self._manager = LocalModelManager(settings=self._settings, logger=self._logger)
        self.reference = self.reference or self._choose(self._manager)
        return self._manager.resolve_adapted(self.reference)  # raises, with the next step, for an incomplete model

    def _choose(self, manager: LocalModelManager) -> str:
        from parlant_local.backends.choice import choose_local

        choice = choose_local(self._settings, manager)
        self._logger.info(f"Using {choice.model}: {choice.reason}.")
        return choice.model

    def _make_engine(self, found: Adapted) -> LlamaEngine:
        from parlant_local.engine import LlamaEngine
        from parlant_local.engine.saved import saved_folder
        from parlant_local.engine.vetting import Vetting, verdicts_file

        record = found.record
        assert record.path is not None
        home, engine = self._settings.home, found.on(self._settings.engine)
        if engine.projector is None and record.projector is not None:
            engine = engine.model_copy(update={"projector": str(record.projector.path)})
        return LlamaEngine(
            record.path,
            settings=engine,
            prefix_dir=_prefix_folder(self._settings) if engine.prefixes.disk else None,
            output_dir=home / "outputs" if engine.outputs.disk else None,
            measured_dir=saved_folder(home),
            linger=self._linger,
            vetting=Vetting(
                record.vouched
                and self._settings.engine.projector is None,  # one of the owner's own has no published digest
                verdicts_file(home),
            ),
            logger=self._logger,
        )


def _prefix_folder(settings: Settings) -> Path:
    named = settings.engine.prefixes.disk_dir
    return settings.home / "prefixes" if named is None else user_path(named)


def _with_template(metadata: Mapping[str, str], template: str | None) -> Mapping[str, str]:
    """Metadata with the template whole: llama.cpp shortens none, but other readers of metadata may."""
    return {**metadata, "tokenizer.chat_template": template} if template else metadata
