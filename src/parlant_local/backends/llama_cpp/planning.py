"""One chat call turned into engine requests and the parser for their output."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from parlant_local.backends.base import ChatParams
from parlant_local.backends.llama_cpp.binding import binding_of
from parlant_local.backends.llama_cpp.media import check_shown
from parlant_local.backends.llama_cpp.prompts import PromptEncoder, RenderedPrompt
from parlant_local.backends.llama_cpp.thinking import answer_begun, plain_thoughts, settle_thoughts, thinking_of
from parlant_local.engine.media import ReadPrompt
from parlant_local.engine.parsing import (
    CALL_FORMATS,
    OutputParser,
    PlainContent,
    opens_answer,
)
from parlant_local.engine.requests import (
    GenerationRequest,
    ReasoningPrelude,
)
from parlant_local.engine.sampling import Sampling
from parlant_local.engine.templates import Speech
from parlant_local.errors import BadRequestError, ContextOverflowError
from parlant_local.messages import MediaPart, Message
from parlant_local.profiles import Profile, SamplingAdvice
from parlant_local.settings import ConstraintSettings, GenerationSettings
from parlant_local.settings.constraints import DEFAULT_BOUNDS

__all__ = ["ChatPlan", "ReadMedia", "plan_chat", "plan_completion"]

ReadMedia = Callable[[Sequence[tuple[int, ...] | int], Sequence[MediaPart]], Awaitable[ReadPrompt]]
"""Reads a prompt in pieces: token ids, and the numbers of pictures and sounds, which follow."""


@dataclass(frozen=True, slots=True)
class ChatPlan:
    """``requests``: one per answer asked for. ``parser`` makes a fresh reader for each."""

    requests: tuple[GenerationRequest, ...]
    parser: Callable[[], OutputParser]
    structured: bool
    """Whether the content must be JSON."""
    warnings: tuple[str, ...] = ()


async def plan_chat(
    messages: Sequence[Message],
    params: ChatParams,
    *,
    encoder: PromptEncoder,
    settings: GenerationSettings,
    n_ctx: int,
    bounds: ConstraintSettings = DEFAULT_BOUNDS,
    read: ReadMedia | None = None,
) -> ChatPlan:
    """Renders the prompt and decides on reasoning, constraint, sampling and token limit.

    Raises :class:`ContextOverflowError` where the prompt leaves no room for an answer, :class:`BadRequestError` for options
    that exclude each other, :class:`TemplateError` where the template fails.
    """
    tools = () if params.tool_choice == "none" else params.tools
    speech = await encoder.speech(tools)
    profile = speech.profile
    if tools:  # client schemas, merged into one: too slow for the event loop
        binding = await asyncio.to_thread(binding_of, params, tools, speech, settings, bounds)
    else:
        binding = binding_of(params, tools, speech, settings, bounds)
    thinking = thinking_of(params, settings, profile, bound=binding.constraint is not None)
    arguments = {"on": profile.thinking_on, "off": profile.thinking_off}.get(thinking)
    if thinking == "on" and params.reasoning_tokens:
        arguments = {**profile.thinking_on, **profile.effort(params.reasoning_tokens)}
    messages, continued = _continuation(messages, params, bound=binding.constraint is not None)
    text = await encoder.chat(messages, tools, arguments=arguments, continued=continued)
    prelude: ReasoningPrelude | None = None
    answering = not continued and opens_answer(text, profile)
    if not continued and not answering:
        text, prelude = settle_thoughts(text, profile, thinking, params.reasoning_tokens, settings)
        prelude = prelude or plain_thoughts(params, settings, profile, bound=binding.constraint is not None)
        if prelude is not None and profile.reasoning is not None and tools:
            prelude = replace(prelude, call=profile.reasoning.call)
        if binding.answers:
            text, prelude = answer_begun(text, prelude, profile)
    media = tuple(part for message in messages for part in message.media)
    prompt: RenderedPrompt | ReadPrompt
    if media and read is not None:
        pieces = await encoder.encode_parts(text)
        check_shown(pieces, messages)
        prompt = await read(pieces, media)
    else:
        prompt = await encoder.encode(text)
    stops = encoder.stops(speech) if binding.constraint is None else ()
    sampling = _sampling(params, settings, profile.advice(thinking=prelude is not None))
    request = GenerationRequest(
        prompt=prompt if isinstance(prompt, ReadPrompt) else prompt.tokens,
        max_tokens=_max_tokens(params, settings, len(prompt.tokens), n_ctx),
        sampling=sampling,
        constraint=binding.constraint,
        reasoning=prelude,
        stop=(*params.stop, *stops),
        add_bos=False,
        # Some families write calls and thoughts with control tokens; elsewhere these mean nothing to a reader.
        control_text=not binding.answers and (bool(tools) or profile.reasoning is not None or bool(stops)),
        logprobs=params.logprobs,
        prefix_group=params.prefix_group,
        session=params.session,
        priority=params.priority,
        deadline=params.deadline,
    )

    def parser() -> OutputParser:
        reader = binding.reader()
        if binding.constraint is not None:
            # Bound answers hold no thoughts of their own: text that looks like a tag is part of the answer.
            return OutputParser(_PLAIN, reader, thoughts_apart=prelude is not None)
        # Where the answer continues a text, that has been begun long ago.
        return OutputParser(profile, reader, thoughts_apart=prelude is not None, begun=continued, answering=answering)

    return ChatPlan(_repeated(request, params), parser, binding.structured, encoder.template.warnings)


def _continuation(messages: Sequence[Message], params: ChatParams, *, bound: bool) -> tuple[Sequence[Message], bool]:
    """The conversation, and whether its last message is a prefix of the answer.

    An empty assistant message, which some clients append, is dropped.
    """
    last = messages[-1]
    if last.role != "assistant" or last.tool_calls or not last.content:
        if params.continue_final:
            raise BadRequestError("Only a final assistant message with text can be continued.")
        empty = last.role == "assistant" and not (last.tool_calls or last.content or last.reasoning)
        return (messages[:-1] if empty and len(messages) > 1 else messages), False
    if params.continue_final and bound:
        raise BadRequestError(
            "An answer constrained by a schema, a grammar or a tool can't continue the last message.",
            hint="Omit one of the two.",
        )
    return messages, params.continue_final is not False and not bound


async def plan_completion(
    prompt: RenderedPrompt, params: ChatParams, *, profile: Profile, settings: GenerationSettings, n_ctx: int
) -> ChatPlan:
    """Text that continues a text: no template, no thoughts, no tools."""
    if params.tools:
        raise BadRequestError("complete does not support tools.", hint="Use chat.")
    binding = binding_of(params, (), Speech(profile, CALL_FORMATS["json"], None), settings, DEFAULT_BOUNDS)
    request = GenerationRequest(
        prompt=prompt.tokens,
        max_tokens=_max_tokens(params, settings, len(prompt.tokens), n_ctx),
        sampling=_sampling(params, settings, profile.advice(thinking=False)),
        constraint=binding.constraint,
        stop=params.stop,
        add_bos=False,
        logprobs=params.logprobs,
        prefix_group=params.prefix_group,
        session=params.session,
        priority=params.priority,
        deadline=params.deadline,
    )
    return ChatPlan(_repeated(request, params), lambda: OutputParser(_PLAIN, PlainContent()), binding.structured)


_PLAIN = Profile("plain")


def _repeated(request: GenerationRequest, params: ChatParams) -> tuple[GenerationRequest, ...]:
    """One request per answer; with a seed each has its own, so that they differ and are reproducible."""
    if params.n == 1:
        return (request,)
    if (seed := request.sampling.seed) is None:
        return (request,) * params.n
    return tuple(replace(request, sampling=replace(request.sampling, seed=seed + index)) for index in range(params.n))


def _sampling(params: ChatParams, settings: GenerationSettings, advice: SamplingAdvice) -> Sampling:
    """The call's own values, then the settings', then what the family's makers recommend."""
    chosen: dict[str, Any] = {"temperature": 0.7, **advice, **params.sampling}
    if settings.temperature is not None and "temperature" not in params.sampling:
        chosen["temperature"] = settings.temperature
    return Sampling(**chosen)


def _max_tokens(params: ChatParams, settings: GenerationSettings, prompt_tokens: int, n_ctx: int) -> int:
    room = n_ctx - prompt_tokens
    if room < 1:
        raise ContextOverflowError(
            f"The prompt has {prompt_tokens} tokens; the context holds {n_ctx}, including the answer.",
            needed=prompt_tokens + (params.max_tokens or 1),
            available=n_ctx,
            hint="Shorten it, raise engine.n_ctx if memory allows, or use a model with a longer context.",
        )
    if params.max_tokens is None:
        return room if params.unlimited else min(settings.max_tokens, room)
    if params.max_tokens > room:
        raise ContextOverflowError(
            f"The prompt has {prompt_tokens} tokens and max_tokens asks for {params.max_tokens} more; "
            f"the context holds {n_ctx}.",
            needed=prompt_tokens + params.max_tokens,
            available=n_ctx,
            hint=f"Ask for {room} tokens or fewer, shorten the prompt, or raise engine.n_ctx.",
        )
    return params.max_tokens
