"""The targets of a switcher, and what a call requires of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from parlant_local.backends.base import Backend, ChatParams, ModelInfo
from parlant_local.messages import Message
from parlant_local.settings import TargetSettings
from parlant_local.switching.ladder import UNCHANGED
from parlant_local.switching.question import Question

__all__ = ["ANYTHING", "CallFacts", "Requirements", "Target", "estimate_prompt", "estimate_tokens"]


@dataclass(frozen=True, eq=False)
class Target:
    """One model that calls can go to. ``open`` creates its backend; it must be cheap, and load nothing before the first call."""

    id: str
    open: Callable[[], Backend]
    remote: bool = False
    """Whether prompts sent to it leave this machine."""
    in_process: bool = False
    """Whether this process itself runs it."""
    info: ModelInfo | None = None
    """What is known before the backend is opened."""
    facts: TargetSettings = field(default_factory=TargetSettings)
    score: float | None = None
    """What `parlant-local evaluate` made of it, 0 to 1."""

    def described(self, opened: Backend | None = None) -> ModelInfo:
        known = opened.model_info() if opened is not None else self.info or ModelInfo(self.id)
        return replace(known, id=self.id, remote=self.remote)


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a call needs (targets without it are excluded), and what it prefers (others are tried later)."""

    capabilities: frozenset[str] = frozenset()
    """Of those that :class:`ModelInfo` names."""
    min_context: int | None = None
    """Tokens."""
    model_size: str | None = None
    model_generation: str | None = None
    model_type: str | None = None

    def missing_in(self, info: ModelInfo) -> str | None:
        """Why a target can't serve, or ``None``. Unknown facts don't exclude a target."""
        if info.capabilities and (lacking := self.capabilities - info.capabilities):
            return f"lacks {', '.join(sorted(lacking))}"
        if self.min_context and info.n_ctx and info.n_ctx < self.min_context:
            return f"has a context of {info.n_ctx} tokens, not {self.min_context}"
        return None

    def mismatches(self, facts: TargetSettings) -> int:
        """How many of the preferences contradict the target's settings."""
        preferences = (
            (self.model_size, facts.model_size),
            (self.model_generation, facts.model_generation),
            (self.model_type, facts.model_type),
        )
        return sum(
            preferred is not None and stated is not None and preferred != stated for preferred, stated in preferences
        )

    def joined(self, other: Requirements) -> Requirements:
        """Both; where their preferences differ, ``other``'s."""
        return Requirements(
            self.capabilities | other.capabilities,
            max(self.min_context or 0, other.min_context or 0) or None,
            other.model_size or self.model_size,
            other.model_generation or self.model_generation,
            other.model_type or self.model_type,
        )

    def also(self, *capabilities: str) -> Requirements:
        return replace(self, capabilities=self.capabilities | set(capabilities))


ANYTHING = Requirements()


@dataclass(frozen=True, slots=True)
class CallFacts:
    """The facts of one call that choosing a target needs; never its content."""

    requirements: Requirements
    schema: str = ""
    prompt_tokens: int = 0
    """An estimate."""
    answer_limit: int | None = None
    """``max_tokens`` of the call."""
    answer_tokens: int = 512
    """``max_tokens``, else a guess."""
    deadline: float | None = None
    """Seconds from the start of the call."""

    @classmethod
    def of_question(cls, question: Question[Any], base: Requirements) -> CallFacts:
        return cls.of(question.messages(UNCHANGED), ChatParams.of(question.options(UNCHANGED)), base, "chat")

    @classmethod
    def of(cls, messages: tuple[Message, ...], params: ChatParams, base: Requirements, kind: str) -> CallFacts:
        needs = [kind]
        if params.response_format.type != "text":
            needs.append("schema")
        if params.tools:
            needs.append("tools")
        if params.reasoning == "on":
            needs.append("reasoning")
        return cls(
            requirements=base.also(*needs),
            schema=params.prefix_group or "",
            prompt_tokens=estimate_prompt(messages),
            answer_limit=params.max_tokens,
            answer_tokens=params.max_tokens or 512,
            deadline=params.deadline,
        )


def estimate_tokens(text: str) -> int:
    """A rough estimate, for budgets: four characters per token."""
    return len(text) // 4 + 1


def estimate_prompt(messages: Iterable[Message]) -> int:
    """The same of a conversation."""
    return sum(estimate_tokens(message.content or "") for message in messages)
