"""Generations read into replies and chunks."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from parlant_local.backends.base import ChatParams, ChatStream
from parlant_local.backends.llama_cpp.planning import ChatPlan
from parlant_local.backends.llama_cpp.verifying import check_structured, verify
from parlant_local.engine.parsing import OutputParser, collect
from parlant_local.engine.requests import Generation, GenerationRequest
from parlant_local.errors import InvalidOutputError, TruncatedOutputError
from parlant_local.messages import ChatChunk, ChatReply, Delta, FinishReason, TokenLogprob, ToolCall, Usage, json_value
from parlant_local.observability import Logger
from parlant_local.settings import ConstraintSettings

if TYPE_CHECKING:
    from parlant_local.engine import LlamaEngine

__all__ = ["Answers"]

T = TypeVar("T")


async def run_all(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Results in order; the first failure cancels the others and is raised as it is."""
    coroutines = list(work)
    if len(coroutines) == 1:
        return [await coroutines[0]]
    tasks = [asyncio.ensure_future(item) for item in coroutines]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def read_reply(engine: LlamaEngine, plan: ChatPlan, generation: Generation, model: str) -> ChatReply:
    parser = plan.parser()
    deltas = parser.feed(generation.text, generation.reasoning)
    deltas += parser.finish(truncated=generation.finish_reason == "length")
    found = collect(deltas)
    return ChatReply(
        content=found.content,
        reasoning=found.reasoning,
        tool_calls=tuple(
            call for call in found.tool_calls if generation.finish_reason != "length" or _is_complete(call)
        ),
        finish_reason=_finish_reason(generation, parser),
        usage=await _usage(engine, generation, found.reasoning),
        timings=generation.timings,
        model=model,
        logprobs=generation.logprobs,
        warnings=(*plan.warnings, *parser.warnings),
        stopped_by=generation.stopped_by,
    )


class Answers:
    """What one engine answers to the plans of one call."""

    def __init__(
        self, engine: LlamaEngine, model: str, params: ChatParams, bounds: ConstraintSettings, logger: Logger
    ) -> None:
        self._engine = engine
        self._model = model
        self._params = params
        self._bounds = bounds
        self._logger = logger

    async def whole(self, plan: ChatPlan) -> ChatReply:
        """Every answer of ``plan``, validated. Raises the first failure; :class:`TruncatedOutputError` has the answer with it."""
        generations = await run_all(self._engine.generate(request) for request in plan.requests)
        replies = [await read_reply(self._engine, plan, generation, self._model) for generation in generations]
        answer = replace(replies[0], alternatives=tuple(replies[1:]))
        for reply in replies:
            self._warn(reply.warnings[len(plan.warnings) :])  # the plan's were logged when the model was opened
            if plan.structured and not reply.tool_calls and not self._params.stop:
                try:
                    check_structured(reply)
                except TruncatedOutputError as cut:
                    cut.answer = answer
                    raise
        for generation, reply in zip(generations, replies, strict=True):
            if generation.unbound and not self._params.stop and reply.finish_reason != "length":
                await self._verify(reply)
        return answer

    async def chunks(self, plan: ChatPlan) -> ChatStream:
        """Chunks of every answer as they come, each with its index. Closing it cancels what still runs."""
        if len(plan.requests) == 1:
            async with aclosing(self._chunks(plan.requests[0], plan.parser(), 0)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        # Bounded, so that a slow consumer applies backpressure instead of filling memory.
        queue: asyncio.Queue[ChatChunk | BaseException | None] = asyncio.Queue(maxsize=64)

        async def pump(index: int, request: GenerationRequest) -> None:
            try:
                async with aclosing(self._chunks(request, plan.parser(), index)) as chunks:
                    async for chunk in chunks:
                        await queue.put(chunk)
            except Exception as error:  # raised in the consumer
                await queue.put(error)
            else:
                await queue.put(None)

        tasks = [asyncio.ensure_future(pump(index, request)) for index, request in enumerate(plan.requests)]
        try:
            for _ in tasks:
                while (item := await queue.get()) is not None:
                    if isinstance(item, BaseException):
                        raise item
                    yield item
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _chunks(self, request: GenerationRequest, parser: OutputParser, index: int) -> ChatStream:
        deltas: list[Delta] = []

        def chunk(delta: Delta, logprobs: tuple[TokenLogprob, ...] | None) -> ChatChunk:
            deltas.append(delta)
            return ChatChunk(delta, index=index, model=self._model, logprobs=logprobs)

        pending: tuple[TokenLogprob, ...] = ()
        final: Generation | None = None
        async with aclosing(self._engine.stream(request)) as pieces:
            async for piece in pieces:
                pending += piece.logprobs
                for delta in parser.feed(piece.text, piece.reasoning):
                    yield chunk(delta, pending or None)
                    pending = ()
                if piece.final is not None:
                    final = piece.final
                    break
        assert final is not None
        for delta in parser.finish(truncated=final.finish_reason == "length"):
            yield chunk(delta, pending or None)
            pending = ()
        self._warn(parser.warnings)
        if final.unbound and not request.stop and final.finish_reason != "length":
            found = collect(deltas)
            await self._verify(ChatReply(content=found.content, tool_calls=found.tool_calls, usage=final.usage))
        yield ChatChunk(
            finish_reason=_finish_reason(final, parser),
            usage=await _usage(self._engine, final, "".join(delta.reasoning for delta in deltas)),
            timings=final.timings,
            index=index,
            model=self._model,
            logprobs=pending or None,
            stopped_by=final.stopped_by,
        )

    async def _verify(self, reply: ChatReply) -> None:
        try:
            await verify(reply.content, reply.tool_calls, self._params, self._bounds, model=self._model)
        except InvalidOutputError as unfit:
            unfit.usage = reply.usage
            raise

    def _warn(self, warnings: Iterable[str]) -> None:
        for warning in warnings:
            self._logger.warning(f"{self._model}: {warning}")


def _is_complete(call: ToolCall) -> bool:
    """Whether its arguments are complete; a truncated call can't be run."""
    try:
        return isinstance(json_value(call.arguments), dict)
    except ValueError:
        return False


def _finish_reason(generation: Generation, parser: OutputParser) -> FinishReason:
    if generation.finish_reason == "stop" and parser.calls:
        return "tool_calls"
    return generation.finish_reason


async def _usage(engine: LlamaEngine, generation: Generation, reasoning: str) -> Usage:
    """The engine's count; reasoning that it did not count itself is counted by the tokenizer."""
    usage = generation.usage
    if reasoning and not usage.reasoning_tokens:
        counted = await engine.count_tokens(reasoning)
        usage = replace(usage, reasoning_tokens=min(counted, usage.completion_tokens))
    return usage
