"""Any endpoint that speaks OpenAI's API: clouds, vLLM, llama-server, llama-cpp-python's server, our own."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack
from urllib.parse import urlsplit

from parlant_local.backends.addresses import check_url, is_remote, refuse_remote
from parlant_local.backends.allowance import may_send_another
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
from parlant_local.backends.dialect import Dialect, DialectMemory, apply, blames_format
from parlant_local.backends.failures import from_status, from_transport
from parlant_local.backends.keys import check_key_origin, read_key
from parlant_local.backends.moderator import Moderator
from parlant_local.backends.openai_connection import events_of, make_client
from parlant_local.backends.openai_lists import categories_of, models_of, scores_of, vectors_of, window_of
from parlant_local.backends.openai_reading import (
    broken_off,
    choices_of,
    completion_of,
    error_of,
    reply_of,
    usage_of,
)
from parlant_local.backends.openai_stream import StreamAssembler
from parlant_local.backends.openai_wire import Quirks, request_body
from parlant_local.backends.sse import EventReader
from parlant_local.backends.structured import checked_apart
from parlant_local.backends.thoughts import Habit, thinks_by_name
from parlant_local.backends.vectors import normalised
from parlant_local.errors import (
    AuthenticationError,
    BackendError,
    BadRequestError,
    ContextOverflowError,
    InvalidOutputError,
    OutputError,
    ParlantLocalError,
    StreamInterruptedError,
    TargetDownError,
    TextTooLongError,
    TransientError,
)
from parlant_local.messages import (
    ChatReply,
    Message,
    MessageLike,
    ResponseFormat,
    Usage,
    as_messages,
    json_value,
    whole_text,
    whole_value,
)
from parlant_local.observability import Logger, heard, redact
from parlant_local.settings import EndpointSettings

if TYPE_CHECKING:
    import httpx2
    import openai

__all__ = ["OpenAIBackend"]

T = TypeVar("T")

_OPENAI = "https://api.openai.com/v1"
_FORMAT = "response_format"
_MAX_REFUSALS = 6
"""Refused options that one call may learn from."""


class OpenAIBackend(Backend, Moderator):
    """One model behind an endpoint.

    ``base_url`` and ``api_key`` default to ``OPENAI_BASE_URL`` and ``OPENAI_API_KEY`` where ``name`` is ``openai``. An
    address that is not loopback needs ``allow_remote``: without it every call is a :class:`CloudNotAllowedError`, raised
    before a socket is opened. Redirects are not followed, and a proxy never stands between this machine and itself.
    ``timeout`` bounds the silence of the other side, in seconds (default: 60 remote, 300 on this machine, where a slow
    CPU works honestly for minutes). Only a request whose connection was cut before any byte of an answer is sent again, once;
    every other retry is the switcher's business.
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
        allow_remote: bool = False,
        logger: Logger | None = None,
    ) -> None:
        if not model:
            raise BadRequestError(f"The endpoint {name!r} needs the name of a model.")
        if name == "openai":
            its_own = os.environ.get("OPENAI_BASE_URL") or _OPENAI
            base_url = base_url or its_own
            if base_url in (its_own, _OPENAI):  # the key is for that place, and for no other
                api_key = api_key or os.environ.get("OPENAI_API_KEY")
        self.model = model
        self.name = name
        self.id = f"{name}/{model}"
        self.base_url = check_url(base_url or "", f"the endpoint {name!r}")
        self.remote = is_remote(self.base_url)
        self.timeout = timeout or (60.0 if self.remote else 300.0)
        self._allow_remote = allow_remote
        self._api_key = api_key
        self._n_ctx = n_ctx
        self._logger = heard(logger)
        self._dialect = DialectMemory(None if dialect == "auto" else dialect)
        self._quirks = Quirks()
        self._habits: defaultdict[str, Habit] = defaultdict(Habit)
        self._client: openai.AsyncOpenAI | None = None
        self._answered = False

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
            allow_remote=allow_remote,
            logger=logger,
        )

    def __repr__(self) -> str:
        return redact(f"OpenAIBackend({self.id!r}, base_url={self.base_url!r})")

    @property
    def dialect(self) -> Dialect | None:
        """How the endpoint takes schemas; ``None`` until it was found out."""
        return self._dialect.chosen

    # Calls

    async def chat(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> ChatReply:
        params = self._params(options)
        thread = as_messages(messages)
        refuted = Usage()

        async def attempt(dialect: Dialect) -> ChatReply:
            nonlocal refuted
            response = await self._create(self._body(thread, params, dialect))
            data = await self._whole(response)
            try:
                read = self._read(partial(reply_of, habit=self._habits[params.reasoning]), data)
                reply = await checked_apart(read, params.response_format, limit=params.max_tokens)
            except OutputError as error:
                error.usage = refuted = refuted + (error.usage or Usage())
                raise
            return replace(reply, usage=reply.usage + refuted)

        return await self._in_dialect(params.response_format, attempt)

    async def chat_stream(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> ChatStream:
        params = self._params(options)
        thread = as_messages(messages)

        async def attempt(dialect: Dialect) -> tuple[Dialect, Any]:
            body = self._body(thread, params, dialect)
            return dialect, await self._create(body | {"stream": True, "stream_options": {"include_usage": True}})

        used, response = await self._in_dialect(params.response_format, attempt, confirm=False)
        hold = params.reasoning == "on" or (params.reasoning == "auto" and thinks_by_name(self.model))
        assembler = StreamAssembler(self.id, self._habits[params.reasoning], hold=hold)
        reader = EventReader(self.id)
        started = False
        try:
            events = self._events(response, reader, lambda: assembler.complete(params.n))
            async with aclosing(events):
                async for event in events:
                    self._check(event)
                    for chunk in assembler.feed(event):
                        started = True
                        yield chunk
            for chunk in assembler.end(said=reader.done):
                started = True
                yield chunk
            if not assembler.finished:
                raise TargetDownError(f"{self.id} ended its stream before the answer was whole.")
            await self._judge(assembler, params, used)
        except OutputError:
            raise
        except ParlantLocalError as error:
            if not started:
                raise
            raise _interrupted(self.id, error) from error
        finally:
            await response.aclose()
        for chunk in assembler.last():
            yield chunk

    async def complete(self, prompt: Text, **options: Unpack[ChatOptions]) -> ChatReply:
        params = self._params(options)
        if params.response_format.type != "text":
            raise BadRequestError(f"{self.id} takes a response_format in chats only.", hint="Use chat().")
        body = request_body(self.model, (), params) | {"prompt": self.as_text(prompt)}
        del body["messages"]
        raw = self._connected().completions.with_raw_response
        response = await self._send(lambda fitted: raw.create(**fitted), body)
        return self._read(completion_of, await self._whole(response))

    async def embed(self, texts: Sequence[Text], *, truncate: bool = False) -> EmbedReply:
        """Vectors of ``texts``. No endpoint says which texts it cut, so ``truncate`` is refused rather than guessed."""
        if truncate:
            raise BadRequestError(f"{self.id} can't report which texts it cuts.", hint="Shorten them before embedding.")
        if not texts:
            return EmbedReply((), 0, self.id)
        client = self._connected()
        body: Any = whole_value(
            {"model": self.model, "input": [self.as_text(text) for text in texts], "encoding_format": "base64"}
        )
        try:
            async with self._errors():
                response = await client.embeddings.with_raw_response.create(**body)
            data = await self._whole(response.http_response)
        except ContextOverflowError as error:
            raise TextTooLongError(
                f"A text is too long for {self.id}.", needed=error.needed, available=error.available, hint="Split it."
            ) from None
        vectors = normalised(self.id, self._read(vectors_of, data), expected=len(texts))
        self._answered = True
        return EmbedReply(vectors, len(vectors[0]), self.id, usage_of(data))

    async def rerank(self, query: str, documents: Sequence[str]) -> RerankReply:
        """By ``/rerank``, as vLLM, llama-server and Jina have it; OpenAI's own cloud has none."""
        client = self._connected()
        body = whole_value({"model": self.model, "query": query, "documents": list(documents)})
        async with self._errors():
            data: Any = await client.post("/rerank", cast_to=object, body=body)
        self._check(data)
        if (scores := scores_of(data, len(documents))) is None:
            raise InvalidOutputError(f"{self.id} returned no usable scores for {len(documents)} documents.")
        return RerankReply(scores, self.id)

    async def moderate(self, text: str) -> dict[str, float]:
        """Category to score, by ``/moderations``."""
        client = self._connected()
        async with self._errors():
            response = await client.moderations.with_raw_response.create(model=self.model, input=whole_text(text))
        if not (categories := categories_of(await self._whole(response.http_response))):
            raise InvalidOutputError(f"{self.id} returned no moderation result.")
        return categories

    async def load(self) -> None:
        """Learns the context window of an endpoint on this machine, where it tells; remote ones are left alone until a
        call, and what does not answer is told by the first one."""
        if self.remote or self._n_ctx is not None:
            return
        try:
            await self.check()
        except ParlantLocalError as error:
            self._logger.debug(f"{self.id} does not tell about its models: {error}")

    async def check(self) -> ModelInfo:
        """Asks the endpoint for its models, learns the context window where it tells, and returns :meth:`model_info`."""
        client = self._connected()
        async with self._errors():
            response = await client.models.with_raw_response.list()
        known = models_of(await self._whole(response.http_response))
        entry = next((known[name] for name in known if name == self.model or name.endswith(f"/{self.model}")), None)
        if known and entry is None:
            raise TargetDownError(
                f"{self.name} serves no model {self.model!r}.",
                status=404,
                hint=f"It serves {', '.join(sorted(known)[:8])}.",
            )
        if entry is not None and self._n_ctx is None:
            self._n_ctx = window_of(entry)
        self._answered = True
        return self.model_info()

    def model_info(self) -> ModelInfo:
        capabilities = frozenset({"chat", "schema", "tools", "streaming", "embed", "complete"})
        return ModelInfo(
            id=self.id,
            name=self.model,
            n_ctx=self._n_ctx,
            loaded=self._answered,
            remote=self.remote,
            capabilities=capabilities,
            metadata={"endpoint": self.name, "base_url": self.base_url, "dialect": self._dialect.chosen or "unknown"},
        )

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    # How they are made

    def _params(self, options: ChatOptions) -> ChatParams:
        params = ChatParams.of(options)
        params.check_fits("openai", self.id)
        return params

    def _connected(self) -> openai.AsyncOpenAI:
        if self.remote and not self._allow_remote:
            raise refuse_remote(self.id, urlsplit(self.base_url).hostname or self.base_url)
        if self._client is None:
            if self.remote and self.name == "openai" and not self._api_key:
                raise AuthenticationError(f"{self.id} needs a key.", hint="Set OPENAI_API_KEY.")
            self._client = make_client(self.base_url, self._api_key, self.timeout, self.name, remote=self.remote)
        return self._client

    def _body(self, thread: tuple[Message, ...], params: ChatParams, dialect: Dialect) -> dict[str, Any]:
        messages, response_format = apply(dialect, params.response_format, thread)
        body = request_body(self.model, messages, params)
        if response_format is not None:
            body["response_format"] = response_format
        return body

    async def _create(self, body: dict[str, Any]) -> Any:
        raw = self._connected().chat.completions.with_raw_response
        return await self._send(lambda fitted: raw.create(**fitted), body)

    async def _send(self, call: Callable[[dict[str, Any]], Any], body: dict[str, Any]) -> httpx2.Response:
        """Sends ``body``; an option that the endpoint does not know is left out from then on."""
        import openai

        body = whole_value(body)
        for _ in range(_MAX_REFUSALS):
            async with self._errors():
                try:
                    response: httpx2.Response = (await call(self._quirks.fit(body))).http_response
                except openai.APIStatusError as error:
                    if not self._quirks.learn(error.status_code, error.param, str(error.message)):
                        raise
                    self._logger.debug(f"{self.id} refuses an option; left out from now on: {self._quirks}")
                    continue
            self._answered = True
            return response
        raise BadRequestError(f"{self.id} refused {_MAX_REFUSALS} options of one request.")

    async def _in_dialect(
        self, wanted: ResponseFormat, attempt: Callable[[Dialect], Awaitable[T]], *, confirm: bool = True
    ) -> T:
        """Runs ``attempt``, going down the ladder until the endpoint understands what ``wanted`` is."""
        memory = self._dialect
        if wanted.type == "text" or memory.settled():
            return await attempt(memory.candidate)
        if wanted.type == "json_object":
            try:
                return await attempt(memory.any_object)
            except BadRequestError as error:
                if error.field != _FORMAT:
                    raise
                memory.refute("json_object", refused=True)
                return await attempt("prompt")
        if memory.exploring is not None:
            # Once only: where the explorer failed, its endpoint may be down, and waiting in line would cost a timeout each.
            await memory.exploring.wait()
            if memory.settled():
                return await attempt(memory.candidate)
        mine = asyncio.Event()
        memory.exploring = memory.exploring or mine
        try:
            return await self._explore(attempt, confirm=confirm)
        finally:
            mine.set()
            if memory.exploring is mine:
                memory.exploring = None

    async def _explore(self, attempt: Callable[[Dialect], Awaitable[T]], *, confirm: bool) -> T:
        memory = self._dialect
        while True:
            dialect = memory.candidate
            try:
                result = await attempt(dialect)
            except (BadRequestError, InvalidOutputError) as error:
                refused = isinstance(error, BadRequestError)
                if isinstance(error, BadRequestError) and error.field != _FORMAT:
                    raise
                self._logger.debug(f"{self.id} does not take schemas as {dialect}: {type(error).__name__}")
                if not memory.refute(dialect, refused=refused) or not (refused or may_send_another()):
                    raise
                continue
            if confirm and not memory.settled():
                memory.confirm(dialect)
                self._logger.info(f"{self.id} takes schemas as {dialect}.")
            return result

    async def _judge(self, assembler: StreamAssembler, params: ChatParams, used: Dialect) -> None:
        wanted = params.response_format
        try:
            await checked_apart(assembler.whole(), wanted, limit=params.max_tokens, delivered=True)
        except InvalidOutputError:
            self._dialect.refute(used)
            raise
        if wanted.type == "json_schema":
            self._dialect.confirm(used)

    async def _events(
        self, response: httpx2.Response, reader: EventReader, whole: Callable[[], bool]
    ) -> AsyncGenerator[Any, None]:
        """What a stream says. One that is cut when the answer was whole has lost nothing but the word that it is over."""
        try:
            async with self._errors():
                async for event in events_of(response, reader):
                    yield event
        except BackendError as error:
            if not whole():
                raise
            self._logger.debug(f"{self.id} ended its stream without saying so: {error.message}")

    async def _whole(self, response: httpx2.Response) -> Any:
        """The JSON of a body, which may be an error whatever its status says."""
        async with self._errors():
            data = json_value(await response.aread())
            self._check(data)
            return data

    def _check(self, data: Any) -> None:
        """Raises what a body or an event of status 200 says went wrong."""
        for part in (data, *choices_of(data)):
            if (error := error_of(part)) is not None:
                status, text = error
                raise from_status(self.id, status, self._masked(text), n_ctx=self._n_ctx)
        if (reason := broken_off(data)) is not None:
            raise TransientError(f"{self.id} broke its answer off ({reason}).")

    def _masked(self, text: str) -> str:
        """``text`` without this endpoint's key, whatever its shape."""
        return text.replace(self._api_key, "***") if self._api_key and len(self._api_key) >= 6 else text

    def _read(self, reader: Callable[[Any, str], T], data: Any) -> T:
        try:
            return reader(data, self.id)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            raise TransientError(f"{self.id} answered with something that is not OpenAI's API.") from None

    @asynccontextmanager
    async def _errors(self) -> AsyncIterator[None]:
        """Exceptions of the client and of the connection below it, as ours."""
        import openai

        try:
            yield
        except openai.APIStatusError as error:
            text = self._masked(error.response.text)
            mapped = from_status(
                self.id,
                error.status_code,
                f"{error.code or ''} {text}",
                headers=error.response.headers,
                n_ctx=self._n_ctx,
            )
            if blames_format(error.status_code, text) and not isinstance(mapped, ContextOverflowError):
                raise BadRequestError(str(mapped), status=error.status_code, field=_FORMAT) from None
            raise mapped from None
        except openai.APIConnectionError as error:
            cause = from_transport(self.id, error.__cause__ or error, address=self.base_url)
            raise (cause or TargetDownError(f"{self.id} cut the connection.")) from None
        except openai.APIResponseValidationError:
            raise TransientError(f"{self.id} answered with something that is not OpenAI's API.") from None
        except openai.APIError as error:  # an error event inside a stream
            raise from_status(self.id, 0, f"{error.code or ''} {error.message}", n_ctx=self._n_ctx) from None
        except ParlantLocalError:
            raise
        except Exception as error:
            mapped_transport = from_transport(self.id, error, address=self.base_url)
            if mapped_transport is None:
                raise
            raise mapped_transport from None


def _interrupted(target: str, error: ParlantLocalError) -> StreamInterruptedError:
    return StreamInterruptedError(f"The stream of {target} broke after it had begun: {error.message}", hint=error.hint)
