"""A GGUF in this process, as a backend: templates, tools, thoughts and structure over the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from parlant_local.backends.base import (
    ChatOptions,
    ChatParams,
    ChatStream,
    EmbedReply,
    ModelInfo,
    RerankReply,
    Text,
)
from parlant_local.backends.in_process import InProcessBackend, RenderedPrompt
from parlant_local.backends.llama_cpp.answering import Answers
from parlant_local.backends.llama_cpp.media import read_media
from parlant_local.backends.llama_cpp.opening import OpenedModel
from parlant_local.backends.llama_cpp.parsing import ParsedText, parse_text
from parlant_local.backends.llama_cpp.planning import ChatPlan, plan_chat, plan_completion
from parlant_local.backends.llama_cpp.sync import SyncLlamaCppBackend
from parlant_local.backends.observing import observed, observed_stream
from parlant_local.backends.retry_budget import acquire_retry
from parlant_local.backends.structured import corrected
from parlant_local.engine.media import ReadPrompt
from parlant_local.engine.templates import template_source
from parlant_local.errors import ConfigurationError, InvalidOutputError
from parlant_local.messages import ChatReply, MediaPart, MessageLike, Tool, Usage, as_tools
from parlant_local.observability import Logger, with_standard_logging
from parlant_local.settings import EngineSettings, Settings, load_settings

if TYPE_CHECKING:
    from parlant_local.catalog import LocalModel, LocalModelManager
    from parlant_local.engine import LlamaEngine

__all__ = ["LlamaCppBackend"]


class LlamaCppBackend(InProcessBackend):
    """Chat, completion, embeddings and ranking with one GGUF model.

    ``model_path`` or ``model``: a GGUF path, a catalogue id or a reference (either argument takes any of them).
    ``chat_format``: a template's name or text instead of the model's own. The other arguments win over ``settings``,
    which default to the environment and the settings file. Without a model, the setting ``model`` applies, else the
    largest chat model of the catalogue. Nothing is loaded before the first call, or :meth:`load`; backends of one file and
    the same settings share one loaded model. ``linger``: seconds that it stays loaded when the last of them was collected without
    being closed.
    """

    def __init__(
        self,
        model_path: str | Path | None = None,
        *,
        model: str | Path | None = None,
        n_ctx: int | None = None,
        n_gpu_layers: int | None = None,
        n_threads: int | None = None,
        verbose: bool | None = None,
        chat_format: str | None = None,
        settings: EngineSettings | Settings | None = None,
        logger: Logger | None = None,
        engine: LlamaEngine | None = None,
        manager: LocalModelManager | None = None,
        linger: float = 0.0,
    ) -> None:
        if model_path is not None and model is not None:
            raise ConfigurationError("Give model_path or model, not both.")
        given = {"n_ctx": n_ctx, "n_gpu_layers": n_gpu_layers, "n_threads": n_threads, "verbose": verbose}
        self.settings = _settings(settings, {key: value for key, value in given.items() if value is not None})
        reference = model_path if model_path is not None else model
        reference = reference if reference is not None else self.settings.model
        if chat_format is not None:
            template_source(chat_format)  # an unknown name fails here, not at the first call
        named = str(reference if reference is not None else "" if engine is None else engine.path)
        self._logger: Logger = with_standard_logging(logger)
        self._model = OpenedModel(
            named,
            self.settings,
            chat_format=chat_format,
            logger=self._logger,
            engine=engine,
            manager=manager,
            linger=linger,
        )

    # -- life ---------------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Resolves and loads the model now instead of at the first call.

        Raises :class:`ModelNotFoundError`, :class:`InvalidModelError`, :class:`InsufficientMemoryError` or another
        :class:`ModelLoadError`.
        """
        await self._model.ready()

    async def close(self) -> None:
        """Ends its calls, and frees the memory where no other backend uses the model; an engine that was passed in stays open.
        Idempotent."""
        engine = self._model.release()
        if engine is not None:
            await engine.close()

    def close_now(self) -> None:
        """Like :meth:`close`, from synchronous code; blocks until the memory is freed."""
        engine = self._model.release()
        if engine is not None:
            engine.close_now()

    def release(self) -> None:
        """For an owner that was collected: the model stays loaded for ``linger`` seconds, in case it is needed again."""
        self._model.release()

    @cached_property
    def sync(self) -> SyncLlamaCppBackend:
        """Blocking calls, for scripts."""
        return SyncLlamaCppBackend(self, self.parse)

    @property
    def engine(self) -> LlamaEngine:
        """The engine behind it, once loaded."""
        return self._model.engine

    @property
    def load_progress(self) -> float | None:
        """Share of the model that is loaded, None where no load is in progress."""
        return self._model.load_progress

    @property
    def record(self) -> LocalModel | None:
        """The model's catalogue entry, once it was looked up."""
        return self._model.record

    # -- chat ---------------------------------------------------------------------------------------------------------

    @observed("chat")
    async def chat(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> ChatReply:
        """One whole answer (``alternatives`` has the others where ``n`` asked for more).

        With a ``response_format`` of JSON its content is JSON of that schema, or :class:`TruncatedOutputError` is raised. Rules
        that no decoder can enforce are validated; an answer that breaks one is retried once, with what was wrong.
        """
        params = ChatParams.of(options)
        conversation = self.as_messages(messages)
        try:
            plan = await self._plan_chat(conversation, params)
            return await self._answers(params).whole(plan)
        except InvalidOutputError as unfit:
            if not acquire_retry():
                raise
            self._logger.debug(f"{unfit.message} Retrying once.")
            conversation = corrected(conversation, unfit.message)
            plan = await self._plan_chat(conversation, params)
            reply = await self._answers(params).whole(plan)
            return replace(reply, usage=unfit.usage + reply.usage) if unfit.usage is not None else reply

    @observed_stream("chat")
    async def chat_stream(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> ChatStream:
        """The answer in pieces; the last one of each ``index`` has ``finish_reason`` and ``usage``."""
        params = ChatParams.of(options)
        plan = await self._plan_chat(messages, params)
        async with aclosing(self._answers(params).chunks(plan)) as chunks:
            async for chunk in chunks:
                yield chunk

    @observed("text_completion")
    async def complete(self, prompt: Text, **options: Unpack[ChatOptions]) -> ChatReply:
        """Text that continues ``prompt``; no template, but special tokens in it count as such. Token ids mean those ids."""
        params = ChatParams.of(options)
        plan = await self._plan_completion(prompt, params)
        return await self._answers(params).whole(plan)

    @observed_stream("text_completion")
    async def complete_stream(self, prompt: Text, **options: Unpack[ChatOptions]) -> ChatStream:
        """:meth:`complete` in pieces."""
        params = ChatParams.of(options)
        plan = await self._plan_completion(prompt, params)
        async with aclosing(self._answers(params).chunks(plan)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def render(
        self,
        messages: str | MessageLike | Iterable[MessageLike],
        tools: Iterable[Tool | Mapping[str, Any]] | None = None,
        *,
        add_generation_prompt: bool = True,
        continue_final: bool = False,
    ) -> RenderedPrompt:
        """The exact prompt that :meth:`chat` sends for these messages by default, and its tokens.

        ``continue_final``: as for a last message of the assistant that is continued.
        """
        encoder = await self._model.ready()
        text = await encoder.chat(
            self.as_messages(messages),
            as_tools(tools),
            add_generation_prompt=add_generation_prompt,
            continued=continue_final,
        )
        return await encoder.encode(text)

    async def parse(
        self, text: str, tools: Iterable[Tool | Mapping[str, Any]] | None = None, *, step: int | None = None
    ) -> ParsedText:
        """What ``text`` says as an answer of this model, the mirror of :meth:`render`: thoughts, content and calls.

        ``tools``: what was offered; without them calls of any name are read. ``step`` feeds so many characters at a time,
        with the same result.
        """
        encoder = await self._model.ready()
        known = None if tools is None else as_tools(tools)
        return await asyncio.to_thread(parse_text, encoder.template, text, known, step=step)

    async def _plan_chat(self, messages: str | MessageLike | Iterable[MessageLike], params: ChatParams) -> ChatPlan:
        conversation = self.as_messages(messages)
        encoder = await self._model.ready()
        return await plan_chat(
            conversation,
            params,
            encoder=encoder,
            settings=self.settings.generation,
            n_ctx=self.engine.n_ctx,
            bounds=self.settings.engine.constraints,
            read=self._read,
        )

    async def _read(self, pieces: Sequence[tuple[int, ...] | int], media: Sequence[MediaPart]) -> ReadPrompt:
        return await read_media(self.engine, pieces, media, self.settings.media)

    async def _plan_completion(self, prompt: Text, params: ChatParams) -> ChatPlan:
        encoder = await self._model.ready()
        if not isinstance(prompt, str):
            self.engine.model.check_tokens(prompt)
        return await plan_completion(
            await encoder.encode(prompt) if isinstance(prompt, str) else RenderedPrompt("", tuple(prompt)),
            params,
            profile=encoder.template.profile,
            settings=self.settings.generation,
            n_ctx=self.engine.n_ctx,
        )

    def _answers(self, params: ChatParams) -> Answers:
        bounds = self.settings.engine.constraints
        return Answers(self.engine, self._model.name, params, bounds, self._logger)

    # -- vectors and vocabulary ---------------------------------------------------------------------------------------

    @observed("embeddings")
    async def embed(self, texts: Sequence[Text], *, truncate: bool = False) -> EmbedReply:
        """Vectors of texts, or of lists of token ids, which are taken as they are."""
        await self._model.ready()
        found = await self.engine.embed(list(texts), truncate=truncate)
        return EmbedReply(
            vectors=await asyncio.to_thread(lambda: tuple(tuple(row.tolist()) for row in found.vectors)),
            dimensions=int(found.vectors.shape[1]) if len(texts) else self.engine.model.n_embd,
            model=self._model.name,
            usage=Usage(prompt_tokens=sum(found.tokens)),
            truncated=found.truncated,
        )

    @observed("rerank")
    async def rerank(self, query: str, documents: Sequence[str]) -> RerankReply:
        await self._model.ready()
        found = await self.engine.rerank(query, list(documents))
        return RerankReply(found.scores, self._model.name, Usage(prompt_tokens=found.tokens))

    async def tokenize(self, text: str) -> list[int]:
        await self._model.ready()
        return await self.engine.tokenize(text)

    async def count_tokens(self, text: str) -> int:
        return len(await self.tokenize(text))

    # -- insight ------------------------------------------------------------------------------------------------------

    def model_info(self) -> ModelInfo:
        return self._model.described()


def _settings(settings: EngineSettings | Settings | None, given: Mapping[str, Any]) -> Settings:
    whole = settings if isinstance(settings, Settings) else load_settings()
    engine = settings if isinstance(settings, EngineSettings) else whole.engine
    if given:
        engine = EngineSettings.model_validate(engine.model_dump(exclude_unset=True) | dict(given))
    return whole.model_copy(update={"engine": engine})
