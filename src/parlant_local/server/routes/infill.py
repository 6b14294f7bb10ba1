"""``POST /infill``: text between two others, for editors."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from parlant_local.engine.filling import OtherText
from parlant_local.messages import Usage
from parlant_local.server.bodies import BodyRoute
from parlant_local.server.context import Context, context_of
from parlant_local.server.doors.common import one_answer
from parlant_local.server.doors.infill import FilledText, fields_of
from parlant_local.server.history import current_request
from parlant_local.server.options import BINDING, check_texts, refuse_unknown, sampling_options
from parlant_local.server.routes.common import stream_or
from parlant_local.server.shapes.answers.infill import INFILL
from parlant_local.server.shapes.infill import InfillRequest
from parlant_local.server.streams import sse

__all__ = ["router"]

router = APIRouter(route_class=BodyRoute, tags=["completions"])


@router.post("/infill", responses=stream_or("text/event-stream", "The text, complete or as events.", INFILL))
async def infill(body: InfillRequest, request: Request) -> Response:
    """Fill in what stands between two texts."""
    context = context_of(request, body)
    filling = _Filling.of(context, body)
    if body.stream:
        return await context.streamed(request, filling.events())
    answers = await context.answered(request, filling.whole())
    return JSONResponse(answers if len(answers) > 1 else answers[0])


@dataclass(slots=True)
class _Filling:
    context: Context
    body: InfillRequest
    options: Any
    texts: list[FilledText]
    others: list[OtherText]

    @classmethod
    def of(cls, context: Context, body: InfillRequest) -> _Filling:
        limits = context.settings.limits
        one_answer(body)
        refuse_unknown(body, ("messages", *BINDING), "a chat (/v1/chat/completions)")
        others = [OtherText(item.filename or "file", item.text) for item in body.input_extra or ()]
        given = [body.input_prefix or "", body.input_suffix or "", body.prompt or ""]
        check_texts([*given, *(f"{other.name}{other.text}" for other in others)], limits, "input")
        count = body.n_cmpl or 1
        asked = body.model_copy(update={"n": count, **({"n_predict": 1} if body.n_predict == 0 else {})})
        # What belongs into a gap is hardly a matter of taste.
        options: Any = {"temperature": 0.0, **sampling_options(asked, limits)}
        return cls(context, body, options, [FilledText(index, body) for index in range(count)], others)

    async def whole(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        async with aclosing(self._steps()) as steps:
            async for step in steps:
                if step["stop"]:
                    found.append(step)
        return [fields_of(step, self.body.response_fields) for step in found]  # type: ignore[arg-type]  # whole ones

    async def events(self) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._steps()) as steps:
            async for step in steps:
                yield sse(fields_of(step, self.body.response_fields) if step["stop"] else step)  # type: ignore[arg-type]  # as above

    async def _steps(self) -> AsyncGenerator[dict[str, Any], None]:
        """Each piece of text as it comes, and each whole answer at the end."""
        body, models = self.body, self.context.models
        async with models.engine(body.model) as (name, backend):
            n_ctx = backend.engine.n_ctx
            reserved = self.options.get("max_tokens") or 0
            if reserved <= 0:
                reserved = min(self.context.settings.generation.max_tokens, n_ctx // 4)
            prompt = await backend.engine.fill_prompt(
                body.input_prefix or "",
                body.input_suffix or "",
                begun=body.prompt or "",
                others=self.others,
                room=n_ctx - reserved,
            )
            with self.context.measured(name) as metrics:
                async with aclosing(backend.complete_stream(prompt.tokens, **self.options)) as chunks:
                    async for chunk in chunks:
                        metrics.record_chunk()
                        metrics.timings = chunk.timings or metrics.timings
                        metrics.finish = chunk.finish_reason or metrics.finish
                        text = self.texts[chunk.index]
                        if shown := text.feed(chunk):
                            yield dict(text.piece(shown))
                        if all(item.ended for item in self.texts):
                            break
                metrics.usage = _together(self.texts, len(prompt.tokens))
            settings = {"n_ctx": n_ctx, "n_predict": -1 if body.n_predict is None else body.n_predict}
            settings |= {key: value for key, value in self.options.items() if key in ("temperature", "top_k", "top_p")}
            for text in self.texts:
                whole = text.whole(name, len(prompt.tokens), settings, truncated=prompt.truncated, cached=_reused())
                yield dict(whole)


def _together(texts: list[FilledText], prompt_tokens: int) -> Usage:
    """The prompt counts once."""
    used = [text.used for text in texts]
    return Usage(prompt_tokens, sum(item.completion_tokens for item in used), max(item.cached_tokens for item in used))


def _reused() -> int:
    """Tokens of this request's prompt that a cache had, by what the engine knows of it."""
    record = current_request.get()
    standing = record.watch.standing() if record is not None else None
    return 0 if standing is None else standing.reused
