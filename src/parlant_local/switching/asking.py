"""Answers of any backend, with retries: a switcher retries over its targets, any other backend is the only target."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import Any, TypeVar

from parlant_local.backends.base import Backend, ChatOptions, ChatStream
from parlant_local.backends.retry_budget import use_retry_budget
from parlant_local.errors import DeadlineExceededError, ParlantLocalError
from parlant_local.settings import SwitcherSettings, TargetSettings
from parlant_local.switching.attempts import after_commit
from parlant_local.switching.chain import Chain, ChainLimits, Step
from parlant_local.switching.ladder import UNCHANGED
from parlant_local.switching.policy import Candidate
from parlant_local.switching.question import Question, empty_answer_error
from parlant_local.switching.retrying import RetryingBackend
from parlant_local.switching.targets import estimate_prompt

__all__ = ["ask", "ask_stream"]

T = TypeVar("T")


async def ask(backend: Backend, question: Question[T], settings: SwitcherSettings) -> T:
    """The answer as ``question`` reads it. Raises the error of the last attempt."""
    if isinstance(backend, RetryingBackend):
        return await backend.ask(question)
    call = _SingleTargetCall(backend, question, settings)
    while True:
        step = await call.next()
        try:
            with use_retry_budget(step.retry_budget):
                reply = await backend.chat(question.messages(step.change), **call.options(step))
            question.replied(reply)
            return question.judge(reply)
        except ParlantLocalError as error:
            call.failed(step, error)


async def ask_stream(backend: Backend, question: Question[Any], settings: SwitcherSettings) -> ChatStream:
    """The answer's chunks. Until one of them is part of the answer, it may be retried."""
    stream = (
        backend.ask_stream(question)
        if isinstance(backend, RetryingBackend)
        else _single_target_stream(backend, question, settings)
    )
    async with aclosing(stream) as chunks:
        async for chunk in chunks:
            yield chunk


async def _single_target_stream(backend: Backend, question: Question[Any], settings: SwitcherSettings) -> ChatStream:
    call = _SingleTargetCall(backend, question, settings)
    while True:
        step = await call.next()
        committed = False
        try:
            stream = backend.chat_stream(question.messages(step.change), **call.options(step))
            async with aclosing(_retry_until_first_chunk(stream, step)) as chunks:
                async for chunk in chunks:
                    committed = committed or question.counts(chunk)
                    yield chunk
            if committed:
                return
            raise empty_answer_error(step.target)
        except ParlantLocalError as error:
            if committed:
                question.failed(step.target, step.change, error)
                raise after_commit(step.target, error) from error
            call.failed(step, error)


async def _retry_until_first_chunk(stream: ChatStream, step: Step) -> ChatStream:
    """``stream``, whose backend may retry until the first chunk arrives."""
    async with aclosing(stream) as chunks:
        with use_retry_budget(step.retry_budget):
            first = await anext(chunks, None)
        if first is not None:
            yield first
        async for chunk in chunks:
            yield chunk


class _SingleTargetCall:
    """One call to a backend that is the only target of its chain."""

    def __init__(self, backend: Backend, question: Question[Any], settings: SwitcherSettings) -> None:
        options = question.options(UNCHANGED)
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
            prompt_tokens=estimate_prompt(question.messages(UNCHANGED)),
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
