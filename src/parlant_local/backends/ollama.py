"""A model that an Ollama daemon runs."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Self, Unpack

from parlant_local.backends.addresses import check_url, is_remote
from parlant_local.backends.base import Backend, ChatOptions, ChatParams, ChatStream, EmbedReply, ModelInfo, Text
from parlant_local.backends.context import BackendContext
from parlant_local.backends.failures import Delivery
from parlant_local.backends.observing import observed, observed_stream
from parlant_local.backends.ollama_connection import DaemonConnection, closing
from parlant_local.backends.ollama_context import ContextWatch
from parlant_local.backends.ollama_wire import (
    LEAST_CONTEXT,
    DaemonAssembler,
    described,
    format_of,
    messages_of,
    options_of,
    tools_of,
)
from parlant_local.backends.structured import checked_apart
from parlant_local.backends.vectors import normalised
from parlant_local.errors import (
    BadRequestError,
    ContextOverflowError,
    TargetDownError,
    TextTooLongError,
)
from parlant_local.messages import (
    ChatChunk,
    ChatReply,
    Message,
    MessageLike,
    Usage,
    whole_value,
)
from parlant_local.observability import Logger, redact, with_standard_logging
from parlant_local.ollama_address import ollama_address
from parlant_local.single_flight import SingleFlight

__all__ = ["OllamaBackend", "daemon_url", "is_cloud_model"]


def daemon_url(host: str | None = None) -> str:
    """Where the daemon listens; raises :class:`SettingsError` where ``host`` or ``OLLAMA_HOST`` is not an address."""
    return check_url(ollama_address(host), "the Ollama daemon")


def is_cloud_model(model: str) -> bool:
    """Whether a model runs on Ollama's own machines, whatever daemon passes the prompt on: those are named ``…-cloud``."""
    return model.endswith(("-cloud", ":cloud"))


class OllamaBackend(Backend):
    """One model of a daemon, by its name there (``llama3.2:3b``).

    ``num_ctx`` goes with every call and never changes, since another value makes the daemon load the model anew; ``None``
    takes the model's own context up to 32,768 tokens. ``timeout`` is the longest silence between two pieces of an answer,
    in seconds; calls always stream underneath, so that a slow model is not mistaken for a dead one. A daemon on another
    host is remote and needs ``allow_remote``.
    """

    def __init__(
        self,
        model: str,
        *,
        host: str | None = None,
        num_ctx: int | None = None,
        keep_alive: str = "30m",
        timeout: float = 300.0,
        send_think: bool = True,
        allow_remote: bool = False,
        logger: Logger | None = None,
    ) -> None:
        if not model:
            raise BadRequestError("OllamaBackend needs the name of a model, such as llama3.2:3b.")
        self.model = model
        self.id = f"ollama/{model}"
        self.base_url = daemon_url(host)
        self.remote = is_remote(self.base_url) or is_cloud_model(model)
        self.timeout = timeout
        self._num_ctx = num_ctx
        self._keep_alive = keep_alive
        self._send_think = send_think
        self._logger = with_standard_logging(logger)
        self._connection = DaemonConnection(
            self.id,
            base_url=self.base_url,
            timeout=timeout,
            n_ctx=num_ctx,
            remote=self.remote,
            allow_remote=allow_remote,
        )
        self._described: ModelInfo | None = None
        self._watch: ContextWatch | None = None
        self._show = SingleFlight(self._fetch_model_info)

    @classmethod
    def from_reference(cls, name: str, context: BackendContext) -> Self:
        settings = context.settings
        return cls(
            name,
            host=settings.ollama.host,
            num_ctx=settings.ollama.num_ctx,
            keep_alive=settings.ollama.keep_alive,
            timeout=settings.engine.stall_seconds,
            allow_remote=context.allow_remote,
            logger=context.logger,
        )

    def __repr__(self) -> str:
        return redact(f"OllamaBackend({self.model!r}, host={self.base_url!r})")

    # Calls

    @observed("chat")
    async def chat(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> ChatReply:
        params = self._params(options)
        thread = self.as_messages(messages)
        replies: list[ChatReply] = []
        for _ in range(params.n):  # the daemon gives one answer at a time
            assembler = DaemonAssembler(self.id)
            async for _piece in self._chat(thread, params, assembler):
                pass
            replies.append(await checked_apart(assembler.whole(), params.response_format, limit=params.max_tokens))
        return replace(replies[0], alternatives=tuple(replies[1:]))

    @observed_stream("chat")
    async def chat_stream(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> ChatStream:
        params = self._params(options)
        if params.n > 1:
            raise BadRequestError(f"{self.id} streams one answer at a time.", hint="Ask for n=1.")
        assembler = DaemonAssembler(self.id)
        with Delivery(self.id) as delivery:
            async with aclosing(self._chat(self.as_messages(messages), params, assembler)) as pieces:
                async for chunk in pieces:
                    delivery.started = True
                    yield chunk
            await checked_apart(assembler.whole(), params.response_format, limit=params.max_tokens, delivered=True)
        yield ChatChunk(
            finish_reason=assembler.finish_reason, usage=assembler.usage, timings=assembler.timings, model=self.id
        )

    @observed("text_completion")
    async def complete(self, prompt: Text, **options: Unpack[ChatOptions]) -> ChatReply:
        """By ``/api/generate`` in raw mode: no template of the model's is applied."""
        params = self._params(options)
        prompt = self.as_text(prompt)
        watch = await self._ready()
        sent = len(prompt.encode())
        watch.before(sent)
        assembler = DaemonAssembler(self.id)
        client = self._connection.client()
        async with self._connection.errors():
            stream = await client.generate(
                model=self.model,
                prompt=prompt,
                raw=True,
                stream=True,
                format=whole_value(format_of(params.response_format)),
                options=whole_value(options_of(params, watch.num_ctx)),
                keep_alive=self._keep_alive,
            )
            async with closing(stream):
                async for data in stream:
                    assembler.feed(data)
        self._finish(assembler, watch, sent)
        return await checked_apart(assembler.whole(), params.response_format, limit=params.max_tokens)

    @observed("embeddings")
    async def embed(self, texts: Sequence[Text], *, truncate: bool = False) -> EmbedReply:
        if not texts:
            return EmbedReply((), 0, self.id)
        given = [self.as_text(text) for text in texts]
        try:
            vectors, used = await self._embed(given, truncate=False)
            cut: tuple[int, ...] = ()
        except TextTooLongError:
            if not truncate:
                raise
            vectors, used, cut = await self._embed_each(given)
        normal = normalised(self.id, vectors, expected=len(given))
        return EmbedReply(normal, len(normal[0]), self.id, Usage(prompt_tokens=used), cut)

    async def _embed(self, texts: list[str], *, truncate: bool) -> tuple[list[Sequence[float]], int]:
        client = self._connection.client()
        options = {"num_ctx": self._num_ctx} if self._num_ctx else None
        try:
            async with self._connection.errors():
                data = await client.embed(
                    model=self.model, input=texts, truncate=truncate, options=options, keep_alive=self._keep_alive
                )
        except ContextOverflowError as error:
            raise TextTooLongError(
                f"A text is too long for {self.id}.",
                needed=error.needed,
                available=error.available,
                hint="Split it, or allow cutting with PARLANT_LOCAL_EMBEDDING__TRUNCATE=true.",
            ) from None
        return list(data.embeddings), data.prompt_eval_count or 0

    async def _embed_each(self, texts: Sequence[str]) -> tuple[list[Sequence[float]], int, tuple[int, ...]]:
        """One by one, so that the texts that had to be cut are known."""
        vectors: list[Sequence[float]] = []
        used, cut = 0, []
        for index, text in enumerate(texts):
            try:
                vector, tokens = await self._embed([text], truncate=False)
            except TextTooLongError:
                cut.append(index)
                vector, tokens = await self._embed([text], truncate=True)
            vectors.extend(vector)
            used += tokens
        return vectors, used, tuple(cut)

    # What is known of the model

    async def load(self) -> None:
        """Asks the daemon about the model, its context above all. A remote daemon is not contacted before a call."""
        if not self.remote:
            await self._ready()

    async def check(self) -> ModelInfo:
        """Asks the daemon about the model, and whether it is loaded."""
        await self._ready()
        client = self._connection.client()
        async with self._connection.errors():
            running = await client.ps()
        entry = next((item for item in running.models if item.model == self.model or item.name == self.model), None)
        info = self.model_info()
        self._described = replace(
            info, loaded=entry is not None, memory_bytes=int(entry.size) if entry is not None and entry.size else None
        )
        return self._described

    def model_info(self) -> ModelInfo:
        if self._described is not None:
            return self._described
        return ModelInfo(
            id=self.id,
            name=self.model,
            n_ctx=self._num_ctx,
            remote=self.remote,
            capabilities=frozenset({"chat", "schema", "streaming", "complete", "tools", "embed"}),
            metadata={"host": self.base_url},
        )

    async def close(self) -> None:
        await self._show.stop()
        await self._connection.close()

    # How they are made

    def _params(self, options: ChatOptions) -> ChatParams:
        params = ChatParams.of(options)
        params.check_fits("ollama", self.id)
        return params

    async def _ready(self) -> ContextWatch:
        """The model's facts, fetched once."""
        return self._watch or await self._show()

    async def _fetch_model_info(self) -> ContextWatch:
        client = self._connection.client()
        async with self._connection.errors():
            shown = await client.show(self.model)
        self._described = described(shown, self.model_info(), self._num_ctx)
        n_ctx, trained = self._described.n_ctx or LEAST_CONTEXT, self._described.n_ctx_train
        if trained and n_ctx > trained:
            self._logger.warning(
                f"{self.id} was trained with a context of {trained} tokens; num_ctx={n_ctx} exceeds it."
            )
        self._connection.n_ctx = n_ctx
        self._watch = ContextWatch(self.id, n_ctx)
        return self._watch

    async def _chat(
        self, messages: tuple[Message, ...], params: ChatParams, assembler: DaemonAssembler
    ) -> AsyncGenerator[ChatChunk, None]:
        watch = await self._ready()
        thread: list[dict[str, Any]] = whole_value(messages_of(messages))
        tools = whole_value(tools_of(params))
        sent = sum(len(item["content"].encode()) for item in thread) + (len(json.dumps(tools)) if tools else 0)
        watch.before(sent)
        client = self._connection.client()
        async with self._connection.errors():
            stream = await client.chat(
                model=self.model,
                messages=thread,
                tools=tools,
                stream=True,
                think=self._think(params),
                format=whole_value(format_of(params.response_format)),
                options=whole_value(options_of(params, watch.num_ctx)),
                keep_alive=self._keep_alive,
                logprobs=True if params.logprobs is not None else None,
                top_logprobs=params.logprobs or None,
            )
            async with closing(stream):
                async for data in stream:
                    if (chunk := assembler.feed(data)) is not None:
                        yield chunk
        self._finish(assembler, watch, sent)

    def _think(self, params: ChatParams) -> bool | None:
        """Sent only to models that can think; some break their ``format`` when it is sent (``send_think=False``)."""
        capable = self._described is not None and "reasoning" in self._described.capabilities
        if not capable or not self._send_think:
            if params.reasoning == "on" and not capable:
                raise BadRequestError(
                    f"{self.id} does not support reasoning, according to the daemon.", hint="Use reasoning='auto'."
                )
            return None
        if params.reasoning == "auto":
            return False if params.response_format.type != "text" else None
        return params.reasoning in ("on", "always")

    def _finish(self, assembler: DaemonAssembler, watch: ContextWatch, sent: int) -> None:
        if assembler.done is None:
            raise TargetDownError(f"{self.id} ended its answer before it was complete.")
        watch.after(sent, assembler.usage.prompt_tokens)
