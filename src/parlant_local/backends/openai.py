"""Any endpoint that speaks OpenAI's API: clouds, vLLM, llama-server, llama-cpp-python's server, our own."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any, Literal, Self, Unpack

from parlant_local.backends.addresses import check_url, is_remote
from parlant_local.backends.base import (
    Backend,
    ChatOptions,
    ChatParams,
    ChatStream,
    EmbedReply,
    ModelInfo,
    RerankReply,
    Text,
)
from parlant_local.backends.context import BackendContext
from parlant_local.backends.dialect import Dialect, DialectMemory, apply
from parlant_local.backends.failures import Delivery
from parlant_local.backends.keys import check_key_origin, read_key
from parlant_local.backends.moderator import Moderator
from parlant_local.backends.observing import observed, observed_stream
from parlant_local.backends.openai_connection import Connection
from parlant_local.backends.openai_lists import categories_of, models_of, scores_of, vectors_of, window_of
from parlant_local.backends.openai_reading import (
    completion_of,
    reply_of,
    usage_of,
)
from parlant_local.backends.openai_stream import StreamAssembler
from parlant_local.backends.openai_wire import affinity_headers, request_body
from parlant_local.backends.sse import EventReader
from parlant_local.backends.structured import checked_apart
from parlant_local.backends.thoughts import Habit, thinks_by_name
from parlant_local.backends.vectors import normalised
from parlant_local.errors import (
    BadRequestError,
    ContextOverflowError,
    InvalidOutputError,
    OutputError,
    ParlantLocalError,
    TargetDownError,
    TextTooLongError,
)
from parlant_local.messages import (
    ChatReply,
    Message,
    MessageLike,
    Usage,
    whole_text,
    whole_value,
)
from parlant_local.observability import Logger, redact, with_standard_logging
from parlant_local.settings import EndpointSettings

__all__ = ["OpenAIBackend"]


_OPENAI = "https://api.openai.com/v1"


class OpenAIBackend(Backend, Moderator):
    """One model behind an endpoint.

    ``base_url`` and ``api_key`` default to ``OPENAI_BASE_URL`` and ``OPENAI_API_KEY`` where ``name`` is ``openai``. An
    address that is not loopback needs ``allow_remote``: without it every call is a :class:`CloudNotAllowedError`, raised
    before a socket is opened. Redirects are not followed, and a proxy never stands between this machine and itself.
    ``timeout`` bounds the silence of the other side, in seconds (default: 60 for remote hosts, 300 on this machine, where a slow
    CPU may need minutes). ``affinity``: headers tell the other side which calls belong together.
    Only a request whose connection was dropped before the first byte of a response is resent, once;
    every other retry is up to the switcher.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        name: str = "openai",
        n_ctx: int | None = None,
        dialect: Dialect | Literal["auto"] = "auto",
        timeout: float | None = None,
        affinity: bool = False,
        allow_remote: bool = False,
        logger: Logger | None = None,
    ) -> None:
        if not model:
            raise BadRequestError(f"The endpoint {name!r} needs the name of a model.")
        if name == "openai":
            default_url = os.environ.get("OPENAI_BASE_URL") or _OPENAI
            base_url = base_url or default_url
            if base_url in (default_url, _OPENAI):  # the key is for that host only
                api_key = api_key or os.environ.get("OPENAI_API_KEY")
        self.model = model
        self.name = name
        self.id = f"{name}/{model}"
        self.base_url = check_url(base_url or "", f"the endpoint {name!r}")
        self.remote = is_remote(self.base_url)
        self.timeout = timeout or (60.0 if self.remote else 300.0)
        self._affinity = affinity
        self._logger = with_standard_logging(logger)
        self._connection = Connection(
            self.id,
            name=name,
            base_url=self.base_url,
            api_key=api_key,
            timeout=self.timeout,
            n_ctx=n_ctx,
            remote=self.remote,
            allow_remote=allow_remote,
            logger=self._logger,
        )
        self._dialect = DialectMemory(self.id, self._logger, None if dialect == "auto" else dialect)
        self._habits: defaultdict[str, Habit] = defaultdict(Habit)

    @classmethod
    def from_reference(cls, name: str, context: BackendContext) -> Self:
        """A model of the endpoint that is configured under the prefix, or of OpenAI itself, by its own environment variables."""
        endpoint = context.settings.endpoints.get(context.prefix)
        if endpoint is None:
            return cls(name, allow_remote=context.allow_remote, logger=context.logger)
        return cls.from_endpoint(
            context.prefix, endpoint, name, allow_remote=context.allow_remote, logger=context.logger
        )

    @classmethod
    def info_of(cls, name: str, context: BackendContext) -> ModelInfo:
        """Without the key, which is read when the backend is made."""
        endpoint = context.settings.endpoints.get(context.prefix)
        if endpoint is None:
            return cls.from_reference(name, context).model_info()
        check_key_origin(context.prefix, endpoint, context.settings)
        made = cls(name, base_url=endpoint.base_url, name=context.prefix, n_ctx=endpoint.n_ctx)
        return made.model_info()

    @classmethod
    def from_endpoint(
        cls,
        name: str,
        endpoint: EndpointSettings,
        model: str,
        *,
        allow_remote: bool = False,
        logger: Logger | None = None,
    ) -> Self:
        """The model ``model`` of a configured endpoint; its key is read here, so that a missing one shows at once."""
        stated = endpoint.timeout_seconds if "timeout_seconds" in endpoint.model_fields_set else None
        return cls(
            model,
            base_url=endpoint.base_url,
            api_key=read_key(name, endpoint),
            name=name,
            n_ctx=endpoint.n_ctx,
            dialect=endpoint.dialect,
            timeout=stated,
            affinity=endpoint.affinity,
            allow_remote=allow_remote,
            logger=logger,
        )

    def __repr__(self) -> str:
        return redact(f"OpenAIBackend({self.id!r}, base_url={self.base_url!r})")

    @property
    def dialect(self) -> Dialect | None:
        """Which form of schema the endpoint accepts; ``None`` until it was probed."""
        return self._dialect.chosen

    # Calls

    @observed("chat")
    async def chat(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> ChatReply:
        params = self._params(options)
        thread = self.as_messages(messages)
        refuted = Usage()

        async def attempt(dialect: Dialect) -> ChatReply:
            nonlocal refuted
            response = await self._create(self._body(thread, params, dialect), params)
            data = await self._connection.whole(response)
            try:
                read = self._connection.read(partial(reply_of, habit=self._habits[params.reasoning]), data)
                reply = await checked_apart(read, params.response_format, limit=params.max_tokens)
            except OutputError as error:
                error.usage = refuted = refuted + (error.usage or Usage())
                raise
            return replace(reply, usage=reply.usage + refuted)

        return await self._dialect.run(params.response_format, attempt)

    @observed_stream("chat")
    async def chat_stream(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> ChatStream:
        params = self._params(options)
        thread = self.as_messages(messages)

        async def attempt(dialect: Dialect) -> tuple[Dialect, Any]:
            body = self._body(thread, params, dialect)
            streamed = body | {"stream": True, "stream_options": {"include_usage": True}}
            return dialect, await self._create(streamed, params)

        used, response = await self._dialect.run(params.response_format, attempt, confirm=False)
        hold = params.reasoning in ("on", "always") or (params.reasoning == "auto" and thinks_by_name(self.model))
        assembler = StreamAssembler(self.id, self._habits[params.reasoning], hold=hold)
        reader = EventReader(self.id)
        with Delivery(self.id) as delivery:
            async with aclosing(response):
                events = self._connection.events(response, reader, lambda: assembler.complete(params.n))
                async with aclosing(events):
                    async for event in events:
                        self._connection.check(event)
                        for chunk in assembler.feed(event):
                            delivery.started = True
                            yield chunk
                for chunk in assembler.end(done=reader.done):
                    delivery.started = True
                    yield chunk
                if not assembler.finished:
                    raise TargetDownError(f"{self.id} ended its stream before the answer was complete.")
                await self._judge(assembler, params, used)
        for chunk in assembler.last():
            yield chunk

    @observed("text_completion")
    async def complete(self, prompt: Text, **options: Unpack[ChatOptions]) -> ChatReply:
        params = self._params(options)
        if params.response_format.type != "text":
            raise BadRequestError(f"{self.id} accepts a response_format in chats only.", hint="Use chat().")
        body = request_body(self.model, (), params) | {"prompt": self.as_text(prompt)}
        del body["messages"]
        raw, headers = self._connection.client().completions.with_raw_response, self._headers(params)
        response = await self._connection.send(lambda fitted: raw.create(**fitted, extra_headers=headers), body)
        return self._connection.read(completion_of, await self._connection.whole(response))

    @observed("embeddings")
    async def embed(self, texts: Sequence[Text], *, truncate: bool = False) -> EmbedReply:
        """Vectors of ``texts``. No endpoint says which texts it cut, so ``truncate`` is refused rather than guessed."""
        if truncate:
            raise BadRequestError(
                f"{self.id} can't report which texts it truncates.", hint="Shorten them before embedding."
            )
        if not texts:
            return EmbedReply((), 0, self.id)
        client = self._connection.client()
        body: Any = whole_value(
            {"model": self.model, "input": [self.as_text(text) for text in texts], "encoding_format": "base64"}
        )
        try:
            async with self._connection.errors():
                response = await client.embeddings.with_raw_response.create(**body)
            data = await self._connection.whole(response.http_response)
        except ContextOverflowError as error:
            raise TextTooLongError(
                f"A text is too long for {self.id}.", needed=error.needed, available=error.available, hint="Split it."
            ) from None
        vectors = normalised(self.id, self._connection.read(vectors_of, data), expected=len(texts))
        self._connection.answered = True
        return EmbedReply(vectors, len(vectors[0]), self.id, usage_of(data))

    @observed("rerank")
    async def rerank(self, query: str, documents: Sequence[str]) -> RerankReply:
        """By ``/rerank``, as vLLM, llama-server and Jina have it; OpenAI's own cloud has none."""
        client = self._connection.client()
        body = whole_value({"model": self.model, "query": query, "documents": list(documents)})
        async with self._connection.errors():
            data: Any = await client.post("/rerank", cast_to=object, body=body)
        self._connection.check(data)
        if (scores := scores_of(data, len(documents))) is None:
            raise InvalidOutputError(f"{self.id} returned no usable scores for {len(documents)} documents.")
        return RerankReply(scores, self.id)

    async def moderate(self, text: str) -> dict[str, float]:
        """Category to score, by ``/moderations``."""
        client = self._connection.client()
        async with self._connection.errors():
            response = await client.moderations.with_raw_response.create(model=self.model, input=whole_text(text))
        if not (categories := categories_of(await self._connection.whole(response.http_response))):
            raise InvalidOutputError(f"{self.id} returned no moderation result.")
        return categories

    async def load(self) -> None:
        """Reads the context window of an endpoint on this machine, where it reports one; remote ones are not contacted before a
        call, and the first call reports an endpoint that does not respond."""
        if self.remote or self._connection.n_ctx is not None:
            return
        try:
            await self.check()
        except ParlantLocalError as error:
            self._logger.debug(f"{self.id} does not list its models: {error}")

    async def check(self) -> ModelInfo:
        """Asks the endpoint for its models, reads the context window where it is reported, and returns :meth:`model_info`."""
        client = self._connection.client()
        async with self._connection.errors():
            response = await client.models.with_raw_response.list()
        known = models_of(await self._connection.whole(response.http_response))
        entry = next((known[name] for name in known if name == self.model or name.endswith(f"/{self.model}")), None)
        if known and entry is None:
            raise TargetDownError(
                f"{self.name} serves no model {self.model!r}.",
                status=404,
                hint=f"It serves {', '.join(sorted(known)[:8])}.",
            )
        if entry is not None and self._connection.n_ctx is None:
            self._connection.n_ctx = window_of(entry)
        self._connection.answered = True
        return self.model_info()

    def model_info(self) -> ModelInfo:
        capabilities = frozenset({"chat", "schema", "tools", "streaming", "embed", "complete"})
        return ModelInfo(
            id=self.id,
            name=self.model,
            n_ctx=self._connection.n_ctx,
            loaded=self._connection.answered,
            remote=self.remote,
            capabilities=capabilities,
            metadata={"endpoint": self.name, "base_url": self.base_url, "dialect": self._dialect.chosen or "unknown"},
        )

    async def close(self) -> None:
        await self._connection.close()

    # How they are made

    def _params(self, options: ChatOptions) -> ChatParams:
        params = ChatParams.of(options)
        params.check_fits("openai", self.id)
        return params

    def _body(self, thread: tuple[Message, ...], params: ChatParams, dialect: Dialect) -> dict[str, Any]:
        messages, response_format = apply(dialect, params.response_format, thread)
        body = request_body(self.model, messages, params)
        if response_format is not None:
            body["response_format"] = response_format
        return body

    async def _create(self, body: dict[str, Any], params: ChatParams) -> Any:
        raw, headers = self._connection.client().chat.completions.with_raw_response, self._headers(params)
        return await self._connection.send(lambda fitted: raw.create(**fitted, extra_headers=headers), body)

    def _headers(self, params: ChatParams) -> dict[str, str]:
        return affinity_headers(params) if self._affinity else {}

    async def _judge(self, assembler: StreamAssembler, params: ChatParams, used: Dialect) -> None:
        wanted = params.response_format
        try:
            await checked_apart(assembler.whole(), wanted, limit=params.max_tokens, delivered=True)
        except InvalidOutputError:
            self._dialect.refute(used)
            raise
        if wanted.type == "json_schema":
            self._dialect.confirm(used)
