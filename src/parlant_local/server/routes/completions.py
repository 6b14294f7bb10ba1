"""``POST /v1/completions``: text that continues a prompt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from parlant_local.backends.base import Backend, ChatOptions
from parlant_local.backends.buffered import accept_truncated
from parlant_local.errors import RequestRefusedError
from parlant_local.messages import ChatReply, Usage
from parlant_local.server.bodies import BodyRoute
from parlant_local.server.context import Context, context_of
from parlant_local.server.options import BINDING, belonging, check_texts, refuse_unknown, sampling_options
from parlant_local.server.replies import CompletionAnswer, logged_values, usage_of
from parlant_local.server.routes.common import stream_or
from parlant_local.server.shapes.answers import COMPLETION
from parlant_local.server.shapes.chat import CompletionRequest
from parlant_local.server.streams import DONE, sse
from parlant_local.server.texts import check_inputs
from parlant_local.server.writing import json_answer

__all__ = ["router"]

router = APIRouter(route_class=BodyRoute, tags=["completions"])


@router.post(
    "/v1/completions",
    responses=stream_or("text/event-stream", "The text, complete or as events.", COMPLETION),
)
async def completions(body: CompletionRequest, request: Request) -> Response:
    """Continue one prompt or several; no chat template is applied."""
    context = context_of(request, body)
    limits = context.settings.limits
    refuse_unknown(body, ("messages", *BINDING), "a chat (/v1/chat/completions)")
    options: Any = {**sampling_options(body, limits), **belonging(request.headers, limits)}
    if body.best_of is not None and body.best_of != options.get("n", 1):
        raise RequestRefusedError(400, "best_of must equal n.", code="unsupported", param="best_of")
    if body.logprobs is not None:
        options["logprobs"] = body.logprobs
    name, backend = await context.models.backend(body.model)
    prompts = body.prompt
    check_inputs(prompts, backend, limits, "prompt", "choices")
    if body.suffix:
        check_texts([body.suffix], limits, "suffix")
    echoes = await _echoes(context, name, prompts) if body.echo else [""] * len(prompts)
    if body.suffix:
        prompts = [await _between(context, name, prompt, body.suffix) for prompt in prompts]
    answer = CompletionAnswer(name)
    if body.stream:
        with_usage = body.stream_options is not None and body.stream_options.include_usage is True
        pieces = _events(context, backend, name, answer, prompts, options, echoes, with_usage=with_usage)
        return await context.streamed(request, pieces)
    with context.measured(name) as metrics:
        work = asyncio.gather(*(accept_truncated(backend.complete(prompt, **options)) for prompt in prompts))
        replies: list[ChatReply] = await context.answered(request, _awaited(work))
        for reply in replies:
            metrics.usage = metrics.usage + usage_of(reply)
        if len(replies) == 1:
            metrics.timings, metrics.finish = replies[0].timings, replies[0].finish_reason
    choices = [(echo, choice) for echo, reply in zip(echoes, replies, strict=True) for choice in reply.choices]
    size = logged_values(reply for _, reply in choices) + sum(len(echo) for echo, _ in choices) // 50
    return await json_answer(lambda: answer.whole(choices, metrics.usage), size)


async def _echoes(context: Context, name: str, prompts: list[str | list[int]]) -> list[str]:
    """The prompts as text, to be echoed before the answers."""
    texts = [prompt for prompt in prompts if isinstance(prompt, str)]
    if texts:
        return texts
    async with context.models.engine(name) as (_, backend):
        return [await backend.engine.detokenize(prompt) for prompt in prompts if not isinstance(prompt, str)]


async def _between(context: Context, name: str, prompt: str | list[int], suffix: str) -> list[int]:
    """The prompt that asks for what stands between ``prompt`` and ``suffix``."""
    if not isinstance(prompt, str):
        raise RequestRefusedError(400, "With a suffix, prompt must be text.", code="unsupported", param="suffix")
    async with context.models.engine(name) as (_, backend):
        return list((await backend.engine.fill_prompt(prompt, suffix)).tokens)


async def _awaited(work: asyncio.Future[list[ChatReply]]) -> list[ChatReply]:
    try:
        return await work
    finally:
        work.cancel()


async def _events(
    context: Context,
    backend: Backend,
    name: str,
    answer: CompletionAnswer,
    prompts: list[str | list[int]],
    options: ChatOptions,
    echoes: list[str],
    *,
    with_usage: bool,
) -> AsyncGenerator[bytes, None]:
    """One prompt after the other; the choices of each as they are generated."""
    many = options.get("n") or 1
    with context.measured(name) as metrics:
        for place, prompt in enumerate(prompts):
            used = Usage()
            if echoes[place]:
                for index in range(many):
                    yield sse(answer.piece(place * many + index, echoes[place], None, None, with_usage=with_usage))
            async with aclosing(_pieces(backend, prompt, options)) as pieces:
                async for index, text, finish, logprobs, usage in pieces:
                    metrics.record_chunk()
                    if usage is not None:
                        used = replace(used + usage, prompt_tokens=usage.prompt_tokens)
                    yield sse(answer.piece(place * many + index, text, finish, logprobs, with_usage=with_usage))
            metrics.usage = metrics.usage + used
        if with_usage:
            yield sse(answer.usage(metrics.usage))
        yield DONE


async def _pieces(
    backend: Backend, prompt: str | list[int], options: ChatOptions
) -> AsyncGenerator[tuple[Any, ...], None]:
    """Index, text, finish reason, log-probs and usage of each chunk; external models may answer in one."""
    async with aclosing(backend.complete_stream(prompt, **options)) as chunks:
        async for chunk in chunks:
            yield chunk.index, chunk.delta.content, chunk.finish_reason, chunk.logprobs, chunk.usage
