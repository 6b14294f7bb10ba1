"""One call for an answer of a schema, as a question that the ladder of repair can vary."""

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
    """The type's own one, or that with what the prompt says built in."""
    options: ChatOptions
    counters: Counters
    refusing: set[str]
    """Targets that take no tightened schemas; shared by all calls of a generator."""
    longest: int | None = None
    """Tokens up to which an answer that was cut gets more room."""
    without_shots: Callable[[], str | None] | None = None
    """The prompt without its examples; ``None`` where they may not be left out."""
    spent: Usage = Usage()
    last: ChatReply = field(default_factory=ChatReply)
    """The reply that was taken, once there is one."""
    unusable: int = 0
    """Answers that were cut or not valid."""
    went_brief: bool = False
    """Whether the examples were left out."""
    overflow: ContextOverflowError | None = None
    """What the whole prompt met with last."""
    _brief: str | None = None
    _plain: bool = False
    _limit: int | None = None

    @property
    def tightened(self) -> bool:
        return self.schema is not self.answer.schema

    @property
    def took_tightened(self) -> bool:
        """Whether the answer that was taken is bound by the tightened schema."""
        return self.tightened and not self._plain

    def question(self) -> Question[T]:
        return Question(
            messages=self._messages,
            options=self._options,
            judge=self._judge,
            leeway=Leeway(
                self.options.get("max_tokens"), self.longest, plain=self.tightened, brief_share=self._brief_share
            ),
            plain_at=self.refusing.__contains__,
            replied=self._replied,
            failed=self._failed,
        )

    def _messages(self, change: Change) -> tuple[Message, ...]:
        text = self.text
        if change.brief and self._brief is not None:
            text, self.went_brief = self._brief, True
        asked = (Message.user(text),)
        # Rules that a JSON schema can't say (a model's own validators): the model is told what was wrong.
        return asked if change.repair is None else corrected(asked, change.repair)

    def _brief_share(self) -> float | None:
        self._brief = self.without_shots() if self.without_shots is not None else None
        return None if self._brief is None else len(self._brief) / max(1, len(self.text))

    def _options(self, change: Change) -> ChatOptions:
        self._plain = change.plain
        schema = self.answer.schema if change.plain else self.schema
        options = change.fitted(self.options)
        self._limit = options.get("max_tokens")
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
            self.unusable += 1
            self._count(_cost_of(error), Timings())
        elif isinstance(error, ContextOverflowError) and not change.brief:
            self.overflow = error
        elif self.tightened and not change.plain and isinstance(error, SchemaError | BadRequestError):
            self.refusing.add(target)
            self.counters.add(self.answer.name, refused=1)

    def _count(self, usage: Usage, timings: Timings) -> None:
        self.spent += usage
        self.counters.add_answer(self.answer.name, usage, timings)


def _cost_of(error: OutputError) -> Usage:
    """What an answer cost that its backend refused, as far as it was told."""
    if isinstance(error.usage, Usage):
        return error.usage
    if isinstance(error, TruncatedOutputError) and error.message:
        return Usage(completion_tokens=error.used)
    return Usage()
