"""Thoughts: whether a model is to think, and the prompt that opens or closes them."""

from __future__ import annotations

from dataclasses import replace

from parlant_local.backends.base import ChatParams
from parlant_local.call_options import ReasoningChoice
from parlant_local.engine.parsing import (
    closes_thoughts,
    opens_thoughts,
)
from parlant_local.engine.requests import (
    ReasoningPrelude,
)
from parlant_local.profiles import Profile
from parlant_local.settings import GenerationSettings

__all__ = ["answer_begun", "plain_thoughts", "settle_thoughts", "thinking_of"]

_PLAIN_MARKS = ("Thoughts:\n", "\n\nAnswer:\n")


def answer_begun(
    prompt: str, prelude: ReasoningPrelude | None, profile: Profile
) -> tuple[str, ReasoningPrelude | None]:
    """Where answers are messages of their own, a bound one is begun for the model: its marks are no part of the schema."""
    if not profile.begun or profile.answer_tags is None:
        return prompt, prelude
    if prelude is None:
        return prompt + profile.answer_tags.start.removeprefix(profile.begun), None
    return prompt, replace(prelude, end=prelude.end + profile.answer_tags.start)


def thinking_of(params: ChatParams, settings: GenerationSettings, profile: Profile, *, bound: bool) -> str:
    """``on``, ``off`` or ``auto`` (as the model is used to); off where the answer is constrained, unless set explicitly."""
    if profile.reasoning is None:
        return "auto"
    choice = _choice(params, settings)
    if choice == "always":
        choice = "on"
    if params.reasoning_tokens == 0:
        return "off"
    if choice == "auto" and params.reasoning_tokens is not None and profile.thinking_on:
        return "on"  # a budget was given
    return "off" if choice == "auto" and bound else choice


def _choice(params: ChatParams, settings: GenerationSettings) -> ReasoningChoice:
    return params.reasoning if params.reasoning != "auto" else settings.reasoning


def plain_thoughts(
    params: ChatParams, settings: GenerationSettings, profile: Profile, *, bound: bool
) -> ReasoningPrelude | None:
    """Thoughts in free text of a model that was not trained to have any; they only help where the answer is bound after them."""
    budget = settings.reasoning_tokens if params.reasoning_tokens is None else params.reasoning_tokens
    if profile.reasoning is not None or not bound or not budget or _choice(params, settings) != "always":
        return None
    return ReasoningPrelude(*_PLAIN_MARKS, budget, opened=False)


def settle_thoughts(
    prompt: str, profile: Profile, thinking: str, budget: int | None, settings: GenerationSettings
) -> tuple[str, ReasoningPrelude | None]:
    """The prompt with its thoughts opened or closed as wanted, and the prelude where the model is to think."""
    tags = profile.reasoning
    if tags is None:
        return prompt, None
    tags = replace(tags, start=tags.start.removeprefix(profile.begun))
    opened, closed = opens_thoughts(prompt, tags), closes_thoughts(prompt, tags)
    if thinking == "off":
        if opened:
            return f"{prompt.rstrip()}\n\n{tags.end}\n\n", None
        if profile.begun and profile.thinks_unasked:
            return f"{prompt}{tags.start}{tags.end}{profile.begun}", None
        if not closed and profile.thinks_unasked:
            return f"{prompt}{tags.start}\n\n{tags.end}\n\n", None
        return prompt, None
    if not opened and (closed or not (thinking == "on" or profile.thinks_unasked)):
        return prompt, None
    allowed = settings.reasoning_tokens if budget is None else budget
    return prompt, ReasoningPrelude(tags.start, tags.end, allowed, opened=opened)
