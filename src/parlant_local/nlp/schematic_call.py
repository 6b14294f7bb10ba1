"""One call for a structured answer, as a question that retries can vary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from parlant_local.backends.base import ChatOptions
from parlant_local.backends.structured import corrected
from parlant_local.errors import (
    BadRequestError,
    ContextOverflowError,
    OutputError,
    ParlantLocalError,
    SchemaError,
    TruncatedOutputError,
)
from parlant_local.messages import ChatReply, Message, ResponseFormat, Timings, Usage
from parlant_local.nlp.counters import Counters
from parlant_local.nlp.recording import CallTally
from parlant_local.nlp.schemas import AnswerType
from parlant_local.switching.ladder import Change, Leeway
from parlant_local.switching.question import Question

__all__ = ["SchematicCall"]

T = TypeVar("T")


@dataclass
class SchematicCall(Generic[T]):
    answer: AnswerType[T]
    text: str
    schema: Mapping[str, Any]
    """The type's own schema, or the tightened one."""
    options: ChatOptions
    counters: Counters
    plain_only: set[str]
    """Targets that reject tightened schemas; shared by all calls of a generator."""
    longest: int | None = None
    """The token limit up to which a truncated answer is retried."""
    without_shots: Callable[[], str | None] | None = None
    """The prompt without its examples; ``None`` where they may not be left out."""
    tally: CallTally = field(default_factory=CallTally)
    """For whoever watches the agent."""
    spent: Usage = Usage()
    last: ChatReply = field(default_factory=ChatReply)
    """The last reply, once there is one."""
    invalid_answers: int = 0
    """Answers that were truncated or invalid."""
    omitted_examples: bool = False
    """Whether the examples were left out."""
    overflow: ContextOverflowError | None = None
    """The last overflow of the full prompt."""
    _shortened: str | None = None
    _plain: bool = False
    _limit: int | None = None

    @property
    def tightened(self) -> bool:
        return self.schema is not self.answer.schema

    @property
    def used_tightened(self) -> bool:
        """Whether the final answer was constrained by the tightened schema."""
        return self.tightened and not self._plain

    def question(self) -> Question[T]:
        return Question(
            messages=self._messages,
            options=self._options,
            judge=self._judge,
            leeway=Leeway(
                self.options.get("max_tokens"),
                self.longest,
                plain=self.tightened,
                share_without_examples=self._share_without_examples,
            ),
            plain_at=self.plain_only.__contains__,
            replied=self._replied,
            failed=self._failed,
        )

    def _messages(self, change: Change) -> tuple[Message, ...]:
        text = self.text
        if change.without_examples and self._shortened is not None:
            text, self.omitted_examples = self._shortened, True
        prompt = (Message.user(text),)
        # For rules that a JSON schema can't express (custom validators), the retry states what was wrong.
        return prompt if change.repair is None else corrected(prompt, change.repair)

    def _share_without_examples(self) -> float | None:
        self._shortened = self.without_shots() if self.without_shots is not None else None
        return None if self._shortened is None else len(self._shortened) / max(1, len(self.text))

    def _options(self, change: Change) -> ChatOptions:
        self._plain = change.plain
        schema = self.answer.schema if change.plain else self.schema
        options = change.fitted(self.options)
        limit = options.get("max_tokens")
        self._limit = None if limit == -1 else limit
        return {**options, "response_format": ResponseFormat.json_schema(schema, self.answer.name)}

    def _judge(self, reply: ChatReply) -> T:
        if reply.finish_reason == "length":
            raise TruncatedOutputError("", used=reply.usage.completion_tokens, limit=self._limit)
        return self.answer.parse(reply.content)

    def _replied(self, reply: ChatReply) -> None:
        self.last = reply
        self._count(reply.usage, reply.timings)

    def _failed(self, target: str, change: Change, error: ParlantLocalError) -> None:
        if isinstance(error, OutputError):
            self.invalid_answers += 1
            self._count(_cost_of(error), Timings())
        elif isinstance(error, ContextOverflowError) and not change.without_examples:
            self.overflow = error
        elif self.tightened and not change.plain and isinstance(error, SchemaError | BadRequestError):
            self.plain_only.add(target)
            self.counters.add(self.answer.name, refused=1)

    def _count(self, usage: Usage, timings: Timings) -> None:
        self.spent += usage
        self.tally.take(usage, timings)
        self.counters.add_answer(self.answer.name, usage, timings)


def _cost_of(error: OutputError) -> Usage:
    """The usage of an answer that its backend rejected, as far as known."""
    if isinstance(error.usage, Usage):
        return error.usage
    if isinstance(error, TruncatedOutputError) and error.message:
        return Usage(completion_tokens=error.used)
    return Usage()
