"""A model's replicas as one backend. A call of which nothing was given on is sent to another one where its replica dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing, suppress
from typing import Any, Unpack

from ray.exceptions import RayActorError, RayError
from ray.serve.exceptions import DeploymentUnavailableError, RayServeException, RequestCancelledError
from ray.serve.handle import DeploymentHandle

from parlant_local.backends.base import Backend, ChatOptions, ChatStream, EmbedReply, ModelInfo, RerankReply, Text
from parlant_local.errors import StreamInterruptedError, TargetDownError
from parlant_local.messages import ChatReply, MessageLike
from parlant_local.ray.calls import STREAMED, Begun, Call, Failed, Kind, key_of
from parlant_local.settings import RaySettings

__all__ = ["ReplicatedBackend"]


class _LostReplica(Exception):
    """A call's replica is gone, and with it whatever was not given on yet."""


class ReplicatedBackend(Backend):
    """``handle``: of the deployment whose replicas are :class:`ModelReplica`."""

    def __init__(self, handle: DeploymentHandle[Any], info: ModelInfo, settings: RaySettings) -> None:
        self._handle = handle.options(stream=True, method_name="answer")
        self._info, self._settings = info, settings

    def model_info(self) -> ModelInfo:
        return self._info

    async def chat(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> ChatReply:
        reply: ChatReply = await self._whole("chat", (self.as_messages(messages),), options)
        return reply

    async def chat_stream(
        self, messages: str | MessageLike | Iterable[MessageLike], **options: Unpack[ChatOptions]
    ) -> ChatStream:
        async with aclosing(self._told("chat_stream", (self.as_messages(messages),), options)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def complete(self, prompt: Text, **options: Unpack[ChatOptions]) -> ChatReply:
        reply: ChatReply = await self._whole("complete", (prompt,), options)
        return reply

    async def complete_stream(self, prompt: Text, **options: Unpack[ChatOptions]) -> ChatStream:
        async with aclosing(self._told("complete_stream", (prompt,), options)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def embed(self, texts: Sequence[Text], *, truncate: bool = False) -> EmbedReply:
        reply: EmbedReply = await self._whole("embed", (tuple(texts),), {"truncate": truncate})
        return reply

    async def rerank(self, query: str, documents: Sequence[str]) -> RerankReply:
        reply: RerankReply = await self._whole("rerank", (query, tuple(documents)), {})
        return reply

    async def tokenize(self, text: str) -> list[int]:
        tokens: list[int] = await self._whole("tokenize", (text,), {})
        return tokens

    async def count_tokens(self, text: str) -> int:
        count: int = await self._whole("count_tokens", (text,), {})
        return count

    # -- calls --------------------------------------------------------------------------------------------------------

    async def _whole(self, kind: Kind, arguments: tuple[Any, ...], options: Any) -> Any:
        async with aclosing(self._told(kind, arguments, options)) as told:
            [answer] = [piece async for piece in told]
        return answer

    async def _told(self, kind: Kind, arguments: tuple[Any, ...], options: Any) -> AsyncGenerator[Any, None]:
        """What a replica answers, another one where the first dies before it has answered anything."""
        call = Call(kind, arguments, dict(options))
        for attempt in range(1, self._settings.attempts + 1):
            begun = False
            try:
                async with aclosing(self._asked(call)) as pieces:
                    async for piece in pieces:
                        begun = True
                        yield piece
                return
            except _LostReplica as lost:
                if begun and kind in STREAMED:
                    raise StreamInterruptedError(
                        f"The replica of {self._info.id} that was answering has gone: {lost}.",
                        hint="What had arrived is incomplete; ask again.",
                    ) from lost
                if attempt == self._settings.attempts:
                    raise TargetDownError(
                        f"{attempt} replicas of {self._info.id} (ray.attempts) went while they were answering, the last one: {lost}.",
                        hint="Their logs say why.",
                    ) from lost

    async def _asked(self, call: Call) -> AsyncGenerator[Any, None]:
        """One replica's answer. Closing it, or cancelling it, cancels the call there."""
        response: Any = self._handle.remote(key_of(self._info.id, call.options), call)
        ended = False
        try:
            await self._taken(response)
            async for piece in response:
                if isinstance(piece, Failed):
                    ended = True
                    raise piece.error
                yield piece
            ended = True
        except (RayActorError, RequestCancelledError) as error:
            raise _LostReplica(_first_line(error)) from error
        except asyncio.CancelledError as error:
            if _asked_to_stop():
                raise
            raise _LostReplica("it was shut down") from error  # which Ray tells as a cancellation
        except RayError as error:
            raise TargetDownError(
                f"A replica of {self._info.id} failed: {_first_line(error)}.", hint="Its log says why."
            ) from error
        finally:
            if not ended:
                with suppress(RayError, RayServeException):  # it had failed by itself: nothing is left to cancel
                    response.cancel()

    async def _taken(self, response: Any) -> None:
        """Returns once a replica has the call."""
        wait = self._settings.wait_seconds
        try:
            async with asyncio.timeout(wait):
                first = await anext(response)
        except TimeoutError:
            raise TargetDownError(
                f"No replica of {self._info.id} has taken the call within {wait:g} s (ray.wait_seconds).",
                hint="Allow more of them (ray.max_replicas), or see why none starts.",
            ) from None
        except DeploymentUnavailableError as error:
            raise TargetDownError(f"{self._info.id} has no replicas: its deployment failed.", hint=str(error)) from None
        assert isinstance(first, Begun)


def _asked_to_stop() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".:")
