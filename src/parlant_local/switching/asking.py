"""Answers of any backend, by the one ladder: a switcher climbs it over its targets, any other backend is its only target."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import Any, TypeVar

from parlant_local.backends.allowance import allowing
from parlant_local.backends.base import Backend, ChatOptions, ChatStream
from parlant_local.errors import DeadlineExceededError, ParlantLocalError
from parlant_local.settings import SwitcherSettings, TargetSettings
from parlant_local.switching.attempts import after_commit
from parlant_local.switching.chain import Chain, ChainLimits, Step
from parlant_local.switching.ladder import AS_ASKED
from parlant_local.switching.policy import Candidate
from parlant_local.switching.question import Question, nothing_written
from parlant_local.switching.retrying import RetryingBackend
from parlant_local.switching.targets import estimate_tokens

__all__ = ["ask", "ask_stream"]

T = TypeVar("T")


async def ask(backend: Backend, question: Question[T], settings: SwitcherSettings) -> T:
    """What ``question`` makes of the answer. Raises what the last attempt failed with."""
    if isinstance(backend, RetryingBackend):
        return await backend.ask(question)
    alone = _Alone(backend, question, settings)
    while True:
        step = await alone.next()
        try:
            with allowing(step.allowance):
                reply = await backend.chat(question.messages(step.change), **alone.options(step))
            question.replied(reply)
            return question.judge(reply)
        except ParlantLocalError as error:
            alone.failed(step, error)


async def ask_stream(backend: Backend, question: Question[Any], settings: SwitcherSettings) -> ChatStream:
    """The answer's pieces. Until one of them counts, another attempt may be made."""
    stream = (
        backend.ask_stream(question)
        if isinstance(backend, RetryingBackend)
        else _alone_stream(backend, question, settings)
    )
    async with aclosing(stream) as chunks:
        async for chunk in chunks:
            yield chunk


async def _alone_stream(backend: Backend, question: Question[Any], settings: SwitcherSettings) -> ChatStream:
    alone = _Alone(backend, question, settings)
    while True:
        step = await alone.next()
        committed = False
        try:
            stream = backend.chat_stream(question.messages(step.change), **alone.options(step))
            async with aclosing(_first_allowed(stream, step)) as chunks:
                async for chunk in chunks:
                    committed = committed or question.counts(chunk)
                    yield chunk
            if committed:
                return
            raise nothing_written(step.target)
        except ParlantLocalError as error:
            if committed:
                question.failed(step.target, step.change, error)
                raise after_commit(step.target, error) from error
            alone.failed(step, error)


async def _first_allowed(stream: ChatStream, step: Step) -> ChatStream:
    """``stream``, whose backend may send further requests until the first piece is there."""
    async with aclosing(stream) as chunks:
        with allowing(step.allowance):
            first = await anext(chunks, None)
        if first is not None:
            yield first
        async for chunk in chunks:
            yield chunk


class _Alone:
    """The only target of its chain."""

    def __init__(self, backend: Backend, question: Question[Any], settings: SwitcherSettings) -> None:
        options = question.options(AS_ASKED)
        self._question = question
        self._began = time.monotonic()
        self._deadline = options.get("deadline")
        info = backend.model_info()
        candidate = Candidate(info.id, 0, info, TargetSettings(), healthy=True, typical_seconds=None)
        self._chain = Chain(
            candidates=lambda: (candidate,),
            blocked=lambda _item, _left: None,
            limits=ChainLimits(settings.max_attempts, settings.deadline_seconds, settings.max_chain_attempts),
            clock=time.monotonic,
            prompt_tokens=sum(estimate_tokens(message.content or "") for message in question.messages(AS_ASKED)),
            leeway=question.leeway,
            deadline=self._deadline,
            plain_at=question.plain_at,
        )

    async def next(self) -> Step:
        step = self._chain.next()
        if step.wait:
            await asyncio.sleep(step.wait)
        return step

    def options(self, step: Step) -> ChatOptions:
        options = self._question.options(step.change)
        if self._deadline is None:
            return options
        left = self._deadline - (time.monotonic() - self._began)
        if left <= 0:
            raise DeadlineExceededError(f"The call's own deadline of {self._deadline:g} s has passed.")
        return {**options, "deadline": left}

    def failed(self, step: Step, error: ParlantLocalError) -> None:
        self._question.failed(step.target, step.change, error)
        self._chain.failed(step, error, remote=False)
