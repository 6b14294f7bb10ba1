"""A GGUF in this process, as a backend: templates, tools, thoughts and structure over the engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Unpack

from parlant_local.backends.allowance import may_send_another
from parlant_local.backends.base import ChatOptions, ChatParams, EmbedReply, ModelInfo, RerankReply
from parlant_local.backends.described import info_of_record
from parlant_local.backends.llama_cpp.answering import answer_chunks, read_reply, run_all
from parlant_local.backends.llama_cpp.choice import best_model
from parlant_local.backends.llama_cpp.info import describe_loaded
from parlant_local.backends.llama_cpp.parsing import ParsedText, parse_text
from parlant_local.backends.llama_cpp.planning import ChatPlan, plan_chat, plan_completion
from parlant_local.backends.llama_cpp.prompts import PromptEncoder, RenderedPrompt
from parlant_local.backends.llama_cpp.sync import SyncBackend
from parlant_local.backends.llama_cpp.verifying import verify
from parlant_local.backends.structured import corrected
from parlant_local.engine.templates import ChatTemplate, template_source
from parlant_local.errors import ConfigurationError, EngineClosedError, InvalidOutputError, TruncatedOutputError
from parlant_local.messages import ChatChunk, ChatReply, MessageLike, Tool, Usage, as_messages, as_tools, json_value
from parlant_local.observability import Logger, heard
from parlant_local.settings import EngineSettings, Settings, load_settings

if TYPE_CHECKING:
    from parlant_local.catalog import LocalModel, LocalModelManager
    from parlant_local.engine import LlamaEngine

__all__ = ["LlamaCppBackend"]


class LlamaCppBackend:
    """Chat, completion, embeddings and ranking with one GGUF model.

    ``model_path`` or ``model``: a GGUF path, a catalogue id or a reference (either argument takes any of them).
    ``chat_format``: a template's name or text instead of the model's own. The other arguments win over ``settings``,
    which default to the environment and the settings file. With no model named, the setting ``model`` counts, else the
    largest chat model of the catalogue. Nothing is loaded before the first call, or :meth:`load`; backends of one file and
    the same settings share one loaded model. ``linger``: seconds that it stays when the last of them was collected without
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
        self._reference = str(reference if reference is not None else "" if engine is None else engine.path)
        self._chat_format = chat_format
        self._logger: Logger = heard(logger)
        self._given_engine = engine
        self._manager = manager
        self._engine: LlamaEngine | None = None
        self._record: LocalModel | None = None
        self._encoder: PromptEncoder | None = None
        self._pooling: str | None = None
        self._linger = linger
        self._closed = False

    # -- life ---------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> LlamaCppBackend:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def load(self) -> None:
        """Finds and loads the model now instead of at the first call.

        Raises :class:`ModelNotFoundError`, :class:`InvalidModelError`, :class:`InsufficientMemoryError` or another
        :class:`ModelLoadError`.
        """
        await self._ready()

    async def _ready(self) -> PromptEncoder:
        """What encodes prompts for the loaded model: a new one, where the engine has been loaded anew since."""
        self._check_open()
        engine, encoder = self._engine, self._encoder
        if engine is not None and encoder is not None and engine.loaded and encoder.encodes_for(engine.model):
            return encoder
        if engine is None:
            # Off the loop: besides reading files it imports what is native, half a second of it.
            record, made = await asyncio.to_thread(self._found)
            self._check_open()
            if self._engine is None:  # nobody was quicker
                self._record, self._engine = record, made
            engine = self._engine
        await engine.load()
        self._check_open()
        return await self._encoder_of(engine)

    async def _encoder_of(self, engine: LlamaEngine) -> PromptEncoder:
        model = engine.model
        if self._encoder is not None and self._encoder.encodes_for(model):  # somebody was quicker
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
            if self._record is not None and self._record.is_base:
                self._logger.warning(
                    f"{self._reference} is a base model: it continues texts and was not taught to chat. "
                    "`parlant-local recommend` names models that were."
                )
            for warning in template.warnings:
                self._logger.warning(f"{self._reference}: {warning}")
        self._encoder = PromptEncoder(template, model)
        return self._encoder

    def _check_open(self) -> None:
        if self._closed:
            raise EngineClosedError(f"The backend of {self._reference} is closed.", hint="Create a new one.")

    async def close(self) -> None:
        """Ends its calls, and gives the memory back where no other backend has the model; an engine that was passed in stays.
        Idempotent."""
        engine = self._give_back()
        if engine is not None:
            await engine.close()

    def close_now(self) -> None:
        """Like :meth:`close`, from synchronous code; blocks until the memory is back."""
        engine = self._give_back()
        if engine is not None:
            engine.close_now()

    def let_go(self) -> None:
        """For an owner that is gone: the model stays for ``linger`` seconds, in case that somebody asks for it again."""
        self._give_back()

    def _give_back(self) -> LlamaEngine | None:
        self._closed = True
        engine, self._engine = self._engine, None
        self._encoder = None
        return None if engine is self._given_engine else engine

    @cached_property
    def sync(self) -> SyncBackend:
        """Blocking calls, for scripts."""
        return SyncBackend(self)

    @property
    def engine(self) -> LlamaEngine:
        """The engine behind it, once loaded."""
        if self._engine is None:
            raise EngineClosedError(f"{self._reference} is not loaded.", hint="Await load() first.")
        return self._engine

    @property
    def record(self) -> LocalModel | None:
        """What the catalogue says of the model, once it was looked up."""
        return self._record

    # -- chat ---------------------------------------------------------------------------------------------------------

    async def chat(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> ChatReply:
        """One whole answer (``alternatives`` has the others where ``n`` asked for more).

        With a ``response_format`` of JSON its content is JSON of that schema, or :class:`TruncatedOutputError` is raised. Rules
        that no decoder can be bound to are checked; an answer that breaks one is asked for once more, with what was wrong.
        """
        params = ChatParams.of(options)
        conversation = as_messages(messages)
        try:
            return await self._answer(await self._plan_chat(conversation, params), params)
        except InvalidOutputError as unfit:
            if not may_send_another():
                raise
            self._logger.debug(f"{unfit.message} It is asked again.")
            conversation = corrected(conversation, unfit.message)
            reply = await self._answer(await self._plan_chat(conversation, params), params)
            return replace(reply, usage=unfit.usage + reply.usage) if unfit.usage is not None else reply

    async def chat_stream(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> AsyncGenerator[ChatChunk, None]:
        """The answer in pieces; the last one of each ``index`` has ``finish_reason`` and ``usage``."""
        params = ChatParams.of(options)
        plan = await self._plan_chat(messages, params)
        async with aclosing(
            answer_chunks(self.engine, plan, self._name, self._logger, partial(self._verify, params=params))
        ) as chunks:
            async for chunk in chunks:
                yield chunk

    async def complete(self, prompt: str | Sequence[int], **options: Unpack[ChatOptions]) -> ChatReply:
        """Text that continues ``prompt``; no template, but special tokens in it count as such. Token ids mean those ids."""
        params = ChatParams.of(options)
        return await self._answer(await self._plan_completion(prompt, params), params)

    async def complete_stream(
        self, prompt: str | Sequence[int], **options: Unpack[ChatOptions]
    ) -> AsyncGenerator[ChatChunk, None]:
        """:meth:`complete` in pieces."""
        params = ChatParams.of(options)
        plan = await self._plan_completion(prompt, params)
        async with aclosing(
            answer_chunks(self.engine, plan, self._name, self._logger, partial(self._verify, params=params))
        ) as chunks:
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
        encoder = await self._ready()
        text = await encoder.chat(
            as_messages(messages),
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
        encoder = await self._ready()
        known = None if tools is None else as_tools(tools)
        return await asyncio.to_thread(parse_text, encoder.template, text, known, step=step)

    async def _plan_chat(self, messages: str | MessageLike | Iterable[MessageLike], params: ChatParams) -> ChatPlan:
        conversation = as_messages(messages)
        encoder = await self._ready()
        return await plan_chat(
            conversation,
            params,
            encoder=encoder,
            settings=self.settings.generation,
            n_ctx=self.engine.n_ctx,
            bounds=self.settings.engine.constraints,
        )

    async def _plan_completion(self, prompt: str | Sequence[int], params: ChatParams) -> ChatPlan:
        encoder = await self._ready()
        if not isinstance(prompt, str):
            self.engine.model.check_tokens(prompt)
        return await plan_completion(
            await encoder.encode(prompt) if isinstance(prompt, str) else RenderedPrompt("", tuple(prompt)),
            params,
            profile=encoder.template.profile,
            settings=self.settings.generation,
            n_ctx=self.engine.n_ctx,
        )

    async def _answer(self, plan: ChatPlan, params: ChatParams) -> ChatReply:
        engine = self.engine
        generations = await run_all(engine.generate(request) for request in plan.requests)
        replies = [await read_reply(engine, plan, generation, self._name) for generation in generations]
        answer = replace(replies[0], alternatives=tuple(replies[1:]))
        for reply in replies:
            for warning in reply.warnings[len(plan.warnings) :]:  # the plan's were told when the model was opened
                self._logger.warning(f"{self._name}: {warning}")
            if plan.structured and not reply.tool_calls and not params.stop:
                try:
                    _check_structured(reply)
                except TruncatedOutputError as cut:
                    cut.answer = answer
                    raise
        for generation, reply in zip(generations, replies, strict=True):
            if generation.unbound and not params.stop and reply.finish_reason != "length":
                await self._verify(reply, params)
        return answer

    async def _verify(self, reply: ChatReply, params: ChatParams) -> None:
        bounds = self.settings.engine.constraints
        try:
            await verify(reply.content, reply.tool_calls, params, bounds, model=self._name)
        except InvalidOutputError as unfit:
            unfit.usage = reply.usage
            raise

    # -- vectors and vocabulary ---------------------------------------------------------------------------------------

    async def embed(self, texts: Sequence[str | Sequence[int]], *, truncate: bool = False) -> EmbedReply:
        """Vectors of texts, or of lists of token ids, which are taken as they are."""
        await self._ready()
        found = await self.engine.embed(list(texts), truncate=truncate)
        return EmbedReply(
            vectors=await asyncio.to_thread(lambda: tuple(tuple(row.tolist()) for row in found.vectors)),
            dimensions=int(found.vectors.shape[1]) if len(texts) else self.engine.model.n_embd,
            model=self._name,
            usage=Usage(prompt_tokens=sum(found.tokens)),
            truncated=found.truncated,
        )

    async def rerank(self, query: str, documents: Sequence[str]) -> RerankReply:
        await self._ready()
        found = await self.engine.rerank(query, list(documents))
        return RerankReply(found.scores, self._name, Usage(prompt_tokens=found.tokens))

    async def tokenize(self, text: str) -> list[int]:
        await self._ready()
        return await self.engine.tokenize(text)

    async def count_tokens(self, text: str) -> int:
        return len(await self.tokenize(text))

    # -- insight ------------------------------------------------------------------------------------------------------

    def model_info(self) -> ModelInfo:
        if self._engine is None or self._encoder is None:
            if self._record is not None:
                return info_of_record(self._record)
            return ModelInfo(id=self._reference, name=self._reference.rpartition("/")[2])
        return describe_loaded(self._engine, self._encoder.template, self._record, self._name, self._pooling)

    @property
    def _name(self) -> str:
        return self._record.id if self._record is not None else self._reference

    def _found(self) -> tuple[LocalModel, LlamaEngine]:
        record = self._find()
        return record, self._given_engine or self._make_engine(record)

    def _find(self) -> LocalModel:
        if self._manager is None:
            from parlant_local.catalog import LocalModelManager

            self._manager = LocalModelManager(settings=self.settings, logger=self._logger)
        self._reference = self._reference or best_model(self._manager)
        self._manager.resolve(self._reference)  # says what to do about a model that is not whole
        return self._manager.find(self._reference)

    def _make_engine(self, record: LocalModel) -> LlamaEngine:
        from parlant_local.engine import LlamaEngine
        from parlant_local.engine.saved import saved_folder
        from parlant_local.engine.vetting import Vetting, verdicts_file

        assert record.path is not None
        prefixes = self.settings.home / "prefixes" if self.settings.engine.prefixes.disk else None
        return LlamaEngine(
            record.path,
            settings=self.settings.engine,
            prefix_dir=prefixes,
            measured_dir=saved_folder(self.settings.home),
            linger=self._linger,
            vetting=Vetting(record.vouched, verdicts_file(self.settings.home)),
            logger=self._logger,
        )


def _settings(settings: EngineSettings | Settings | None, given: Mapping[str, Any]) -> Settings:
    whole = settings if isinstance(settings, Settings) else load_settings()
    engine = settings if isinstance(settings, EngineSettings) else whole.engine
    if given:
        engine = EngineSettings.model_validate(engine.model_dump(exclude_unset=True) | dict(given))
    return whole.model_copy(update={"engine": engine})


def _with_template(metadata: Mapping[str, str], template: str | None) -> Mapping[str, str]:
    """Metadata with the template whole: llama.cpp shortens none, but other readers of metadata may."""
    return {**metadata, "tokenizer.chat_template": template} if template else metadata


def _check_structured(reply: ChatReply) -> None:
    try:
        json_value(reply.content)
    except ValueError as error:
        used = reply.usage.completion_tokens
        if reply.finish_reason == "length":
            raise TruncatedOutputError(
                f"The answer was cut after {used} tokens, before its JSON was whole.",
                used=used,
                limit=None,
                hint="Allow more max_tokens.",
            ) from None
        raise InvalidOutputError(f"The answer is not JSON: {error}.") from None
