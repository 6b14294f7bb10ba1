"""What a file of cases holds: an agent, conversations with it, and what must be true of its next turn."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from parlant_local.engine.patterns import matches
from parlant_local.errors import SchemaError
from parlant_local.settings import ConstraintSettings

__all__ = [
    "AgentUnderTest",
    "Alternatives",
    "Before",
    "Call",
    "CannedText",
    "Case",
    "CaseFile",
    "Expectation",
    "Journey",
    "Line",
    "Parameter",
    "Pattern",
    "Result",
    "Rule",
    "Step",
    "TextCheck",
    "Tool",
    "ValueCheck",
]

Scalar: TypeAlias = str | int | float | bool | None


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


def _readable(pattern: str) -> str:
    try:
        matches(pattern, "", ConstraintSettings())
    except SchemaError as error:
        raise ValueError(str(error)) from None
    return pattern


class Pattern(_Part):
    """A regular expression, matched in linear time and anywhere in the text."""

    pattern: Annotated[str, AfterValidator(_readable)]
    example: str
    """A text that it matches: documentation, and the proof that the pattern can be met."""

    @model_validator(mode="after")
    def _matches_its_example(self) -> Pattern:
        if not matches(self.pattern, self.example, ConstraintSettings()):
            raise ValueError(f"the pattern {self.pattern!r} does not match its own example {self.example!r}")
        return self


class Alternatives(_Part):
    """Any of these will do."""

    any: Annotated[list[Scalar], Field(min_length=1)]


TextCheck: TypeAlias = str | Alternatives | Pattern
"""A text is looked for anywhere, whatever its case, spacing and typographic variants."""

ValueCheck: TypeAlias = Alternatives | Pattern | list[Scalar] | Scalar
"""An argument: numbers and truth values by value, texts whatever their case and spacing, lists in order."""


class Parameter(_Part):
    type: Literal["string", "number", "integer", "boolean", "date", "array"] = "string"
    description: str = ""
    enum: list[str] | None = None
    items: Literal["string", "number", "integer"] = "string"
    """The type of an array's items."""
    required: bool = True


class Result(_Part):
    """What a tool returns."""

    when: dict[str, Scalar] = {}
    """For these arguments; without any, for all that no earlier result is for."""
    data: Any
    fields: dict[str, Scalar] = {}
    """Values for the fields of canned responses."""


class Tool(_Part):
    description: str
    consequential: bool = False
    """Whether a call changes something; Parlant checks those argument by argument."""
    parameters: dict[str, Parameter] = {}
    results: Annotated[list[Result], Field(min_length=1)]


class Rule(_Part):
    """A guideline."""

    when: str
    do: str
    tools: list[str] = []
    continuous: bool = False
    """Whether it holds for the rest of a conversation: it is matched anew in each turn, although it was applied."""
    awaits: str | None = None
    """What the customer has to do before the action is complete, such as answering a question."""
    criticality: Literal["low", "medium", "high"] = "medium"


class Step(_Part):
    """A state of a journey: something to say, or a tool to call."""

    do: str | None = None
    tool: str | None = None
    done_when: str | None = None
    """What the customer has to do before the step is complete: "the customer gave the order number"."""
    then: dict[str, str | None] = {}
    """The steps that may follow, each with its condition; a single one needs none."""

    @model_validator(mode="after")
    def _one_thing(self) -> Step:
        if (self.do is None) == (self.tool is None):
            raise ValueError("a step has either `do` or `tool`")
        return self


class Journey(_Part):
    title: str
    description: str
    when: Annotated[list[str], Field(min_length=1)]
    steps: Annotated[dict[str, Step], Field(min_length=1)]
    """The first one is where it starts."""


class CannedText(_Part):
    text: str
    signals: list[str] = []


class AgentUnderTest(_Part):
    name: str
    language: Literal["en", "pt", "es", "de", "zh"]
    description: str
    composition: Literal["fluid", "strict"] = "fluid"
    """strict: every reply is one of the canned ones."""
    glossary: dict[str, str] = {}
    tools: dict[str, Tool] = {}
    guidelines: dict[str, Rule] = {}
    journeys: dict[str, Journey] = {}
    canned: dict[str, CannedText] = {}


class Call(_Part):
    tool: str
    arguments: dict[str, ValueCheck] = Field(default={}, alias="with")


class Line(_Part):
    """One event of the conversation so far: exactly one of these."""

    customer: str | None = None
    agent: str | None = None
    called: Call | None = None

    @model_validator(mode="after")
    def _one_event(self) -> Line:
        if sum(value is not None for value in (self.customer, self.agent, self.called)) != 1:
            raise ValueError("a line is one of `customer`, `agent` and `called`")
        return self


class Before(_Part):
    """What Parlant remembers of the earlier turns."""

    applied: list[str] = []
    """Guidelines that the agent has followed already."""
    journeys: dict[str, list[str]] = {}
    """The steps that each journey has been through."""


class Expectation(_Part):
    """What must be true. What is not named is not checked; a case names at least one thing."""

    apply: list[str] | None = None
    """Guidelines that apply; every other one, but those in ``either``, must not."""
    either: list[str] = []
    """Guidelines about which people would disagree."""
    calls: list[Call] | None = None
    """Tools that are called, and with what; an empty list: none is."""
    journey: dict[str, str | None] = {}
    """The step that each journey is in after the turn; null: it is not active."""
    canned: str | list[str] | None = None
    """The canned response that is sent, or one of these."""
    says: list[TextCheck] = []
    never_says: list[TextCheck] = []
    judged: list[str] = []
    """Questions about the reply that have to be answered with yes; asked only where a judge model is named."""

    @model_validator(mode="after")
    def _something(self) -> Expectation:
        if self.apply is None and self.calls is None and not self.journey and not self.needs_reply:
            raise ValueError("nothing is expected")
        return self

    @property
    def needs_reply(self) -> bool:
        return bool(self.canned or self.says or self.never_says or self.judged)


class Case(_Part):
    id: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    level: Literal["easy", "usual", "hard"] = "usual"
    trap: (
        Literal["near miss", "negation", "two intents", "changed mind", "long history", "injection", "missing data"]
        | None
    ) = None
    """What makes it hard."""
    quick: bool = False
    """Whether it is part of the short examination."""
    before: Before = Before()
    conversation: Annotated[list[Line], Field(min_length=1)]
    expect: Expectation

    @model_validator(mode="after")
    def _customer_speaks_last(self) -> Case:
        if self.conversation[-1].customer is None:
            raise ValueError("the customer has the last word in a conversation")
        return self


class CaseFile(_Part):
    agent: AgentUnderTest
    cases: Annotated[list[Case], Field(min_length=1)]
