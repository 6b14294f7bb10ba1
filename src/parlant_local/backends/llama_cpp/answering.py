"""Generations read into replies and chunks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from parlant_local.backends.llama_cpp.planning import ChatPlan
from parlant_local.engine.parsing import OutputParser, collect
from parlant_local.engine.requests import Generation, GenerationRequest
from parlant_local.messages import ChatChunk, ChatReply, Delta, FinishReason, TokenLogprob, ToolCall, Usage, json_value
from parlant_local.observability import Logger

if TYPE_CHECKING:
    from parlant_local.engine import LlamaEngine

__all__ = ["answer_chunks", "read_reply", "run_all"]

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
        tool_calls=tuple(call for call in found.tool_calls if generation.finish_reason != "length" or _whole(call)),
        finish_reason=_finish_reason(generation, parser),
        usage=await _usage(engine, generation, found.reasoning),
        timings=generation.timings,
        model=model,
        logprobs=generation.logprobs,
        warnings=(*plan.warnings, *parser.warnings),
    )


async def answer_chunks(
    engine: LlamaEngine,
    plan: ChatPlan,
    model: str,
    logger: Logger,
    verify: Callable[[ChatReply], Awaitable[None]],
) -> AsyncGenerator[ChatChunk, None]:
    """Chunks of every answer as they come, each with its index. Closing it cancels what still runs.

    ``verify`` judges whole answers that may break their schema, before their last chunk.
    """
    if len(plan.requests) == 1:
        async with aclosing(_chunks(engine, plan.requests[0], plan.parser(), 0, model, logger, verify)) as chunks:
            async for chunk in chunks:
                yield chunk
        return
    # Bounded, so that a slow reader slows the answers down instead of filling memory.
    queue: asyncio.Queue[ChatChunk | BaseException | None] = asyncio.Queue(maxsize=64)

    async def pump(index: int, request: GenerationRequest) -> None:
        try:
            async with aclosing(_chunks(engine, request, plan.parser(), index, model, logger, verify)) as chunks:
                async for chunk in chunks:
                    await queue.put(chunk)
        except Exception as error:  # handed to the reader, who raises it
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


async def _chunks(
    engine: LlamaEngine,
    request: GenerationRequest,
    parser: OutputParser,
    index: int,
    model: str,
    logger: Logger,
    verify: Callable[[ChatReply], Awaitable[None]],
) -> AsyncGenerator[ChatChunk, None]:
    said: list[Delta] = []

    def chunk(delta: Delta, logprobs: tuple[TokenLogprob, ...] | None) -> ChatChunk:
        said.append(delta)
        return ChatChunk(delta, index=index, model=model, logprobs=logprobs)

    pending: tuple[TokenLogprob, ...] = ()
    final: Generation | None = None
    stream = engine.stream(request)
    async with aclosing(stream) as pieces:  # type: ignore[type-var]  # the engine's iterator is an async generator
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
    for warning in parser.warnings:
        logger.warning(f"{model}: {warning}")
    if final.unbound and not request.stop and final.finish_reason != "length":
        found = collect(said)
        await verify(ChatReply(content=found.content, tool_calls=found.tool_calls, usage=final.usage))
    yield ChatChunk(
        finish_reason=_finish_reason(final, parser),
        usage=await _usage(engine, final, "".join(delta.reasoning for delta in said)),
        timings=final.timings,
        index=index,
        model=model,
        logprobs=pending or None,
    )


def _whole(call: ToolCall) -> bool:
    """Whether its arguments came to their end; half a call can't be run."""
    try:
        return isinstance(json_value(call.arguments), dict)
    except ValueError:
        return False


def _finish_reason(generation: Generation, parser: OutputParser) -> FinishReason:
    if generation.finish_reason == "stop" and parser.calls:
        return "tool_calls"
    return generation.finish_reason


async def _usage(engine: LlamaEngine, generation: Generation, reasoning: str) -> Usage:
    """The engine's count; thoughts that it did not tell apart are counted by the tokenizer."""
    usage = generation.usage
    if reasoning and not usage.reasoning_tokens:
        counted = await engine.count_tokens(reasoning)
        usage = replace(usage, reasoning_tokens=min(counted, usage.completion_tokens))
    return usage
